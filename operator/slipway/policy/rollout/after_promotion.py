"""After the promotion: somebody still looks, for as long as the spec says.

It is a state beside the stages, and holds nothing up: a worsening is told once, in the status and
by an event. Where the spec asks for it, the operator then does what a person would do by
`rollback=<revision>`: the version in the spec is held, and the revision before it gets its pods,
and with all of them ready the traffic. That one is not rejected either way: nothing was compared.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    AfterPromotionMode,
    AfterPromotionStatus,
    Automatic,
    Level,
    Outcome,
)
from slipway.api.reasons import Reason, shortened
from slipway.api.times import from_wire, to_wire
from slipway.policy.facts import Facts
from slipway.policy.promotion_watch import record_level
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.earlier_revision import ask_back, find_no_way_back
from slipway.policy.rollout.fast_lane import came_back, find_level, is_in_fast_lane

WATCHER = "afterPromotion"
"""Who asks for the way back, where a person would have a name."""
LOOK_EVERY = timedelta(minutes=1)


def watched_level(facts: Facts, now: datetime) -> AfterPromotionStatus | None:
    """Return the level that stable is watched against; None: nobody watches it."""
    level = facts.status.after_promotion
    if facts.spec.rollout.after_promotion.mode is AfterPromotionMode.OFF:
        return None
    if level is None or level.revision != facts.stable or level.finding is not None:
        return None
    until = from_wire(level.until)
    return level if until is not None and now < until else None


def begin_watching(draft: Draft, revision: str) -> AfterPromotionStatus | None:
    """Return what a revision was in its rollout, where it is to be watched from now on.

    What nobody judged is no level: the first revision, or one that a person promoted. One that
    came back in the fast lane is watched against its own rollout, which is over.
    """
    watching = draft.spec.rollout.after_promotion
    if watching.mode is AfterPromotionMode.OFF:
        return None
    if is_in_fast_lane(draft):
        return _watch_again(draft, revision, watching.hours)
    was_judged = draft.stable is not None and draft.memory.judged_weight > 0
    if not was_judged:
        return None
    return record_level(revision, draft.facts.served, watching.hours, draft.now)


def find_judged_level(draft: Draft, watched: AfterPromotionStatus | None) -> Level | None:
    """Return what the candidate was in this rollout, for the day on which it comes back."""
    if watched is None or is_in_fast_lane(draft):
        return None
    return Level(
        requests=watched.requests,
        errors=watched.errors,
        slow_millis=watched.slow_millis,
        slow=watched.slow,
    )


def find_evidence_against_stable(draft: Draft) -> str | None:
    """Return why stable is replaced: a person or the watch wants it gone, or found it worse."""
    if draft.goes_back and draft.decision.hold is not None:
        return draft.decision.hold.reason
    level = draft.decision.after_promotion
    is_found = level is not None and level.revision == draft.stable
    return level.finding if level is not None and is_found else None


def _watch_again(draft: Draft, revision: str, hours: int) -> AfterPromotionStatus | None:
    """Return the level of one that comes back: its own, or of the one that it replaces.

    The first revision was compared with nobody. The one that replaced it was compared with it.
    """
    until = to_wire(draft.now + timedelta(hours=hours))
    own = find_level(revision, draft.decision.history)
    if own is not None:
        return AfterPromotionStatus(
            revision=revision,
            until=until,
            requests=own.requests,
            errors=own.errors,
            slow_millis=own.slow_millis,
            slow=own.slow,
        )
    replaced = draft.decision.after_promotion
    if replaced is None or replaced.revision != draft.stable:
        return None
    fresh = {"revision": revision, "until": until, "finding": None, "found_at": None}
    return replaced.model_copy(update=fresh)


def note_worsening(draft: Draft) -> Draft:
    """Tell once that stable became worse, and take it back where the spec asks for that."""
    level, finding = watched_level(draft.facts, draft.now), draft.facts.worsening
    if level is None or finding is None:
        return draft

    noted = level.model_copy(update={"finding": shortened(finding), "found_at": to_wire(draft.now)})
    draft = draft.having(replace(draft.decision, after_promotion=noted))
    back = _find_way_back(draft)
    told = f"{finding}; going back to revision {back}" if back is not None else finding
    draft = draft.tell(Reason.WORSE_AFTER_PROMOTION, told, warning=True)
    return draft if back is None else ask_back(draft, back, f"{WATCHER}: {finding}")


def _find_way_back(draft: Draft) -> str | None:
    """Return the revision that served before, if the spec asks to go back and it can serve."""
    spec = draft.spec
    asks = spec.rollout.after_promotion.mode is AfterPromotionMode.ROLL_BACK
    if not asks or spec.rollback.automatic is Automatic.DISABLED:
        return None
    wanted = draft.facts.wanted
    if draft.candidate or wanted is None or wanted.name != draft.stable:
        return None  # another version is on its way, which may be the fix
    if draft.decision.hold is not None or draft.is_paused:
        return None  # a person decides
    if came_back(draft.stable, draft.decision.history):
        return None  # what served before was just taken out

    promoted = (
        entry.revision
        for entry in reversed(draft.decision.history)
        if entry.outcome is Outcome.PROMOTED and entry.revision != draft.stable
    )
    before = next(promoted, None)
    return before if before and find_no_way_back(before, draft) is None else None
