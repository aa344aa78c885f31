"""Idle: no candidate; whether the spec asks for one, and whether it may start."""

from slipway.api.modeldeployment import LastRollback, Outcome, Stage
from slipway.api.reasons import Reason
from slipway.api.times import to_wire
from slipway.policy.decision import Ended
from slipway.policy.facts import RevisionFact
from slipway.policy.rollout.draft import SAFETY_POLL, Draft
from slipway.policy.rollout.earlier_revision import find_wanted_revision
from slipway.policy.rollout.fast_lane import WAY_BACK, takes_fast_lane
from slipway.policy.rollout.look_again import is_look_asked_for, look_again, refresh
from slipway.policy.rollout.packaging import package
from slipway.policy.rollout.recreating import begin_recreating
from slipway.policy.rollout.rejections import find_obstacle
from slipway.policy.rollout.starting import start
from slipway.policy.rollout.swapping import (
    LOOK_AGAIN,
    are_given_back,
    close_places,
    find_refusal,
    plan_places,
)
from slipway.policy.rollout_memory import RolloutMemory
from slipway.records import replace

UNJUDGED_LENGTH = 256


def stay_idle_or_begin(draft: Draft) -> Draft:
    """Find out whether the spec asks for another version, and begin with it."""
    draft = close_places(draft.having(replace(draft.decision, candidate=None)))
    facts, stable = draft.facts, draft.stable_revision

    # What a person wants back comes before what the spec asks for: that is its meaning.
    earlier = find_wanted_revision(draft)
    if earlier is not None:
        return _make_candidate(draft, earlier)
    if stable is not None and _serves_wanted(draft):
        memory = replace(draft.memory, input=facts.input, failures=0, retry_at=None)
        draft = draft.having(
            replace(draft.decision, hold=None, memory=memory, outcomes=_missing_outcome(stable))
        )
        message = f"version {stable.snapshot.version} serves"
        return refresh(draft.enter(Stage.IDLE, Reason.PROMOTED, message))

    obstacle = find_obstacle(draft)
    if obstacle is not None:
        idle = draft.enter(Stage.IDLE, obstacle.reason, obstacle.message)
        idle = refresh(idle) if obstacle.reason is Reason.REVISION_REJECTED else idle
        return idle.stall(obstacle.reason)
    if facts.spec_error is not None:
        idle = draft.enter(Stage.IDLE, Reason.INVALID_SPEC, facts.spec_error)
        return idle.stall(Reason.INVALID_SPEC)
    if facts.wanted is None:
        return package(draft)
    if is_look_asked_for(draft):
        return look_again(draft)
    return _make_candidate(draft, facts.wanted)


def _serves_wanted(draft: Draft) -> bool:
    """Return whether stable is what the spec asks for.

    Of the revisions that one input has become, as its address got other bytes, it is the one that
    the last look found; without a look it is whichever serves.
    """
    facts, stable = draft.facts, draft.stable_revision
    if stable is None or stable.snapshot.input != facts.input:
        return False
    source = draft.decision.source
    found = source.revision if source is not None else None
    return found is None or found not in facts.revisions or found == stable.name


def _missing_outcome(stable: RevisionFact) -> tuple[Ended, ...]:
    """Return the outcome that a ControllerRevision lacks which was deleted and made anew."""
    if stable.outcome is Outcome.PROMOTED:
        return ()
    return (Ended(stable.name, Outcome.PROMOTED),)


def _make_candidate(draft: Draft, wanted: RevisionFact) -> Draft:
    """Make a revision the candidate, unless it failed to start just now or others come first."""
    memory, snapshot = draft.memory, wanted.snapshot
    is_same = memory.input == snapshot.input
    if is_same and memory.retry_at is not None and memory.retry_at > draft.now:
        return draft.enter(
            Stage.FAILED,
            Reason.FAILED_TO_START,
            f"{memory.cause}; next attempt at {to_wire(memory.retry_at)}",
            requeue_after=memory.retry_at - draft.now,
        )

    way_back = _describe_way_back(draft, wanted)
    if draft.facts.turn is not None and way_back is None and not draft.is_stable_down:
        return draft.enter(
            Stage.IDLE, Reason.AWAITING_TURN, draft.facts.turn, requeue_after=SAFETY_POLL
        )

    if not are_given_back(draft) and not draft.is_stable_down:
        message = "waiting until stable has its places again, which the last rollout shared"
        return draft.enter(Stage.IDLE, Reason.AWAITING_CAPACITY, message, requeue_after=LOOK_AGAIN)
    refusal = find_refusal(draft)
    if refusal is not None:
        return draft.enter(Stage.IDLE, Reason.GAP_REFUSED, refusal).stall(Reason.GAP_REFUSED)

    is_retry = is_same and memory.failures > 0
    fresh = RolloutMemory(
        stage=Stage.STARTING,
        input=snapshot.input,
        attempt=memory.attempt + 1 if is_retry else 1,
        failures=memory.failures if is_retry else 0,
        started_at=draft.now,
        paused=memory.paused,
        stable_down_since=memory.stable_down_since,
        recreate=begin_recreating(draft),
        unjudged=way_back[:UNJUDGED_LENGTH] if way_back is not None else None,
    )
    decision = replace(
        draft.decision,
        candidate=wanted.name,
        memory=fresh,
        rejected=tuple(it for it in draft.decision.rejected if it.revision != wanted.name),
        last_rollback=_note_way_back(draft, wanted, way_back),
    )

    draft = draft.having(decision)
    text = f"version {snapshot.version}, revision {wanted.name}"
    if way_back is not None:
        text += f": {way_back}"
    return start(plan_places(draft.tell(Reason.ROLLOUT_STARTED, text)))


def _describe_way_back(draft: Draft, wanted: RevisionFact) -> str | None:
    """Return why a revision needs no evidence: a person wants it back, or the spec does."""
    hold = draft.decision.hold
    if hold is not None:
        return hold.reason
    is_fast = takes_fast_lane(draft, wanted.name)
    return f"{WAY_BACK} {wanted.snapshot.version}" if is_fast else None


def _note_way_back(draft: Draft, wanted: RevisionFact, way_back: str | None) -> LastRollback | None:
    """Note the way back to an earlier revision as a roll back of the one that serves."""
    if way_back is None or draft.stable is None:
        return draft.decision.last_rollback
    return LastRollback(
        from_=draft.stable,
        to=wanted.name,
        trigger=way_back,
        decided_at=to_wire(draft.now),
    )
