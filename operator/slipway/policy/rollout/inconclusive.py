"""No verdict yet: the weight is held, and at the deadline the user's choice decides."""

from dataclasses import replace

from slipway.api.modeldeployment import OnInconclusive, Outcome, Stage
from slipway.api.reasons import Reason, Why
from slipway.policy.rollout.deadline import deadline_passed
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.guards import is_in_window
from slipway.policy.rollout.rolling_back import begin_rollback
from slipway.policy.rollout.straight import go_straight


def await_verdict(draft: Draft, why: Why) -> Draft:
    """Hold the weight; at the deadline do what `onInconclusive` says."""
    stage = draft.memory.stage
    held = draft.enter(stage, why.reason, why.message, requeue_after=draft.analysis_interval)
    if not deadline_passed(draft):
        return held

    seconds = draft.deadline_seconds
    cause = f"no verdict after {seconds} s of active time: {why.message}"
    match draft.spec.rollout.analysis.on_inconclusive:
        case OnInconclusive.ROLL_BACK:
            return begin_rollback(draft, Outcome.ABORTED, cause)
        case OnInconclusive.PROMOTE:
            answer = is_in_window(draft, "the promotion")
            if isinstance(answer, Held):
                return answer.draft
            unjudged = "deadline: onInconclusive Promote"
            return go_straight(draft.remember(replace(draft.memory, unjudged=unjudged)))
        case OnInconclusive.PAUSE:
            return draft.enter(
                stage,
                Reason.DEADLINE_EXCEEDED,
                cause,
                shown=Stage.PAUSED,
                requeue_after=draft.analysis_interval,
            ).stall(Reason.DEADLINE_EXCEEDED)
