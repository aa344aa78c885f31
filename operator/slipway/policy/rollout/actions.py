"""Consumes the action annotation: each is done once, or refused with a reason, and acknowledged."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import LastAction, Outcome, Stage
from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_REQUESTED_BY
from slipway.api.times import from_wire, to_wire
from slipway.policy.action_grammar import Action, Situation, misdated, parse, refusal
from slipway.policy.decision import DONE, Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.ladder import next_rung
from slipway.policy.rollout import packaging
from slipway.policy.rollout.bake_alarm import ladder_of
from slipway.policy.rollout.earlier_revision import ask_back, held_after, no_way_back, wanted_back
from slipway.policy.rollout.hooks import at_once, is_waited_for
from slipway.policy.rollout.idle import is_check_repeated
from slipway.policy.rollout.memory import blocked_by
from slipway.policy.rollout.transition import overall

STATUS_LOST = "the status was lost, and with it whether this was done before; ask again"
UNVERIFIED = "unverified"
LONGEST_NAME = 128
MOST_EARLIER = 10
NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def consume(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Return the decision with a new action done or refused; one that is known changes nothing.

    What is refused for its id is said, and does not count: the next one may have a smaller id.
    """
    action = parse(facts.metadata.annotations.get(ANNOTATION_ACTION))
    if action is None or _is_answered(action, d.last_action, d.refused_action):
        return d
    last = d.last_action.id if d.last_action is not None else 0
    created = from_wire(facts.metadata.creation_timestamp)
    refused = misdated(action.id, last, created, now)
    if refused is not None:
        entry = _entry(action, d.refused_action, facts, refused, now)
        return _told(replace(d, refused_action=entry), entry)
    refused = STATUS_LOST if facts.is_status_lost else None
    refused = refused or refusal(action, _situation(action, d, facts))
    entry = _entry(action, d.last_action, facts, refused, now)
    if refused is None:
        d = EFFECTS[action.verb](d, facts, action, entry.by)
    return _told(replace(d, last_action=entry), entry)


def _is_answered(action: Action, *entries: LastAction | None) -> bool:
    """Return whether the id is known: tools apply what they have, again and again."""
    told = [entry for entry in entries if entry is not None]
    return any(action.id in {entry.id, *entry.earlier} for entry in told)


def _entry(
    action: Action, before: LastAction | None, facts: Facts, refused: str | None, now: datetime
) -> LastAction:
    earlier = [*before.earlier, before.id] if before is not None else []
    return LastAction(
        id=action.id,
        earlier=earlier[-MOST_EARLIER:],
        verb=action.verb,
        by=_who(facts),
        at=to_wire(now),
        result=f"Refused: {refused}"[:1024] if refused is not None else DONE,
    )


def _told(d: Decision, entry: LastAction) -> Decision:
    text = f"{entry.verb} by {entry.by}: {entry.result}"[:1000]
    event = Event("Action", text, warning=entry.result != DONE)
    return replace(d, events=(*d.events, event))


def _who(facts: Facts) -> str:
    """Return who asked; only an admission policy makes the annotation worth anything."""
    name = facts.metadata.annotations.get(ANNOTATION_REQUESTED_BY, "")
    if not name or not facts.requester_is_verified:
        return UNVERIFIED
    return NOT_PRINTABLE.sub("?", name)[:LONGEST_NAME]


def _situation(action: Action, d: Decision, facts: Facts) -> Situation:
    rollout = facts.status.rollout
    verdict = overall(facts)
    return Situation(
        candidate=d.candidate,
        step=d.memory.step,
        stage=rollout.stage if rollout is not None else Stage.IDLE,
        underlying=Stage.ROLLING_BACK if d.memory.outcome is not None else d.memory.stage,
        weight=d.memory.acked_weight,
        lowered_to=_lowered_to(d, facts),
        straight=d.memory.unjudged,
        skipped=0 < d.memory.acked_weight == d.memory.skipped_weight,
        paused_by_action=d.memory.paused,
        paused_by_spec=facts.spec.paused,
        failing=verdict.message if verdict.verdict == "Fail" else None,
        coming=d.candidate is None and _is_coming(d, facts),
        can_retry=_can_retry(d, facts),
        no_way_back=no_way_back(action.argument, d, facts),
    )


def _lowered_to(d: Decision, facts: Facts) -> int | None:
    written = facts.written_weight(d.candidate)
    return written if written < d.memory.acked_weight else None


def _is_coming(d: Decision, facts: Facts) -> bool:
    """Also where nothing of it could be written yet, as when admission denies its Deployment."""
    if wanted_back(d, facts) is not None or d.memory.stage in {Stage.PACKAGING, Stage.FAILED}:
        return True
    stable = facts.revisions.get(d.stable or "")
    is_new = stable is None or stable.snapshot.input != facts.input
    return is_new and facts.spec_error is None and blocked_by(d, facts) is None


def _can_retry(d: Decision, facts: Facts) -> bool:
    return (
        packaging.is_repeated(d, facts)
        or blocked_by(d, facts) is not None
        or d.memory.failures > 0
        or is_check_repeated(d, facts)
        or is_waited_for(d)
    )


def _approve(d: Decision, facts: Facts, _action: Action, _by: str) -> Decision:
    rung = next_rung(ladder_of(d, facts), d.memory.acked_weight)
    return _remember(d, approved_weight=rung.weight)


def _promote(d: Decision, _facts: Facts, _action: Action, by: str) -> Decision:
    """Go to 100 now, also where `pause` held it: what was asked last is what is wanted."""
    return _remember(d, unjudged=f"promote by {by}", paused=False)


def _skip(d: Decision, _facts: Facts, _action: Action, by: str) -> Decision:
    """End the step that every proxy has in force, and people saw.

    Where the next weight is written already, by this skip before a crash or by the evidence, that
    step is over, and the next one keeps its own.
    """
    weight = d.memory.acked_weight
    before = f"{d.memory.skipped}, " if d.memory.skipped else ""
    said = f"{before}{weight} % skipped by {by}"
    return _remember(d, skipped_weight=weight, skipped=said if len(said) <= 256 else before[:256])  # noqa: PLR2004 -- the schema's limit


def _abort(d: Decision, facts: Facts, _action: Action, by: str) -> Decision:
    cause = f"aborted by {by}"
    if d.candidate is None:
        return replace(d, hold=held_after(replace(d, hold=None), facts, cause))
    return _remember(d, outcome=Outcome.ABORTED, cause=cause)


def _rollback(d: Decision, facts: Facts, action: Action, by: str) -> Decision:
    if action.argument is None or action.argument == d.stable:
        return _abort(d, facts, action, by)
    return ask_back(d, facts, action.argument, by)


def _pause(d: Decision, _facts: Facts, _action: Action, _by: str) -> Decision:
    return _remember(d, paused=True)


def _resume(d: Decision, _facts: Facts, _action: Action, _by: str) -> Decision:
    return _remember(d, paused=False)


def _retry(d: Decision, facts: Facts, _action: Action, _by: str) -> Decision:
    wanted = facts.wanted.name if facts.wanted else None
    rejected = tuple(entry for entry in d.rejected if entry.revision != wanted)
    d = at_once(_remember(d, retry_at=None))
    return replace(d, hold=None, rejected=rejected, again=True)


def _remember(d: Decision, **changes: object) -> Decision:
    return replace(d, memory=d.memory.model_copy(update=changes))


EFFECTS: dict[str, Callable[[Decision, Facts, Action, str], Decision]] = {
    "approve": _approve,
    "promote": _promote,
    "skip": _skip,
    "abort": _abort,
    "rollback": _rollback,
    "pause": _pause,
    "resume": _resume,
    "retry": _retry,
}
