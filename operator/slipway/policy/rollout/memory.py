"""What the last pass left: from status, or, where that is lost, from revisions and route."""

from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import (
    HistoryEntry,
    Outcome,
    Rejected,
    RolloutStatus,
    Stage,
)
from slipway.api.times import to_wire
from slipway.policy.decision import Decision, Ended
from slipway.policy.facts import Facts

REMEMBERED = frozenset(
    {Outcome.REJECTED_BY_GOLDEN_SET, Outcome.REJECTED_BY_SIGNATURE, Outcome.ROLLED_BACK}
)
LIFTED_BY_GOLDEN_SET = frozenset({Outcome.REJECTED_BY_GOLDEN_SET, Outcome.REJECTED_BY_SIGNATURE})
MOST_REJECTED = 20


def recall(facts: Facts) -> Decision:
    """Return a decision that changes nothing: everything as it was found."""
    status = facts.status
    memory = status.rollout or RolloutStatus()
    stage = memory.underlying or memory.stage
    if status.rollout is None and facts.candidate is not None:
        stage = Stage.PROGRESSING  # the status was lost: its step begins again
    hold = status.hold if status.hold and status.hold.input == facts.input else None
    return Decision(
        memory=memory.model_copy(update={"stage": stage, "underlying": None}),
        stage=stage,
        reason="",
        message="",
        stable=facts.stable,
        candidate=facts.candidate,
        weights=dict(facts.route.weights) if facts.route else {},
        history=tuple(status.history),
        rejected=_known_refusals(facts) if facts.is_status_lost else tuple(status.rejected),
        hold=hold,
        last_rollback=status.last_rollback,
        last_action=status.last_action,
        refused_action=status.refused_action,
    )


def _known_refusals(facts: Facts) -> tuple[Rejected, ...]:
    """Return what the revisions themselves say; the numbers were in the status."""
    refused = [item for item in facts.revisions.values() if item.outcome in REMEMBERED]
    refused.sort(key=lambda item: item.outcome_at or item.created)
    entries = tuple(
        Rejected(
            revision=item.name,
            version=item.snapshot.version,
            digest=item.snapshot.model_digest,
            outcome=item.outcome,
            reason=f"{item.outcome.value} before the status was lost",
            golden_set=facts.golden or None,
            at=to_wire(item.outcome_at or item.created),
        )
        for item in refused
        if item.outcome is not None
    )
    return _trimmed(entries, facts)


def blocked_by(d: Decision, facts: Facts) -> tuple[str, str] | None:
    """Return why the input in the spec stays out: a reason and a sentence; None: it does not."""
    if d.hold is not None:
        return "Held", f"held: {d.hold.reason}; change the spec or use the action retry"
    wanted = facts.wanted
    for entry in reversed(d.rejected):
        if wanted is None or entry.revision != wanted.name:
            continue
        if entry.outcome in LIFTED_BY_GOLDEN_SET and (entry.golden_set or "") != facts.golden:
            continue
        return "RevisionRejected", f"version {entry.version} is refused: {entry.reason}"
    return None


def record(
    d: Decision,
    facts: Facts,
    outcome: Outcome,
    reason: str,
    now: datetime,
    *,
    unjudged: str | None = None,
) -> Decision:
    """Return the decision with the candidate's end noted; evidence is remembered as well."""
    known = facts.revisions[d.candidate or ""]
    snapshot = known.snapshot
    entry = HistoryEntry(
        revision=known.name,
        version=snapshot.version,
        outcome=outcome,
        reason=reason[:1024],
        unjudged=unjudged,
        at=to_wire(now),
    )
    history = (*d.history, entry)[-facts.spec.rollback.history_limit :]
    rejected = tuple(item for item in d.rejected if item.revision != known.name)
    if outcome in REMEMBERED:
        refused = Rejected(
            revision=known.name,
            version=snapshot.version,
            digest=snapshot.model_digest,
            outcome=outcome,
            reason=reason[:1024],
            golden_set=facts.golden or None,
            at=to_wire(now),
        )
        rejected = _trimmed((*rejected, refused), facts)
    ended = (*d.outcomes, Ended(known.name, outcome))
    return replace(d, history=history, rejected=rejected, outcomes=ended)


def _trimmed(rejected: tuple[Rejected, ...], facts: Facts) -> tuple[Rejected, ...]:
    """Keep the newest; the entry of the revision in the spec is never trimmed."""
    wanted = facts.wanted.name if facts.wanted else None
    kept = list(rejected)
    for entry in rejected:
        if len(kept) <= MOST_REJECTED:
            break
        if entry.revision != wanted:
            kept.remove(entry)
    return tuple(kept)
