"""How candidates outcomes: the history, the rejections, and what these keep out."""

from dataclasses import replace

from slipway.api.modeldeployment import HistoryEntry, Level, Outcome, Rejected
from slipway.api.reasons import Reason, Why, shortened
from slipway.api.times import to_wire
from slipway.policy.decision import Ended
from slipway.policy.facts import Facts
from slipway.policy.rollout.draft import Draft

REMEMBERED = frozenset(
    {
        Outcome.REJECTED_BY_GOLDEN_SET,
        Outcome.REJECTED_BY_SIGNATURE,
        Outcome.REJECTED_BY_SHADOW,
        Outcome.ROLLED_BACK,
    }
)
"""Outcomes that are evidence against the bytes."""
LIFTED_BY_GOLDEN_SET = frozenset({Outcome.REJECTED_BY_GOLDEN_SET, Outcome.REJECTED_BY_SIGNATURE})
MOST_REJECTED = 20


def find_obstacle(draft: Draft) -> Why | None:
    """Return why the input in the spec stays out; None: nothing stands in its way."""
    decision, facts = draft.decision, draft.facts
    if decision.hold is not None:
        message = f"on hold: {decision.hold.reason}; change the spec or run `retry`"
        return Why(Reason.HELD, message)

    wanted = facts.wanted
    for entry in reversed(decision.rejected):
        if wanted is None or entry.revision != wanted.name:
            continue
        if entry.outcome in LIFTED_BY_GOLDEN_SET and (entry.golden_set or "") != facts.golden:
            continue  # another golden set may judge otherwise
        message = f"version {entry.version} was rejected: {entry.reason}"
        return Why(Reason.REVISION_REJECTED, message)
    return None


def record_outcome(
    draft: Draft,
    outcome: Outcome,
    reason: str,
    *,
    unjudged: str | None = None,
    against: str | None = None,
    level: Level | None = None,
) -> Draft:
    """Return the draft with the candidate's end noted; evidence is remembered as well."""
    decision, facts, now = draft.decision, draft.facts, to_wire(draft.now)
    known = facts.revisions[draft.candidate]
    snapshot = known.snapshot

    entry = HistoryEntry(
        revision=known.name,
        version=snapshot.version,
        outcome=outcome,
        reason=shortened(reason),
        unjudged=unjudged,
        against=shortened(against) if against is not None else None,
        level=level,
        at=now,
    )
    history = (*decision.history, entry)[-facts.spec.rollback.history_limit :]

    rejected = tuple(item for item in decision.rejected if item.revision != known.name)
    if outcome in REMEMBERED:
        rejection = Rejected(
            revision=known.name,
            version=snapshot.version,
            digest=snapshot.model_digest,
            outcome=outcome,
            reason=shortened(reason),
            golden_set=facts.golden or None,
            at=now,
        )
        rejected = _keep_newest((*rejected, rejection), facts)

    outcomes = (*decision.outcomes, Ended(known.name, outcome))
    return draft.having(replace(decision, history=history, rejected=rejected, outcomes=outcomes))


def known_rejections(facts: Facts) -> tuple[Rejected, ...]:
    """Return what the revisions themselves say; the numbers were in the status that is lost."""
    rejected = [item for item in facts.revisions.values() if item.outcome in REMEMBERED]
    rejected.sort(key=lambda item: item.outcome_at or item.created)
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
        for item in rejected
        if item.outcome is not None
    )
    return _keep_newest(entries, facts)


def _keep_newest(rejected: tuple[Rejected, ...], facts: Facts) -> tuple[Rejected, ...]:
    """Keep the newest; the entry of the revision in the spec is never trimmed."""
    wanted = facts.wanted.name if facts.wanted else None
    kept = list(rejected)
    for entry in rejected:
        if len(kept) <= MOST_REJECTED:
            break
        if entry.revision != wanted:
            kept.remove(entry)
    return tuple(kept)
