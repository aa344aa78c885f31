"""Consumes the action annotation: each is done once, or refused with a reason, and acknowledged."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import LastAction, Outcome, Stage
from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_REQUESTED_BY
from slipway.policy.actions import Action, parse, refusal
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.recall import blocked_by, is_lost
from slipway.policy.times import to_wire

STATUS_LOST = "the status was lost, and with it whether this was done before; ask again"


def consume(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Return the decision with a new action done or refused; an old one changes nothing."""
    annotations = facts.object.metadata.annotations
    action = parse(annotations.get(ANNOTATION_ACTION))
    if action is None or (d.last_action is not None and action.id <= d.last_action.id):
        return d
    by = annotations.get(ANNOTATION_REQUESTED_BY, "unverified")
    refused = STATUS_LOST if is_lost(facts) else None
    refused = refused or refusal(
        action,
        candidate=d.candidate,
        step=d.memory.step,
        stage_awaits=facts.object.status.rollout is not None
        and facts.object.status.rollout.stage is Stage.AWAITING_APPROVAL,
        can_retry=blocked_by(d, facts) is not None or d.memory.failures > 0,
    )
    result = f"Refused: {refused}" if refused else "Done"
    if refused is None:
        d = EFFECTS[action.verb](d, facts, action, by)
    last = LastAction(id=action.id, verb=action.verb, by=by, at=to_wire(now), result=result[:1024])
    event = Event("Action", f"{action.verb} by {by}: {result}", warning=refused is not None)
    return replace(d, last_action=last, events=(*d.events, event))


def _approve(d: Decision, _facts: Facts, _action: Action, _by: str) -> Decision:
    return _remember(d, approved_step=d.memory.step + 1)


def _promote(d: Decision, _facts: Facts, _action: Action, by: str) -> Decision:
    return _remember(d, unjudged=f"promote by {by}")


def _abort(d: Decision, _facts: Facts, _action: Action, by: str) -> Decision:
    return _remember(d, outcome=Outcome.ABORTED, cause=f"aborted by {by}")


def _pause(d: Decision, _facts: Facts, _action: Action, _by: str) -> Decision:
    return _remember(d, paused=True)


def _resume(d: Decision, _facts: Facts, _action: Action, _by: str) -> Decision:
    return _remember(d, paused=False)


def _retry(d: Decision, facts: Facts, _action: Action, _by: str) -> Decision:
    wanted = facts.wanted.name if facts.wanted else None
    rejected = tuple(entry for entry in d.rejected if entry.revision != wanted)
    return replace(_remember(d, retry_at=None), hold=None, rejected=rejected)


def _remember(d: Decision, **changes: object) -> Decision:
    return replace(d, memory=d.memory.model_copy(update=changes))


EFFECTS: dict[str, Callable[[Decision, Facts, Action, str], Decision]] = {
    "approve": _approve,
    "promote": _promote,
    "abort": _abort,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
}
