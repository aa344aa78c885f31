"""Progressing: the weight is acknowledged, judged, and only then raised."""

from dataclasses import replace
from datetime import timedelta

from slipway.api.modeldeployment import AnalysisMode, OnInconclusive, Outcome, Stage
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.judgement import Judgement, deciding_judgement
from slipway.policy.ladder import find_next_rung
from slipway.policy.rollout.acknowledgement import weight_is_in_force
from slipway.policy.rollout.active_clock import seconds_in_step
from slipway.policy.rollout.baking import bake
from slipway.policy.rollout.climb import rungs_to_climb
from slipway.policy.rollout.deadline import deadline_passed
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.raising import raise_weight
from slipway.policy.rollout.rolling_back import act_on_evidence, begin_rollback
from slipway.policy.rollout.straight import go_straight


def progress(draft: Draft) -> Draft:
    """Climb one weight at a time; each is in force and judged before the next is written."""
    in_force = weight_is_in_force(draft)
    if isinstance(in_force, Held):
        return in_force.draft
    draft = in_force.draft

    rungs, written = rungs_to_climb(draft), draft.written_weight
    if not rungs:
        return go_straight(draft)
    if written == 0:
        return raise_weight(draft, find_next_rung(rungs, 0))
    if written >= rungs[-1].weight:
        return bake(draft.enter(Stage.BAKING, Reason.BAKING, "the bake begins"))

    # Evidence against the candidate counts at once, whatever else the step waits for.
    judgement = deciding_judgement(draft.facts.judgements)
    if judgement.verdict is Verdict.FAIL:
        return act_on_evidence(
            draft, Outcome.ROLLED_BACK, judgement.as_cause, metric=judgement.name
        )

    if draft.memory.skipped_weight == written:
        return raise_weight(draft, find_next_rung(rungs, written))

    # A step's hold comes before its verdict: a Pass that comes early does not cut it short.
    holding = _hold_step(draft)
    if holding is not None:
        return holding
    is_judged = draft.spec.rollout.analysis.mode is not AnalysisMode.OFF
    if is_judged and judgement.verdict is not Verdict.PASS:
        return _await_verdict(draft, judgement)
    return raise_weight(draft, find_next_rung(rungs, written))


def _hold_step(draft: Draft) -> Draft | None:
    weight = draft.written_weight
    steps = [step for step in draft.spec.rollout.steps if step.weight == weight]
    hold = steps[0].hold_seconds if steps else 0
    left = hold - seconds_in_step(draft.memory, draft.now)
    if left <= 0:
        return None

    requeue_after = min(timedelta(seconds=left), draft.analysis_interval)
    message = f"holding at {weight}% for {hold} s"
    return draft.enter(Stage.PROGRESSING, Reason.HOLDING, message, requeue_after=requeue_after)


def _await_verdict(draft: Draft, judgement: Judgement) -> Draft:
    """Hold the weight; at the deadline do what the user chose."""
    held = draft.enter(
        Stage.PROGRESSING,
        judgement.reason,
        f"at {draft.memory.acked_weight}%: {judgement.message}",
        requeue_after=draft.analysis_interval,
    )
    if not deadline_passed(draft):
        return held

    seconds = draft.spec.rollout.deadline_seconds
    cause = f"no verdict after {seconds} s of active time: {judgement.message}"
    match draft.spec.rollout.analysis.on_inconclusive:
        case OnInconclusive.ROLL_BACK:
            return begin_rollback(draft, Outcome.ABORTED, cause)
        case OnInconclusive.PROMOTE:
            unjudged = "deadline: onInconclusive Promote"
            return go_straight(draft.remember(replace(draft.memory, unjudged=unjudged)))
        case OnInconclusive.PAUSE:
            return draft.enter(
                Stage.PROGRESSING,
                Reason.DEADLINE_EXCEEDED,
                cause,
                shown=Stage.PAUSED,
                requeue_after=draft.analysis_interval,
            ).stall(Reason.DEADLINE_EXCEEDED)
