"""One look at the pairs of a rollout: from the pages of router pods to what they say."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from slipway.api.modeldeployment import (
    AnswersMode,
    ModelDeploymentSpec,
    RolloutStatus,
    Schedule,
    ShadowDifference,
    ShadowState,
    Stage,
)
from slipway.api.pairs import Pairs, RoutePairs
from slipway.api.times import from_wire
from slipway.policy.analysis.pairs.judge_pairs import ERRORS, PairsPlan, judge_pairs
from slipway.policy.facts import Facts
from slipway.policy.ladder import list_first_weights, list_rungs
from slipway.policy.shadow.budget import OF_PAIRS
from slipway.policy.shadow.counts import (
    MOST_SAMPLES,
    PairsMemory,
    add_pages,
    decode_memory,
    find_entries,
    key_of,
)
from slipway.policy.shadow.finding import PairsFinding

FRESH_SECONDS = 30.0
"""A comparer writes each second while it runs; clocks of nodes differ."""
READ_IN = frozenset({Stage.CHECKING, Stage.SHADOWING})
"""Before it begins it must be known whether any router pod counts pairs."""
ENFORCES = {AnswersMode.ENFORCE: True, AnswersMode.REPORT_ONLY: False, AnswersMode.AUTO: None}


def needs_pairs(facts: Facts) -> bool:
    """Return whether this pass must know the pairs of answers."""
    rollout = facts.status.rollout
    if rollout is None or facts.stable is None or facts.candidate is None:
        return False
    return (rollout.underlying or rollout.stage) in READ_IN


def look_at_pairs(
    facts: Facts,
    pages: Sequence[Pairs | None],
    now: datetime,
    seen: PairsMemory | None = None,
) -> PairsFinding:
    """Return what the pairs say; `pages` are those of the router pods that could be asked.

    `seen` is what this process knows of the rollout. Status has it half a minute later, and a
    comparer that restarts meanwhile tells it no more.
    """
    found = find_entries(pages, facts.metadata.name, facts.stable or "", facts.candidate or "")
    earlier = tuple(key_of(page, entry) for page, entry in found)
    is_offered = any(page is not None for page in pages)
    rollout = facts.status.rollout
    shadow = rollout.shadow if rollout is not None else None
    if rollout is None or shadow is None or shadow.state is not ShadowState.COMPARING:
        return PairsFinding((), earlier=earlier, is_offered=is_offered)

    plan = plan_pairs(facts.spec, rollout.schedule, shadow.answers)
    stored = _recall(rollout)
    memory = stored if seen is None or seen.total.pairs < stored.total.pairs else seen
    memory = add_pages(memory, found, slower_than=plan.limit_ratio, earlier=shadow.earlier)
    judgements, first_weight = judge_pairs(memory, plan)
    return PairsFinding(
        judgements=judgements,
        memory=memory,
        counts=memory.total,
        first_weight=first_weight,
        differences=_sample_differences(entry for _, entry in found),
        earlier=earlier,
        is_offered=is_offered,
        is_measured=any(page is not None and _is_running(page, now) for page in pages),
    )


def plan_pairs(
    spec: ModelDeploymentSpec, schedule: Schedule | None, answers: AnswersMode
) -> PairsPlan:
    """Return what the pairs of a rollout are held against; `answers` as the rollout has it."""
    rollout = spec.rollout
    analysis, shadow = rollout.analysis, rollout.shadow
    return PairsPlan(
        relative=analysis.tolerance.relative,
        absolute=analysis.tolerance.absolute,
        max_harm=analysis.max_harm,
        false_refusal=OF_PAIRS * analysis.false_rollback,
        min_pairs=shadow.min_pairs,
        min_agreement=shadow.min_agreement,
        enforces_answers=ENFORCES[answers],
        weights=list_first_weights(list_rungs(rollout, schedule)),
    )


def _recall(rollout: RolloutStatus) -> PairsMemory:
    states = (entry.state for entry in rollout.analysis if entry.name == ERRORS)
    return decode_memory(next(states, None))


def _is_running(page: Pairs, now: datetime) -> bool:
    at = from_wire(page.at)
    return at is not None and abs((now - at).total_seconds()) <= FRESH_SECONDS


def _sample_differences(entries: Iterable[RoutePairs]) -> tuple[ShadowDifference, ...]:
    """Return a few requests that were answered differently, the newest first."""
    samples = [sample for entry in entries for sample in entry.samples]
    samples.sort(key=lambda sample: sample.at, reverse=True)
    return tuple(
        ShadowDifference(
            input_digest=sample.input_digest,
            output=sample.output,
            text=sample.text,
            largest_difference=sample.largest_difference,
            at=sample.at,
        )
        for sample in samples[:MOST_SAMPLES]
    )
