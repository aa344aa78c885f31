"""Baking: watching for late faults with the old revision at full capacity, then promoting.

It lasts for the time of the spec, and for longer while a metric is under suspicion: what is seen of
a fault in the last minute of a bake must not be promoted for want of a minute more.
"""

from datetime import timedelta

from slipway.api.modeldeployment import AnalysisMode, Outcome, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.judgement import Judgement, Role, deciding_judgement
from slipway.policy.ladder import find_next_rung
from slipway.policy.rollout.acknowledgement import weight_is_in_force
from slipway.policy.rollout.active_clock import seconds_in_step
from slipway.policy.rollout.bake_alarm import find_alarm, give_back
from slipway.policy.rollout.climb import rungs_for, rungs_to_climb
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.evidence_record import note_pass, was_judged
from slipway.policy.rollout.guards import ask_guards, guards_before_promotion
from slipway.policy.rollout.inconclusive import await_verdict
from slipway.policy.rollout.promotion import promote
from slipway.policy.rollout.raising import raise_within_bake
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout.straight import go_straight
from slipway.policy.rollout.swapping import is_swapping
from slipway.policy.rollout.switching import is_judged_by_record, recover_record, store_pass

EXTENSIONS = {
    Reason.ARM_NOISE: "a fault is suspected",
    Reason.UNDER_SUSPICION: "a fault is suspected",
    Reason.POD_STANDS_OUT: "one pod fails",
    Reason.MEMORY_GROWS: "memory grows",
    Reason.UNPROVEN: "harm is not ruled out",
}
"""What a metric says while a bake does not end, and what it means."""


def bake(draft: Draft) -> Draft:
    """Hold the last weight for the time of the bake; what is found here is rolled back."""
    in_force = weight_is_in_force(draft)
    if isinstance(in_force, Held):
        return in_force.draft
    draft = in_force.draft

    # Stable went down, or a person said promote: there is nothing to compare with any more.
    if not rungs_to_climb(draft):
        return go_straight(draft)

    draft = recover_record(draft)
    alarm = find_alarm(draft)
    if alarm is not None:
        return give_back(draft, alarm)
    judgement = deciding_judgement(draft.facts.judgements)
    if judgement.verdict is Verdict.FAIL:
        outcome = Outcome.ABORTED if is_judged_by_record(draft) else Outcome.ROLLED_BACK
        return act_on_evidence(draft, outcome, judgement.as_cause, metric=judgement.name)

    if draft.memory.skipped_weight == draft.written_weight:
        return _leave_bake(draft)
    if is_swapping(draft):
        return _go_on_swapping(draft)
    holding = _hold_bake(draft)
    if holding is not None:
        return holding
    suspicion = _find_suspicion(draft)
    if suspicion is not None:
        return _extend_bake(draft, suspicion)
    if judgement.verdict is Verdict.PASS:
        is_first = draft.memory.judged_weight == 0
        draft = note_pass(draft)
        if is_first and draft.spec.rollout.switches_once:
            return store_pass(draft)

    rungs = rungs_to_climb(draft)
    if draft.written_weight < rungs[-1].weight:
        return raise_within_bake(draft, find_next_rung(rungs, draft.written_weight))
    missing = _find_missing_evidence(draft, judgement)
    if missing is not None:
        return await_verdict(draft, missing)
    return _leave_bake(draft)


def _go_on_swapping(draft: Draft) -> Draft:
    """Go on to the weight that replicas are swapped for: it was decided before."""
    rungs = rungs_for(draft)
    if draft.written_weight < rungs[-1].weight:
        return raise_within_bake(draft, find_next_rung(rungs, draft.written_weight))
    return _leave_bake(draft)


def _hold_bake(draft: Draft) -> Draft | None:
    seconds = _hold_seconds(draft)
    left = seconds - seconds_in_step(draft.memory, draft.now)
    if left <= 0:
        return None
    requeue_after = min(timedelta(seconds=left), draft.analysis_interval)
    message = f"baking at {draft.written_weight}% for {seconds} s"
    return draft.enter(Stage.BAKING, Reason.BAKING, message, requeue_after=requeue_after)


def _hold_seconds(draft: Draft) -> int:
    """Return for how long the bake stays at the present weight; a weight of an older spec: 0."""
    rungs, written = rungs_for(draft), draft.written_weight
    if written >= rungs[-1].weight:
        return rungs[-1].hold_seconds
    return next((rung.hold_seconds for rung in rungs if rung.is_bake and rung.weight == written), 0)


def _find_suspicion(draft: Draft) -> Why | None:
    """Return what looks worse than on stable, though not enough for a Fail."""
    for judgement in draft.facts.judgements:
        meaning = EXTENSIONS.get(judgement.reason)
        if meaning is not None and judgement.role is not Role.REPORT_ONLY:
            message = f"bake extended, {meaning}: {judgement.name}: {judgement.message}"
            return Why(judgement.reason, message)
    return None


def _extend_bake(draft: Draft, suspicion: Why) -> Draft:
    """Stay until the suspicion is gone or proven; at the deadline the user's choice decides.

    Where the steps took the time, the deadline is over before the bake is: one that is suspected at
    its end for a moment still gets the time of a bake once more.
    """
    once_more = _hold_seconds(draft) + draft.spec.rollout.bake_seconds
    if seconds_in_step(draft.memory, draft.now) > once_more:
        return await_verdict(draft, suspicion)
    requeue_after = draft.analysis_interval
    return draft.enter(
        Stage.BAKING, suspicion.reason, suspicion.message, requeue_after=requeue_after
    )


def _find_missing_evidence(draft: Draft, judgement: Judgement) -> Why | None:
    """Return why a bake that is long enough may not end yet.

    Evidence comes from the steps, so no data does not block a bake; a router that cannot be read
    does, and where no step was judged the bake itself must have convinced.
    """
    traffic = draft.facts.traffic
    if draft.spec.rollout.analysis.mode is AnalysisMode.OFF:
        return None
    if traffic is None or traffic.silent:
        message = "waiting for the counters of every proxy before the bake ends"
        return Why(judgement.reason, message)
    if judgement.verdict is not Verdict.PASS and not was_judged(draft):
        message = f"no step was judged, so the bake needs a Pass: {judgement.message}"
        return Why(judgement.reason, message)
    return None


def _leave_bake(draft: Draft) -> Draft:
    answer = ask_guards(guards_before_promotion(rungs_for(draft)[-1]), draft)
    return answer.draft if isinstance(answer, Held) else promote(answer.draft)
