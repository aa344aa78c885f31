"""When an action makes no sense: one function per verb, from the situation to a reason.

The table in tests/unit/policy/rollout/test_action_table.py holds every verb against every
situation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason, Why
from slipway.policy.action_grammar import FORM, UNREADABLE, VERBS, Action


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action meets."""

    candidate: str | None
    step: int
    stage: Stage
    """As people see it."""
    underlying: Stage
    """The machine's own, below Paused and AwaitingApproval."""
    weight: int = 0
    """Percent that every proxy has in force for the candidate, as the step counts."""
    lowered_to: int | None = None
    """Percent that the router was asked for since then, where that is less."""
    straight: str | None = None
    """Why the candidate goes to 100% without steps."""
    skipped: bool = False
    """The present step's waiting was skipped."""
    paused_by_action: bool = False
    paused_by_spec: bool = False
    failing: str | None = None
    """What the analysis has against the candidate."""
    coming: bool = False
    """A revision is asked for that is not the candidate yet."""
    can_retry: bool = False
    """Something was rejected, held or failed."""
    no_way_back: str | None = None
    """Why the revision of `rollback` cannot be gone back to."""


def find_refusal(action: Action, now: Situation) -> Why | None:
    """Return why the action makes no sense now, or None."""
    if action.verb == UNREADABLE:
        return Why(Reason.NOT_UNDERSTOOD, f"not understood, expected {FORM}")
    if action.verb not in VERBS:
        known = ", ".join(sorted(VERBS))
        return Why(Reason.UNKNOWN_ACTION, f"unknown action {action.verb!r}; known are {known}")
    if action.argument is not None and action.verb != "rollback":
        text = f"{action.verb} takes no revision; a position is written @<revision>/<step>"
        return Why(Reason.NOT_UNDERSTOOD, text)

    if action.revision is not None and (action.revision, action.step) != (now.candidate, now.step):
        meant = f"meant for {action.revision}/{action.step}"
        if now.candidate is None:
            text = f"{meant}, but no rollout is under way"
        else:
            text = f"{meant}, but the rollout is at {now.candidate}/{now.step}"
        return Why(Reason.MEANT_FOR_ANOTHER_POSITION, text)
    return REFUSALS[action.verb](now)


def _needs_candidate(now: Situation) -> Why | None:
    if now.candidate is None:
        return Why(Reason.NO_ROLLOUT, "no rollout is under way")
    if now.underlying is Stage.ROLLING_BACK:
        text = "the candidate is being rolled back; wait until that is over"
        return Why(Reason.ROLLBACK_UNDER_WAY, text)
    return None


def _needs_steps(now: Situation) -> Why | None:
    missing = _needs_candidate(now)
    if missing is None and now.straight:
        text = f"the rollout goes to 100% without steps already: {now.straight}"
        return Why(Reason.ALREADY_DONE, text)
    return missing


def _refuse_promote(now: Situation) -> Why | None:
    missing = _needs_steps(now)
    if missing is None and now.paused_by_spec:
        return _paused_by_spec()
    return missing


def _refuse_approve(now: Situation) -> Why | None:
    if now.stage is Stage.AWAITING_APPROVAL:
        return None
    return Why(Reason.NOT_AWAITING_APPROVAL, "no step is waiting for approval")


def _refuse_skip(now: Situation) -> Why | None:
    missing = _needs_steps(now)
    if missing is not None:
        return missing

    if now.stage is Stage.AWAITING_APPROVAL:
        return Why(Reason.NEEDS_APPROVAL, "this step is waiting for approval; use approve")
    is_in_step = now.underlying in {Stage.PROGRESSING, Stage.BAKING} and now.weight > 0
    if not is_in_step and now.underlying is not Stage.SHADOWING:
        text = "no step has begun; the checks before traffic are never skipped"
        return Why(Reason.NO_STEP, text)
    if now.paused_by_action or now.paused_by_spec:
        return Why(Reason.PAUSED, "the rollout is paused: resume it first")
    if now.failing is not None:
        text = f"the analysis says Fail, abort or promote: {now.failing}"
        return Why(Reason.ANALYSIS_SAYS_FAIL, text)
    if now.lowered_to is not None:
        text = f"the candidate is going from {now.weight}% back to {now.lowered_to}%"
        return Why(Reason.NO_STEP, text)
    if now.skipped:
        return Why(Reason.ALREADY_DONE, f"the step at {now.weight}% was skipped already")
    return None


def _refuse_abort(now: Situation) -> Why | None:
    return None if now.coming else _needs_candidate(now)


def _refuse_retry(now: Situation) -> Why | None:
    if now.can_retry:
        return None
    return Why(Reason.NOTHING_TO_RETRY, "nothing was rejected, held or failed")


def _refuse_rollback(now: Situation) -> Why | None:
    if now.underlying is Stage.ROLLING_BACK:
        text = "the candidate is being rolled back already; ask again when that is over"
        return Why(Reason.ROLLBACK_UNDER_WAY, text)
    return Why(Reason.NO_WAY_BACK, now.no_way_back) if now.no_way_back is not None else None


def _refuse_pause(now: Situation) -> Why | None:
    if not now.paused_by_action:
        return None
    return Why(Reason.ALREADY_DONE, "the rollout is paused already")


def _refuse_resume(now: Situation) -> Why | None:
    if now.paused_by_action:
        return None
    if now.paused_by_spec:
        return _paused_by_spec()
    return Why(Reason.ALREADY_DONE, "the rollout is not paused")


def _paused_by_spec() -> Why:
    return Why(Reason.PAUSED_BY_SPEC, "spec.paused holds the rollout: change the spec")


REFUSALS: Mapping[str, Callable[[Situation], Why | None]] = {
    "promote": _refuse_promote,
    "approve": _refuse_approve,
    "skip": _refuse_skip,
    "abort": _refuse_abort,
    "retry": _refuse_retry,
    "rollback": _refuse_rollback,
    "pause": _refuse_pause,
    "resume": _refuse_resume,
}
