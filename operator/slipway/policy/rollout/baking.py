"""Baking: watching for late faults with the old revision at full capacity, then promoting."""

from datetime import timedelta

from slipway.api.modeldeployment import AnalysisMode, Outcome, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.judgement import Judgement, deciding_judgement
from slipway.policy.rollout.acknowledgement import weight_is_in_force
from slipway.policy.rollout.active_clock import seconds_in_step
from slipway.policy.rollout.bake_alarm import find_alarm, give_back
from slipway.policy.rollout.climb import rungs_for, rungs_to_climb
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.evidence_record import note_pass, was_judged
from slipway.policy.rollout.guards import ask_guards, guards_before_promotion
from slipway.policy.rollout.inconclusive import await_verdict
from slipway.policy.rollout.promotion import promote
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout.straight import go_straight


def bake(draft: Draft) -> Draft:
    """Hold the last weight for the time of the bake; what is found here is rolled back."""
    in_force = weight_is_in_force(draft)
    if isinstance(in_force, Held):
        return in_force.draft
    draft = in_force.draft

    # Stable went down, or a person said promote: there is nothing to compare with any more.
    if not rungs_to_climb(draft):
        return go_straight(draft)

    alarm = find_alarm(draft)
    if alarm is not None:
        return give_back(draft, alarm)
    judgement = deciding_judgement(draft.facts.judgements)
    if judgement.verdict is Verdict.FAIL:
        return act_on_evidence(
            draft, Outcome.ROLLED_BACK, judgement.as_cause, metric=judgement.name
        )

    if draft.memory.skipped_weight == draft.written_weight:
        return _leave_bake(draft)
    holding = _hold_bake(draft)
    if holding is not None:
        return holding
    missing = _find_missing_evidence(draft, judgement)
    if missing is not None:
        return await_verdict(draft, missing)
    return _leave_bake(note_pass(draft) if judgement.verdict is Verdict.PASS else draft)


def _hold_bake(draft: Draft) -> Draft | None:
    seconds = draft.spec.rollout.bake_seconds
    left = seconds - seconds_in_step(draft.memory, draft.now)
    if left <= 0:
        return None
    requeue_after = min(timedelta(seconds=left), draft.analysis_interval)
    message = f"baking at {draft.written_weight}% for {seconds} s"
    return draft.enter(Stage.BAKING, Reason.BAKING, message, requeue_after=requeue_after)


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
