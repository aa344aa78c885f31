"""The audit trail: each decision and action as one line, and as one event for sinks; pure.

A line says what happened, who asked, what was known (the numbers of the analysis), and what
followed: revisions, stage and weights before and after. Nothing in it is measured anew: it is what
the decision rested on.

A process that is killed after it wrote a status tells nobody what the status says. So what a status
remembers is told from there as well (`recall_audit`), under the same ids: whoever was told already
drops it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    AfterPromotionStatus,
    HistoryEntry,
    LastAction,
    ModelDeployment,
)
from slipway.api.names import ANNOTATION_CHANGED_BY
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire, to_wire
from slipway.policy.decision import DONE, Decision, Event, reason_of_end
from slipway.policy.facts import Facts

OPERATOR = "slipway"
"""Who decides, where no person asked."""
RECALLED = timedelta(hours=1)
"""What a status says to have happened longer ago is not told from it any more."""
TYPE_PREFIX = "dev.slipway."
MOVED = f"{TYPE_PREFIX}traffic.moved"
ACTION_DONE = f"{TYPE_PREFIX}action.done"
ACTION_REFUSED = f"{TYPE_PREFIX}action.refused"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line."""

    id: str
    """The same however often this is told, also by another process."""
    type: str
    """What happened, as CloudEvents name it: ``dev.slipway.rollout.promoted``."""
    at: datetime
    message: str
    fields: Mapping[str, object]
    is_warning: bool = False


def type_of(reason: Reason) -> str:
    """Return the type of a decision: ``….rolled_back`` of RolledBack, ``….started``."""
    return f"{TYPE_PREFIX}rollout.{reason.name.lower().removeprefix('rollout_')}"


def describe_answer(action: LastAction) -> str:
    """Return who asked for what, what became of it, and why it was asked for."""
    why = f"; reason: {action.request_reason}" if action.request_reason else ""
    return f"{action.verb} by {action.by}: {action.result}{why}"


def describe_audit(decision: Decision, facts: Facts, now: datetime) -> Iterator[AuditLine]:
    """Yield a line for an action, for each event beside it, and for weights that are written."""
    action = decision.last_action if decision.last_action != facts.status.last_action else None
    refused = decision.refused_action
    action = action or (refused if refused != facts.status.refused_action else None)
    by = action.by if action is not None else OPERATOR
    state = _describe_state(decision, facts)

    if action is not None:
        yield _tell_action(facts.md, action, now, state)
    for number, event in enumerate(decision.events):
        if event.why.reason is not Reason.ACTION:
            known = {"by": by, **state}
            yield _tell_decision(decision, facts, event, number=number, now=now, state=known)

    before = _find_weights(facts)
    if decision.weights != before:
        about = {"audit": "weights", "by": by, "reason": decision.reason}
        yield AuditLine(
            _name_pass(facts, "weights"), MOVED, now, decision.message, {**about, **state}
        )


def recall_audit(md: ModelDeployment, now: datetime) -> Iterator[AuditLine]:
    """Yield what the status says to have happened in the last hour, with less than was known."""
    status, state = md.status, {**_describe_object(md), "recalled": True}
    oldest = now - RECALLED

    for action in (status.last_action, status.refused_action):
        if action is not None and _moment(action.at, now) >= oldest:
            yield _tell_action(md, action, now, state)
    for entry in status.history:
        if _moment(entry.at, now) >= oldest:
            is_serving = status.stable is not None
            ended = reason_of_end(status.history, entry, is_serving=is_serving)
            yield _tell_end(md, entry, Why(ended, entry.reason), now, {"by": OPERATOR, **state})

    watched = status.after_promotion
    if watched is not None and watched.finding and _moment(watched.found_at, now) >= oldest:
        about = {"audit": "decision", "by": OPERATOR, "reason": Reason.WORSE_AFTER_PROMOTION.value}
        yield AuditLine(
            _name_finding(md, watched),
            type_of(Reason.WORSE_AFTER_PROMOTION),
            _moment(watched.found_at, now),
            watched.finding,
            {**about, **state},
            is_warning=True,
        )


def _tell_action(
    md: ModelDeployment, action: LastAction, now: datetime, state: Mapping[str, object]
) -> AuditLine:
    is_done = action.result == DONE
    asked = {
        "verb": action.verb,
        "id": action.id,
        "result": action.result,
        "requestReason": action.request_reason,
    }
    return AuditLine(
        f"{md.metadata.uid}/action/{action.id}",
        ACTION_DONE if is_done else ACTION_REFUSED,
        _moment(action.at, now),
        describe_answer(action),
        {"audit": "action", "by": action.by, **asked, **state},
        is_warning=not is_done,
    )


def _tell_decision(
    decision: Decision,
    facts: Facts,
    event: Event,
    *,
    number: int,
    now: datetime,
    state: Mapping[str, object],
) -> AuditLine:
    """Return the line of an event; where the status remembers it, under the id that it has there.

    `number` tells events of one pass apart.
    """
    for entry in decision.history:
        is_serving = decision.stable is not None
        ended = reason_of_end(decision.history, entry, is_serving=is_serving)
        if entry not in facts.status.history and ended is event.why.reason:
            return _tell_end(facts.md, entry, event.why, now, state)

    reason, watched = event.why.reason, decision.after_promotion
    name = _name_pass(facts, f"{number}/{reason.value}")
    if reason is Reason.WORSE_AFTER_PROMOTION and watched is not None:
        name = _name_finding(facts.md, watched)
    if reason is Reason.AWAITING_APPROVAL:
        name = _name_wait(decision, facts)
    about = {"audit": "decision", "reason": reason.value}
    return AuditLine(
        name, type_of(reason), now, event.message, {**about, **state}, is_warning=event.warning
    )


def _tell_end(
    md: ModelDeployment,
    entry: HistoryEntry,
    why: Why,
    now: datetime,
    state: Mapping[str, object],
) -> AuditLine:
    """Return the line of a revision that ended: promoted, rejected, or taken back."""
    reason = why.reason
    ended = {
        "revision": entry.revision,
        "version": entry.version,
        "outcome": entry.outcome.value,
        "reason": entry.reason,
        "unjudged": entry.unjudged,
    }
    about = {"audit": "decision", "reason": reason.value, "ended": ended}
    return AuditLine(
        f"{md.metadata.uid}/{entry.revision or entry.version}/{entry.outcome.value}/{entry.at}",
        type_of(reason),
        _moment(entry.at, now),
        why.message,
        {**about, **state},
        is_warning=reason not in {Reason.PROMOTED, Reason.SUPERSEDED},
    )


def _name_pass(facts: Facts, what: str) -> str:
    """Return an id of what no status remembers: the object that the decision was made on."""
    metadata = facts.metadata
    return f"{metadata.uid}/{metadata.resource_version}/{what}"


def _name_wait(decision: Decision, facts: Facts) -> str:
    """Return the id of a wait for approval: one for each weight, whatever interrupts it."""
    memory = decision.memory
    began = to_wire(memory.started_at) if memory.started_at is not None else ""
    place = f"{decision.candidate or facts.input}/{began}/{memory.acked_weight}"
    return f"{facts.metadata.uid}/{place}/{Reason.AWAITING_APPROVAL.value}"


def _name_finding(md: ModelDeployment, watched: AfterPromotionStatus) -> str:
    return f"{md.metadata.uid}/{watched.revision}/finding/{watched.found_at}"


def _moment(text: str | None, otherwise: datetime) -> datetime:
    return from_wire(text) or otherwise


def _describe_object(md: ModelDeployment) -> Mapping[str, object]:
    """Return which object this is about, at which spec."""
    metadata = md.metadata
    return {
        "namespace": metadata.namespace,
        "object": metadata.name,
        "uid": metadata.uid,
        "generation": metadata.generation,
        "version": md.spec.model.version,
        "changedBy": metadata.annotations.get(ANNOTATION_CHANGED_BY, "")[:128],
    }


def _describe_state(decision: Decision, facts: Facts) -> Mapping[str, object]:
    """Return what was known, and what followed."""
    status = facts.status
    stage = status.rollout.stage if status.rollout is not None else None
    candidate = decision.candidate or facts.candidate
    return {
        **_describe_object(facts.md),
        "candidate": candidate,
        "stable": {"from": facts.stable, "to": decision.stable},
        "stage": {"from": stage, "to": decision.stage},
        "weights": {"from": _find_weights(facts), "to": dict(decision.weights)},
        "cause": decision.memory.cause,
        "unjudged": decision.memory.unjudged,
        "metrics": [
            {
                "name": it.name,
                "verdict": it.verdict.value,
                "candidate": it.candidate,
                "baseline": it.baseline,
                "limit": it.limit,
                "samples": it.samples,
                "baselineSamples": it.baseline_samples,
            }
            for it in facts.judgements
        ],
    }


def _find_weights(facts: Facts) -> Mapping[str, int]:
    return dict(facts.route.weights) if facts.route is not None else {}
