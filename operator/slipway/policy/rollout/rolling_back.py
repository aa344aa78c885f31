"""Rolling back: weight 0 acknowledged, the candidate drained, and its end remembered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Automatic, LastRollback, Outcome, Stage
from slipway.api.reasons import Reason, shortened
from slipway.api.times import backoff, from_wire, to_wire
from slipway.policy.decision import Decision, reason_of_end
from slipway.policy.facts import Facts
from slipway.policy.ladder import keep_steps
from slipway.policy.proxies import name_late_proxies
from slipway.policy.rollout.capacity import is_drained
from slipway.policy.rollout.draft import ACKNOWLEDGED_WITHIN, DRAIN_POLL, Draft
from slipway.policy.rollout.earlier_revision import hold_after_withdrawal
from slipway.policy.rollout.gap import bring_back
from slipway.policy.rollout.places import standing_places
from slipway.policy.rollout.recall import recall
from slipway.policy.rollout.rejections import record_outcome
from slipway.policy.swap import weight_back
from slipway.policy.weights import ALL

ERRORS = "errors"
FAILS_MOST = 0.5
"""Of a candidate's requests: then any replica of stable does better, however many there are."""
NEXT_INPUT = timedelta(seconds=0.2)
"""After the end of a candidate: the next pass looks at what the spec asks for."""


def act_on_evidence(
    draft: Draft, outcome: Outcome, cause: str, *, metric: str | None = None
) -> Draft:
    """Roll back, or hold the weight where the user wants to decide."""
    if draft.spec.rollback.automatic is Automatic.DISABLED and draft.written_weight:
        message = f"held by rollback.automatic: {cause}"
        held = draft.enter(draft.memory.stage, Reason.ANALYSIS_FAILED, message)
        return held.stall(Reason.ANALYSIS_FAILED).requeue(draft.analysis_interval)
    return begin_rollback(draft, outcome, cause, metric=metric)


def begin_rollback(
    draft: Draft, outcome: Outcome, cause: str, *, metric: str | None = None
) -> Draft:
    """Begin to take the traffic back; what the candidate ends as is decided here."""
    hold = draft.decision.hold
    is_person = outcome is Outcome.ABORTED
    if is_person or (draft.goes_back and outcome is not Outcome.FAILED_TO_START):
        hold = hold_after_withdrawal(draft, cause)

    last = draft.decision.last_rollback
    takes_back = draft.stable is not None or draft.written_weight > 0
    if takes_back:
        last = LastRollback(
            from_=draft.candidate,
            to=draft.stable,
            trigger=shortened(cause),
            metric=metric,
            decided_at=to_wire(draft.now),
        )

    memory = replace(
        draft.memory, stage=Stage.ROLLING_BACK, outcome=outcome, cause=shortened(cause)
    )
    draft = draft.having(replace(draft.decision, memory=memory, hold=hold, last_rollback=last))
    if takes_back:
        is_warning = outcome is not Outcome.SUPERSEDED
        draft = draft.tell(Reason.ROLLING_BACK, cause, warning=is_warning)
    return roll_back(draft)


def roll_back(draft: Draft) -> Draft:
    """Take the traffic back, wait until it is back and the candidate is drained."""
    stable = draft.stable
    if stable is None or (draft.is_stable_down and not draft.can_go_back):
        return _end_without_way_back(draft)

    returning = bring_back(draft)
    if returning is not None:
        return returning.having(replace(returning.decision, header_revision=None))

    facts, candidate = draft.facts, draft.candidate
    weights = dict.fromkeys(draft.decision.weights, 0) | {stable: 100}
    back = _weight_to_take_back(draft, stable)
    if back < ALL:
        weights |= {stable: back, candidate: ALL - back}
    draft = draft.having(replace(draft.decision, weights=weights, header_revision=None))
    draft = draft.enter(
        Stage.ROLLING_BACK, Reason.ROLLING_BACK, draft.memory.cause, requeue_after=DRAIN_POLL
    )

    if back < ALL:
        ready, candidate_has = facts.ready(stable), facts.ready(candidate)
        message = (
            f"swapping replicas back: {ready} of stable ready, {candidate_has} of the candidate "
            f"left: {draft.memory.cause}"
        )
        return draft.enter(
            Stage.ROLLING_BACK, Reason.ROLLING_BACK, message, requeue_after=DRAIN_POLL
        )

    # No proxy may run any weight of it: what was written does not count before.
    is_out_of_route = facts.route is None or candidate not in facts.route.weights
    is_back = facts.is_acknowledged or is_out_of_route
    if facts.highest_weight_running(candidate) or not is_back:
        return _await_way_back(draft)

    draft = _note_restored_traffic(draft)
    draft = draft.remember(replace(draft.memory, acked_weight=0))
    return _end_candidate(draft) if is_drained(facts, candidate, draft.now) else draft


def _weight_to_take_back(draft: Draft, stable: str) -> int:
    """Return the percent that stable gets back now: what its ready replicas can carry.

    All of it where they are as many as the floor, and where the candidate serves nobody well.
    """
    facts, candidate, capacity = draft.facts, draft.candidate, draft.memory.capacity
    if capacity is None or not facts.highest_weight_running(candidate):
        return ALL
    if not facts.ready(candidate) or _fails_most(draft):
        return ALL
    places = standing_places(facts, capacity, stable)
    return max(weight_back(facts.ready(stable), places), facts.written_weight(stable))


def _fails_most(draft: Draft) -> bool:
    errors = (entry.candidate for entry in draft.memory.analysis if entry.name == ERRORS)
    return any(share is not None and share >= FAILS_MOST for share in errors)


def _end_without_way_back(draft: Draft) -> Draft:
    """End a candidate that nobody can take the traffic from.

    In an outage of stable nothing is gained by taking it away, and a fix must not wait for proxies
    that find nobody to send requests to. What serves alone keeps its traffic, as no candidate any
    more, until stable or the next version can take it.
    """
    weights = draft.decision.weights if draft.serves_alone else {}
    if draft.stable is not None and not draft.serves_alone:
        weights = dict.fromkeys(draft.decision.weights, 0) | {draft.stable: 100}
    decision = replace(draft.decision, weights=weights, header_revision=None)
    return _end_candidate(draft.having(decision).remember(replace(draft.memory, acked_weight=0)))


def _await_way_back(draft: Draft) -> Draft:
    """Wait until every proxy has taken the weight back; say so where one does not."""
    draft = draft.having(replace(draft.decision, needs_live_read=True))
    last = draft.decision.last_rollback
    decided_at = from_wire(last.decided_at) if last is not None else None
    if decided_at is None or draft.now - decided_at < ACKNOWLEDGED_WITHIN:
        return draft

    waiting = name_late_proxies(draft.facts)
    message = f"traffic is not back yet, waiting for {waiting}: {draft.memory.cause}"
    draft = draft.enter(Stage.ROLLING_BACK, Reason.ROLLING_BACK, message, requeue_after=DRAIN_POLL)
    draft = draft.having(replace(draft.decision, needs_live_read=True))
    return draft.stall(Reason.DEADLINE_EXCEEDED)


def _note_restored_traffic(draft: Draft) -> Draft:
    last = draft.decision.last_rollback
    if last is None or last.from_ != draft.candidate or last.traffic_restored_at is not None:
        return draft
    if not draft.memory.acked_weight and not draft.written_weight:
        return draft  # it never had any
    decided = from_wire(last.decided_at) or draft.now
    seen = draft.facts.acknowledged_at or draft.now
    proxies = draft.facts.route.proxies if draft.facts.route is not None else ()
    moment = restored_at(decided, seen, [proxy.reported_at for proxy in proxies])
    return draft.having(replace(draft.decision, last_rollback=note_restored(last, traffic=moment)))


def restored_at(decided: datetime, seen: datetime, reported: Sequence[datetime | None]) -> datetime:
    """Return when the last proxy had given the traffic back.

    An operator that is new, or busy, sees it later than it was. So the proxies' own words count,
    between the decision and that moment: their nodes' clocks may differ from this one.
    """
    said = [moment for moment in reported if moment is not None]
    return max(decided, min(seen, max(said, default=seen)))


def _end_candidate(draft: Draft) -> Draft:
    memory = draft.memory
    outcome = memory.outcome or Outcome.ROLLED_BACK
    draft = record_outcome(draft, outcome, memory.cause)

    last = draft.decision.last_rollback
    has_all = memory.capacity is None  # else stable still gets replicas back
    is_open = last is not None and last.capacity_restored_at is None
    if last is not None and is_open and last.from_ == draft.candidate and has_all:
        last = note_restored(last, capacity=draft.now)

    is_environment = outcome is Outcome.FAILED_TO_START
    failures = memory.failures + 1 if is_environment else 0
    memory = replace(
        memory,
        stage=Stage.FAILED if is_environment else Stage.IDLE,
        outcome=None,
        unjudged=None,
        skipped=None,
        skipped_weight=0,
        schedule=keep_steps(memory.schedule),
        judged_weight=0,
        failures=failures,
        retry_at=draft.now + backoff(failures) if is_environment else None,
        step_started_at=None,
    )
    decision = replace(
        draft.decision,
        candidate=None,
        memory=memory,
        last_rollback=last,
        needs_live_read=True,
    )

    history = decision.history
    reason = reason_of_end(history, history[-1], is_serving=decision.stable is not None)
    is_warning = outcome is not Outcome.SUPERSEDED
    draft = draft.having(decision).tell(reason, memory.cause, warning=is_warning)
    return draft.enter(memory.stage, reason, memory.cause, requeue_after=NEXT_INPUT)


def note_restored(
    last: LastRollback, *, traffic: datetime | None = None, capacity: datetime | None = None
) -> LastRollback:
    """Return a roll back with the moments noted at which traffic and capacity were back."""
    return LastRollback(
        from_=last.from_,
        to=last.to,
        trigger=last.trigger,
        metric=last.metric,
        decided_at=last.decided_at,
        traffic_restored_at=to_wire(traffic) if traffic else last.traffic_restored_at,
        capacity_restored_at=to_wire(capacity) if capacity else last.capacity_restored_at,
    )


def brings_back(decision: Decision, facts: Facts) -> bool:
    """Return whether traffic goes back, and to nobody but the revision that served it so far.

    That one has kept the capacity for it, so that nothing stands before such a write.
    """
    if facts.route is None:
        return False
    written = facts.route.weights
    raised = {name for name, weight in decision.weights.items() if weight > written.get(name, 0)}
    falls = any(weight > decision.weights.get(name, 0) for name, weight in written.items())
    is_back = Stage.ROLLING_BACK in {decision.memory.stage, recall(facts).memory.stage}
    return raised <= {facts.stable} and (falls or is_back)
