"""Shadowing: the candidate answers copies of requests, before any user sees it.

Users get stable's answers; the weight stays 0. What pairs of answers show rejects a candidate, or
lets it begin with a larger weight. What is missing does neither: after `maxSeconds` the steps begin
as they would without it, so that a comparer that does not run costs time and nothing else.
"""

from dataclasses import replace

from slipway.api.modeldeployment import Outcome, ShadowState, ShadowStatus, Stage, Strategy
from slipway.api.modelroute import Shadow
from slipway.api.reasons import Reason
from slipway.api.result import CheckResult
from slipway.api.times import to_wire
from slipway.policy.analysis.pairs.forecast import longest_seconds
from slipway.policy.judgement import Judgement
from slipway.policy.ladder import list_first_weights
from slipway.policy.proxies import name_all_proxies, name_late_proxies
from slipway.policy.rollout.active_clock import active_seconds
from slipway.policy.rollout.climb import rungs_to_climb
from slipway.policy.rollout.deadline import deadline_passed, limit_wait
from slipway.policy.rollout.draft import SAFETY_POLL, Draft, Held
from slipway.policy.rollout.guards import has_capacity
from slipway.policy.rollout.progressing import progress
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout.scheduling import await_schedule, is_schedule_open
from slipway.policy.rollout.shadow_choice import (
    choose_answers_mode,
    find_objection,
    may_be_compared,
    percent_of_copies,
)
from slipway.policy.rollout.shadow_record import end_shadow, note_finding, note_first_weight
from slipway.policy.shadow.finding import PairsFinding

UNMEASURED_SECONDS = 120
"""Without a comparer that says that it runs; then nobody waits for it any longer."""
NO_COMPARER = "no router pod says what it compared"


def begin_shadow(draft: Draft, result: CheckResult) -> Draft:
    """Begin to compare answers after a check that passed, or go on to the steps and say why."""
    if _goes_straight(draft):
        return progress(draft.tell(Reason.CHECK_PASSED, result.message))
    if may_be_compared(draft) and is_schedule_open(draft):
        return await_schedule(draft, Stage.CHECKING)

    draft = draft.tell(Reason.CHECK_PASSED, result.message)
    objection = find_objection(draft, result)
    if objection is not None:
        off = ShadowStatus(state=ShadowState.OFF, message=objection)
        draft = draft.remember(replace(draft.memory, shadow=off))
        return _hold_off(draft) if _is_for_looking(draft) else progress(draft)

    began = ShadowStatus(
        state=ShadowState.COMPARING,
        answers=choose_answers_mode(draft.spec, result),
        replicas_percent=percent_of_copies(draft),
        outputs=result.outputs,
        earlier=_find_earlier(draft),
    )
    return shadow(draft.remember(replace(draft.memory, stage=Stage.SHADOWING, shadow=began)))


def _find_earlier(draft: Draft) -> list[str]:
    """Return what the proxies still show of earlier attempts; an order that is there is ours."""
    route, finding = draft.facts.route, draft.facts.pairs
    if finding is None or (route is not None and route.shadow == draft.candidate):
        return []
    return list(finding.earlier)


def shadow(draft: Draft) -> Draft:
    """Compare answers until the pairs are enough, or their time is over."""
    found = draft.memory.shadow
    if found is None or _goes_straight(draft):
        return progress(draft)
    is_for_looking = _is_for_looking(draft)
    if is_for_looking and draft.memory.approved_weight:
        return progress(_end_looking(draft, found))
    if found.state is ShadowState.OFF and is_for_looking:
        return _hold_off(draft)
    if found.state is not ShadowState.COMPARING:
        return progress(draft)

    # Copies for too few replicas would make them slow: the replicas come first.
    answer = has_capacity(draft, found.replicas_percent)
    if isinstance(answer, Held):
        return _order_copies(answer.draft) if found.since is not None else answer.draft
    if not _is_ordered(answer.draft):
        return _await_order(answer.draft)
    draft, found = _note_begin(answer.draft, found)

    finding = draft.facts.pairs
    if finding is None:
        return _compare_on(draft, "waiting for the first pairs of answers")
    draft, found = _note_look(draft, found, finding)
    failed = finding.failed
    if is_for_looking:
        return _hold_for_looking(draft, finding, failed)
    if failed is not None:
        return act_on_evidence(
            draft, Outcome.REJECTED_BY_SHADOW, failed.as_cause, metric=failed.name
        )
    return _end_or_go_on(draft, found, finding)


def _goes_straight(draft: Draft) -> bool:
    """Return whether nothing is judged: nobody to compare with, or somebody asked for it."""
    return draft.goes_back or not rungs_to_climb(draft)


def _is_for_looking(draft: Draft) -> bool:
    return draft.spec.rollout.strategy is Strategy.SHADOW


def _order_copies(draft: Draft) -> Draft:
    wanted, found = draft.spec.rollout.shadow, draft.memory.shadow
    order = Shadow(
        revision=draft.candidate,
        percent=wanted.percent,
        max_pairs_per_second=wanted.max_pairs_per_second,
        outputs=list(found.outputs) if found is not None else [],
    )
    return draft.having(replace(draft.decision, shadow=order))


def _is_ordered(draft: Draft) -> bool:
    facts = draft.facts
    return (
        facts.route is not None and facts.route.shadow == draft.candidate and facts.is_acknowledged
    )


def _await_order(draft: Draft) -> Draft:
    facts = draft.facts
    is_written = facts.route is not None and facts.route.shadow == draft.candidate
    proxies = name_late_proxies(facts) if is_written else name_all_proxies(facts)
    waiting = draft.enter(
        Stage.SHADOWING,
        Reason.AWAITING_ACKNOWLEDGEMENT,
        f"asking the routers for copies of requests; waiting for {proxies}",
        requeue_after=SAFETY_POLL,
    )
    return limit_wait(_order_copies(waiting))


def _note_begin(draft: Draft, found: ShadowStatus) -> tuple[Draft, ShadowStatus]:
    if found.since is not None:
        return draft, found
    seconds = active_seconds(draft.memory, draft.now)
    began = found.model_copy(update={"since": to_wire(draft.now), "since_active_seconds": seconds})
    return draft.remember(replace(draft.memory, shadow=began, waits_since=None)), began


def _note_look(
    draft: Draft, found: ShadowStatus, finding: PairsFinding
) -> tuple[Draft, ShadowStatus]:
    noted = note_finding(found, finding, _describe(finding))
    return draft.remember(replace(draft.memory, shadow=noted)), noted


def _describe(finding: PairsFinding) -> str:
    if not finding.is_measured:
        return f"{NO_COMPARER}; waiting for one"
    judged = [item for item in finding.judgements if item.may_decide]
    worst = max(judged, key=lambda item: item.verdict.severity, default=None)
    seen = f"{finding.counts.pairs:,} pairs of answers"
    return f"{seen}: {worst.message}" if worst is not None else seen


def _end_or_go_on(draft: Draft, found: ShadowStatus, finding: PairsFinding) -> Draft:
    """Go on to the steps once the pairs allow as much as any could, or the time is over."""
    seconds = active_seconds(draft.memory, draft.now) - found.since_active_seconds
    wanted = list_first_weights(rungs_to_climb(draft))[-1]
    is_unmeasured = not finding.is_measured and not finding.counts.pairs
    is_over = seconds >= _longest_seconds(draft) or deadline_passed(draft)
    is_given_up = is_unmeasured and seconds >= UNMEASURED_SECONDS

    if finding.first_weight < wanted and not is_over and not is_given_up:
        return _compare_on(draft, found.message)
    if finding.first_weight:
        text = f"{finding.counts.pairs:,} pairs of answers rule harm out"
        text = f"{text} up to a weight of {finding.first_weight}%"
        memory = end_shadow(draft.memory, ShadowState.PASSED, text, finding.first_weight)
        return progress(draft.remember(memory).tell(Reason.SHADOW_PASSED, text))
    why = NO_COMPARER if is_unmeasured else found.message
    text = f"no verdict after {seconds} s: {why}"
    memory = end_shadow(draft.memory, ShadowState.ENDED, text)
    return progress(draft.remember(memory).tell(Reason.SHADOW_ENDED, text))


def _longest_seconds(draft: Draft) -> int:
    schedule = draft.memory.schedule
    rate = schedule.requests_per_second if schedule is not None else None
    return longest_seconds(draft.spec, schedule, rate)


def _compare_on(draft: Draft, message: str) -> Draft:
    comparing = draft.enter(
        Stage.SHADOWING, Reason.SHADOWING, message, requeue_after=draft.analysis_interval
    )
    return _order_copies(comparing)


def _hold_for_looking(draft: Draft, finding: PairsFinding, failed: Judgement | None) -> Draft:
    """Go on comparing until a person decides; what is found is said and rejects nothing."""
    if failed is not None:
        verdict = f"the pairs are against it: {failed.reason}"
    elif finding.first_weight:
        verdict = f"the pairs rule harm out up to a weight of {finding.first_weight}%"
    else:
        verdict = "the pairs show too little so far"
    weight = 0 if failed is not None else finding.first_weight
    noted = draft.remember(note_first_weight(draft.memory, weight))
    return _order_copies(_await_person(noted, verdict))


def _end_looking(draft: Draft, found: ShadowStatus) -> Draft:
    """Begin with the weight that the pairs allow, if they allow any."""
    if found.state is not ShadowState.COMPARING:
        return draft
    state = ShadowState.PASSED if found.first_weight else ShadowState.ENDED
    return draft.remember(end_shadow(draft.memory, state, found.message, found.first_weight))


def _hold_off(draft: Draft) -> Draft:
    shadow_status = draft.memory.shadow
    why = shadow_status.message if shadow_status is not None else ""
    held = draft.remember(replace(draft.memory, stage=Stage.SHADOWING))
    return _await_person(held, f"nothing is compared: {why}")


def _await_person(draft: Draft, what: str) -> Draft:
    return draft.enter(
        Stage.SHADOWING,
        Reason.AWAITING_APPROVAL,
        f"strategy Shadow: approve to begin with the steps, or promote, or abort; {what}",
        shown=Stage.AWAITING_APPROVAL,
        requeue_after=draft.analysis_interval,
    )
