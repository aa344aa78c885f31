"""The fast lane: a spec that names a revision which was promoted before, as after `git revert`.

It has shown what it is, so it goes the way of a roll back: its pods first, then all of the traffic
in one step, without analysis and bake. After that it is watched as every promoted revision is.

Who qualifies follows from the history alone, at every pass anew. Where the status was lost nobody
does: what replaced whom, and why, is not known any more.
"""

from slipway.api.modeldeployment import HistoryEntry, Level, Outcome
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.rejections import REMEMBERED

WAY_BACK = "the way back to version"
ASKED_BACK = "rollback to "
"""How the reason of the action `rollback` begins: it speaks against what it replaces."""


def takes_fast_lane(draft: Draft, name: str | None) -> bool:
    """Return whether a revision gets all of the traffic in one step once its pods are ready."""
    if name is None or draft.stable is None or name == draft.stable:
        return False
    if any(entry.revision == name for entry in draft.decision.rejected):
        return False

    history = draft.decision.history
    promoted = [
        entry.revision
        for entry in reversed(history)
        if entry.outcome is Outcome.PROMOTED and entry.revision != draft.stable
    ]
    qualified = list(dict.fromkeys(promoted))[: draft.spec.rollback.fast_lane_revisions]
    return name in qualified and not _was_taken_out(name, history)


def is_in_fast_lane(draft: Draft) -> bool:
    """Return whether the candidate is in the fast lane, and was since it started."""
    return draft.memory.unjudged is not None and takes_fast_lane(draft, draft.candidate)


def came_back(name: str | None, history: tuple[HistoryEntry, ...]) -> bool:
    """Return whether a revision got its traffic in the fast lane last."""
    last = find_promotion(name, history)
    return last is not None and (last.unjudged or "").startswith(WAY_BACK)


def find_promotion(name: str | None, history: tuple[HistoryEntry, ...]) -> HistoryEntry | None:
    """Return the newest entry of a revision's promotion."""
    promoted = (
        entry
        for entry in reversed(history)
        if entry.revision == name and entry.outcome is Outcome.PROMOTED
    )
    return next(promoted, None)


def find_level(name: str, history: tuple[HistoryEntry, ...]) -> Level | None:
    """Return what a revision was when it was judged last."""
    levels = (entry.level for entry in reversed(history) if entry.revision == name and entry.level)
    return next(levels, None)


def _was_taken_out(name: str, history: tuple[HistoryEntry, ...]) -> bool:
    """Return whether evidence, or a person, took it out since it was promoted last."""
    last = max(
        number
        for number, entry in enumerate(history)
        if entry.revision == name and entry.outcome is Outcome.PROMOTED
    )
    since = history[last + 1 :]
    if any(entry.revision == name and entry.outcome in REMEMBERED for entry in since):
        return True
    successor = next((entry for entry in since if entry.outcome is Outcome.PROMOTED), None)
    return successor is not None and _speaks_against(successor)


def _speaks_against(entry: HistoryEntry) -> bool:
    """Return whether a promotion replaced its predecessor for a reason; also as older releases."""
    return entry.against is not None or (entry.unjudged or "").startswith(ASKED_BACK)
