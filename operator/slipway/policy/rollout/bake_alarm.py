"""A bake in which stable has no traffic: before beside after, and never more than an alarm.

Without anything to compare with at the same moment, a candidate that turns worse may be the victim
of an outage. So an alarm gives a fifth of the traffic back to stable, and then the usual test, on
both at once, decides.
"""

from dataclasses import replace

from slipway.api.modeldeployment import AnalysisMode, Stage, Tolerance
from slipway.api.reasons import Reason, shortened
from slipway.policy.judgement import Judgement
from slipway.policy.ladder import Rung
from slipway.policy.rollout.climb import GIVEN_BACK
from slipway.policy.rollout.draft import SAFETY_POLL, Draft
from slipway.policy.rollout_memory import ShareBefore
from slipway.policy.statistics.wilson import FAIL_Z, PASS_Z, wilson_interval
from slipway.policy.weights import ALL

COMPARED = frozenset({"errors", "client-errors", "latency", "latency-p90", "latency-p99"})
"""Metrics that are shares of requests."""


def remember_before(draft: Draft, rung: Rung) -> Draft:
    """Note what the last step showed, where the next one leaves nothing to compare with."""
    if rung.weight < ALL or draft.stable is None or draft.memory.unjudged:
        return draft
    before = tuple(
        ShareBefore(judgement.name, judgement.candidate, judgement.samples)
        for judgement in draft.facts.judgements
        if judgement.name in COMPARED and judgement.candidate is not None and judgement.samples
    )
    return draft.remember(replace(draft.memory, before=before))


def find_alarm(draft: Draft) -> str | None:
    """Return why the candidate seems worse than before it had all of the traffic, or None."""
    analysis = draft.spec.rollout.analysis
    if draft.written_weight < ALL or analysis.mode is AnalysisMode.OFF:
        return None

    known = {entry.name: entry for entry in draft.memory.before}
    for judgement in draft.facts.judgements:
        before, share = known.get(judgement.name), judgement.candidate
        if before is None or share is None or judgement.samples < analysis.min_samples:
            continue
        if _is_worse(judgement, before, analysis.tolerance):
            return (
                f"{judgement.name}: {share:.2%} of {judgement.samples:,} requests, "
                f"{before.share:.2%} of {before.samples:,} in the step before"
            )
    return None


def give_back(draft: Draft, alarm: str) -> Draft:
    """Move a share back to stable, so that the two can be compared."""
    memory, began = draft.memory, draft.memory.step_started_at
    draft = draft.remember(replace(memory, alarm=shortened(alarm), alarm_step_started_at=began))
    message = f"giving {GIVEN_BACK}% back to stable to compare: {alarm}"
    draft = draft.enter(Stage.BAKING, Reason.BAKE_ALARM, message, requeue_after=SAFETY_POLL)
    weights = dict.fromkeys(draft.decision.weights, 0)
    weights |= {draft.candidate: ALL - GIVEN_BACK, draft.stable or "": GIVEN_BACK}
    return draft.tell(Reason.BAKE_ALARM, message, warning=True).route(weights)


def _is_worse(after: Judgement, before: ShareBefore, tolerance: Tolerance) -> bool:
    share = after.candidate or 0.0
    was = wilson_interval(round(before.share * before.samples), before.samples, PASS_Z)[1]
    limit = (1 + tolerance.relative) * was + tolerance.absolute
    return wilson_interval(round(share * after.samples), after.samples, FAIL_Z)[0] > limit
