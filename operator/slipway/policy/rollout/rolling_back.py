"""Back: weight 0 acknowledged, the candidate drained, and its end remembered."""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Automatic, LastRollback, Outcome, Stage
from slipway.api.times import backoff, to_wire
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.rollout.capacity import is_drained
from slipway.policy.rollout.earlier_revision import goes_back, held_after
from slipway.policy.rollout.memory import recall, record
from slipway.policy.rollout.transition import at, interval


def refuse(
    d: Decision,
    outcome: Outcome,
    cause: str,
    facts: Facts,
    now: datetime,
    *,
    metric: str | None = None,
) -> Decision:
    """Act on evidence: roll back, or hold the weight where the user wants to decide."""
    if facts.spec.rollback.automatic is Automatic.DISABLED and facts.written_weight(d.candidate):
        held = at(d, d.memory.stage, "AnalysisFailed", f"held by rollback.automatic: {cause}")
        return replace(held, stalled="AnalysisFailed", requeue_after=interval(facts))
    return withdraw(d, outcome, cause, facts, now, metric=metric)


def withdraw(
    d: Decision,
    outcome: Outcome,
    cause: str,
    facts: Facts,
    now: datetime,
    *,
    metric: str | None = None,
) -> Decision:
    """Begin to bring the traffic back; what the candidate ends as is decided here."""
    memory = d.memory.model_copy(
        update={"stage": Stage.ROLLING_BACK, "outcome": outcome, "cause": cause[:1024]}
    )
    last = LastRollback(
        from_=d.candidate or "",
        to=d.stable,
        trigger=cause[:1024],
        metric=metric,
        decided_at=to_wire(now),
    )
    hold = d.hold
    if outcome is Outcome.ABORTED or (goes_back(d) and outcome is not Outcome.FAILED_TO_START):
        hold = held_after(d, facts, cause)
    event = Event("RollingBack", cause[:1000], warning=outcome is not Outcome.SUPERSEDED)
    d = replace(d, memory=memory, hold=hold, last_rollback=last, events=(*d.events, event))
    return rolling_back(d, facts, now)


def rolling_back(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Bring the traffic back, wait until it is there and the candidate is drained."""
    candidate = d.candidate or ""
    weights = dict.fromkeys(d.weights, 0)
    weights = weights | {d.stable: 100} if d.stable is not None else {}
    d = at(
        replace(d, weights=weights, header_revision=None),
        Stage.ROLLING_BACK,
        "RollingBack",
        f"{d.memory.cause}",
        requeue_after=timedelta(seconds=1),
    )
    restored = not facts.highest_weight_running(candidate) and (
        facts.is_acknowledged or facts.route is None or candidate not in facts.route.weights
    )
    if not restored:
        return replace(d, needs_live_read=True)
    last = d.last_rollback
    if last is not None and last.traffic_restored_at is None:
        moment = last.decided_at
        if d.memory.acked_weight or facts.written_weight(candidate):
            moment = max(moment, to_wire(facts.acknowledged_at or now))
        d = replace(d, last_rollback=last.model_copy(update={"traffic_restored_at": moment}))
    memory = d.memory.model_copy(update={"acked_weight": 0})
    d = replace(d, memory=memory)
    if not is_drained(facts, candidate, now):
        return d
    return _withdrawn(d, facts, now)


def _withdrawn(d: Decision, facts: Facts, now: datetime) -> Decision:
    outcome = d.memory.outcome or Outcome.ROLLED_BACK
    d = record(d, facts, outcome, d.memory.cause, now)
    last = d.last_rollback
    if last is not None and last.capacity_restored_at is None:
        d = replace(d, last_rollback=last.model_copy(update={"capacity_restored_at": to_wire(now)}))
    failed = outcome is Outcome.FAILED_TO_START
    failures = d.memory.failures + 1 if failed else 0
    memory = d.memory.model_copy(
        update={
            "stage": Stage.FAILED if failed else Stage.IDLE,
            "outcome": None,
            "unjudged": None,
            "skipped": None,
            "skipped_weight": 0,
            "failures": failures,
            "retry_at": to_wire(now + backoff(failures)) if failed else None,
            "step_started_at": None,
        }
    )
    event = Event(outcome.value, d.memory.cause[:1000], warning=outcome is not Outcome.SUPERSEDED)
    d = replace(d, candidate=None, memory=memory, events=(*d.events, event), needs_live_read=True)
    return at(d, memory.stage, outcome.value, d.memory.cause, requeue_after=timedelta(seconds=0.2))


def brings_back(d: Decision, facts: Facts) -> bool:
    """Return whether traffic goes back, and to nobody but the revision that served it so far.

    That one has kept the capacity for it, so that nothing stands before such a write.
    """
    if facts.route is None:
        return False
    written = facts.route.weights
    raised = {name for name, weight in d.weights.items() if weight > written.get(name, 0)}
    falls = any(weight > d.weights.get(name, 0) for name, weight in written.items())
    is_back = Stage.ROLLING_BACK in {d.memory.stage, recall(facts).memory.stage}
    return raised <= {facts.stable} and (falls or is_back)
