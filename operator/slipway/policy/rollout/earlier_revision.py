"""Back to an earlier revision, because a person asked: `rollback=<revision>`.

The wish lies in `status.hold`: it keeps the spec's input out, and names the revision that is to
serve meanwhile, until the spec's input changes or somebody asks for `retry`. The revision becomes
the candidate: its pods are started, and only when all of them are ready it gets all of the traffic.
"""

from dataclasses import replace

from slipway.api.modeldeployment import Hold, Outcome
from slipway.api.reasons import shortened
from slipway.policy.decision import Decision
from slipway.policy.facts import RevisionFact
from slipway.policy.rollout.draft import Draft


def find_wanted_revision(draft: Draft) -> RevisionFact | None:
    """Return the earlier revision that a person wants back and that does not serve yet."""
    hold = draft.decision.hold
    name = hold.revision if hold is not None else None
    if name is None or name == draft.stable or _find_rejection(name, draft.decision) is not None:
        return None
    return draft.facts.revisions.get(name)


def find_no_way_back(name: str | None, draft: Draft) -> str | None:
    """Return why the revision cannot be gone back to; None: it can, or it means to abort."""
    if draft.candidate and name in {None, draft.stable}:
        return None
    if name is None:
        return f"name the revision, as in rollback=0123abcd; {_list_available(draft)}"
    if name == draft.stable:
        return f"{name} serves already"
    if name == draft.candidate:
        return f"{name} is the candidate: promote gives it all of the traffic"
    if name not in draft.facts.revisions:
        return f"revision {name} does not exist any more; {_list_available(draft)}"

    rejection = _find_rejection(name, draft.decision)
    if rejection is not None:
        return f"{name} was rejected: {rejection}"
    if not _was_promoted(name, draft):
        return f"{name} was never promoted; {_list_available(draft)}"
    return None


def ask_back(draft: Draft, name: str, by: str) -> Draft:
    """Return the draft with the wish noted; a candidate that is in the way is withdrawn."""
    version = draft.facts.revisions[name].snapshot.version
    reason = f"rollback to {name} (version {version}) by {by}"
    hold = Hold(input=draft.facts.input, reason=reason, revision=name)
    draft = draft.having(replace(draft.decision, hold=hold))
    if not draft.candidate:
        return draft
    return draft.remember(replace(draft.memory, outcome=Outcome.ABORTED, cause=reason))


def hold_after_withdrawal(draft: Draft, cause: str) -> Hold | None:
    """Return what stays out after the candidate was taken away: its input, or the spec's."""
    hold = draft.decision.hold
    if hold is not None and hold.revision not in {None, draft.decision.candidate}:
        return hold

    candidate, stable = draft.candidate_revision, draft.stable_revision
    is_spec = candidate is None or draft.goes_back
    held = draft.facts.input if is_spec or candidate is None else candidate.snapshot.input
    has_new_bytes = not is_spec and candidate is not None and candidate.name != draft.stable
    if stable is not None and stable.snapshot.input == held and not has_new_bytes:
        return None
    return Hold(input=held, reason=shortened(cause))


def _find_rejection(name: str, decision: Decision) -> str | None:
    return next((entry.reason for entry in decision.rejected if entry.revision == name), None)


def _was_promoted(name: str, draft: Draft) -> bool:
    if draft.facts.revisions[name].outcome is Outcome.PROMOTED:
        return True
    return any(
        entry.revision == name and entry.outcome is Outcome.PROMOTED
        for entry in draft.decision.history
    )


def _list_available(draft: Draft) -> str:
    """Name the revisions that can be gone back to, the newest first."""
    revisions = sorted(draft.facts.revisions.values(), key=lambda it: it.created, reverse=True)
    available = [
        f"{item.name} (version {item.snapshot.version})"
        for item in revisions
        if item.name != draft.stable
        and _find_rejection(item.name, draft.decision) is None
        and _was_promoted(item.name, draft)
    ]
    if not available:
        return "no earlier promoted revision is available"
    return f"available: {', '.join(available)}"
