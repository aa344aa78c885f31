"""In traffic: weights that climb on evidence, the bake, and the promotion.

A weight counts when every proxy has acknowledged it; a step is judged on requests since then.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    AnalysisMode,
    HookStage,
    LastRollback,
    OnInconclusive,
    Outcome,
    Stage,
)
from slipway.api.times import to_wire
from slipway.policy.container_evidence import waiting_for
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement
from slipway.policy.ladder import Rung, next_rung
from slipway.policy.rollout.active_clock import active
from slipway.policy.rollout.bake_alarm import alarm, give_back, ladder_of, remember_before
from slipway.policy.rollout.capacity import share_needs
from slipway.policy.rollout.consent import asked
from slipway.policy.rollout.deadline import CAPACITY, PROXIES, with_deadline
from slipway.policy.rollout.earlier_revision import goes_back
from slipway.policy.rollout.hooks import consents
from slipway.policy.rollout.memory import record
from slipway.policy.rollout.rolling_back import refuse, withdraw
from slipway.policy.rollout.transition import (
    ACK_POLL,
    IN_TRAFFIC,
    at,
    interval,
    is_late,
    is_paused,
    overall,
    words,
)


def _ladder(d: Decision, facts: Facts, now: datetime) -> tuple[Rung, ...]:
    """Return the weights to climb, the bake's last; none: straight to 100, there is no judging."""
    if d.stable is None or d.memory.unjudged or facts.is_down(d.stable, now):
        return ()
    return ladder_of(d, facts)


def progressing(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Climb: the weight is acknowledged, judged, and only then raised."""
    candidate = d.candidate or ""
    written = facts.written_weight(candidate)
    if facts.route is None or (d.stable is not None and candidate not in facts.route.weights):
        fresh = _awaiting(at(d, Stage.PROGRESSING, "", ""), 0, facts.awaited_anew)
        return with_deadline(fresh, facts, now)
    if not facts.is_acknowledged:
        return with_deadline(_unacknowledged(d, facts, written), facts, now)
    d = _step_taken(d, facts, written, now)
    ladder = _ladder(d, facts, now)
    if not ladder:
        if written == 100:  # noqa: PLR2004 -- percent
            return _paused_before_promotion(d, facts) or promote(d, facts, now)
        return _raise(d, facts, Rung(100), now)
    if written == 0:
        return _raise(d, facts, next_rung(ladder, 0), now)
    if written >= ladder[-1].weight:
        return baking(at(d, Stage.BAKING, "Baking", "the bake begins"), facts, now)
    verdict = overall(facts)
    if verdict.verdict == "Fail":
        return refuse(d, Outcome.ROLLED_BACK, words(verdict), facts, now, metric=verdict.name)
    if d.memory.skipped_weight == written:
        return _raise(d, facts, next_rung(ladder, written), now)
    waits = _waits(d, facts, written, now)
    if waits is not None:
        return waits
    is_judged = facts.spec.rollout.analysis.mode is not AnalysisMode.OFF
    if is_judged and verdict.verdict != "Pass":
        return _inconclusive(d, facts, verdict, now)
    return _raise(d, facts, next_rung(ladder, written), now)


def next_weight(d: Decision, facts: Facts, now: datetime) -> int:
    """Return the weight that the candidate must have the capacity for; 0: it gets no more."""
    if d.memory.outcome is not None or d.memory.stage is Stage.ROLLING_BACK:
        return 0
    written = facts.written_weight(d.candidate)
    return next((rung.weight for rung in _ladder(d, facts, now) if rung.weight > written), 100)


def _inconclusive(d: Decision, facts: Facts, verdict: Judgement, now: datetime) -> Decision:
    """Hold the weight; at the deadline do what the user chose."""
    weight = d.memory.acked_weight
    held = at(d, Stage.PROGRESSING, verdict.reason, f"at {weight} %: {verdict.message}")
    held = replace(held, requeue_after=interval(facts))
    if not is_late(d, facts, now):
        return held
    seconds = facts.spec.rollout.deadline_seconds
    cause = f"no verdict after {seconds} s of active time: {verdict.message}"
    match facts.spec.rollout.analysis.on_inconclusive:
        case OnInconclusive.ROLL_BACK:
            return withdraw(d, Outcome.ABORTED, cause, facts, now)
        case OnInconclusive.PROMOTE:
            memory = d.memory.model_copy(update={"unjudged": "deadline: onInconclusive Promote"})
            return progressing(replace(d, memory=memory), facts, now)
        case OnInconclusive.PAUSE:
            reason = "DeadlineExceeded"
            return replace(
                held, stage=Stage.PAUSED, stalled=reason, reason=reason, message=cause[:1024]
            )


def _unacknowledged(d: Decision, facts: Facts, written: int) -> Decision:
    return _awaiting(d, written, facts.awaited)


def _awaiting(d: Decision, weight: int, proxies: str) -> Decision:
    """Say the same when the weight is written and when it is waited for: one status, not two."""
    message = f"weight {weight} is written, not yet acknowledged by: {proxies}"
    stage = d.memory.stage if d.memory.stage in IN_TRAFFIC else Stage.PROGRESSING
    return at(d, stage, PROXIES, message, requeue_after=ACK_POLL)


def _step_taken(d: Decision, facts: Facts, written: int, now: datetime) -> Decision:
    """Note that every proxy has the weight: from here on the step's requests count."""
    if d.memory.acked_weight == written and d.memory.step_started_at is not None:
        return d
    number = sum(1 for step in facts.spec.rollout.steps if step.weight <= written)
    memory = d.memory.model_copy(
        update={
            "acked_weight": written,
            "step": number,
            "step_started_at": to_wire(now),
            "step_active_seconds": active(d.memory, now),
            "waits_since": None,
        }
    )
    events = d.events
    if written:
        events = (*events, Event("WeightAcknowledged", f"{written} % at every proxy"))
    return replace(d, memory=memory, events=events)


def _waits(d: Decision, facts: Facts, weight: int, now: datetime) -> Decision | None:
    steps = [step for step in facts.spec.rollout.steps if step.weight == weight]
    hold = steps[0].hold_seconds if steps else 0
    left = hold - (active(d.memory, now) - d.memory.step_active_seconds)
    if left <= 0:
        return None
    message = f"at {weight} %: held for {hold} s of active time"
    look = min(timedelta(seconds=left), interval(facts))
    return at(d, Stage.PROGRESSING, "Holding", message, requeue_after=look)


def _raise(d: Decision, facts: Facts, rung: Rung, now: datetime) -> Decision:
    """Write the weight of `rung`, if nobody and nothing stands against it."""
    candidate = d.candidate or ""
    if is_paused(d, facts) and not goes_back(d):
        held = at(d, Stage.PROGRESSING, "Paused", f"paused before {rung.weight} %")
        return replace(held, stage=Stage.PAUSED, requeue_after=_watch(d, facts))
    if rung.needs_approval and d.memory.approved_weight != rung.weight:
        message = f"step {rung.number} ({rung.weight} %) waits for approval"
        held = at(d, Stage.PROGRESSING, "AwaitingApproval", message)
        return replace(held, stage=Stage.AWAITING_APPROVAL, requeue_after=_watch(d, facts))
    d = _agreed(d, facts, rung, now)
    if d.waits:
        return d
    missing = _lacks_capacity(candidate, facts, rung.weight)
    if missing is not None:
        short = at(d, Stage.PROGRESSING, CAPACITY, missing, requeue_after=ACK_POLL)
        return with_deadline(short, facts, now)
    weights = dict.fromkeys(d.weights, 0) | {candidate: rung.weight}
    if d.stable is not None:
        weights[d.stable] = 100 - rung.weight
    d = at(remember_before(d, facts, rung), Stage.PROGRESSING, "", "")
    d = replace(d, memory=d.memory.model_copy(update={"waits_since": None}))
    raised = _awaiting(d, rung.weight, facts.awaited_anew)
    return replace(raised, weights=weights, needs_live_read=True)


def _watch(d: Decision, facts: Facts) -> timedelta | None:
    """Return when to look again while a person holds a weight: it is judged all the same."""
    return interval(facts) if facts.written_weight(d.candidate) else None


def _lacks_capacity(candidate: str, facts: Facts, weight: int) -> str | None:
    need, ready = share_needs(facts, candidate, weight), facts.ready(candidate)
    if ready >= need:
        return None
    reason, why = waiting_for(facts, candidate)
    cause = f": {why}" if reason != "Starting" else ""
    return f"{weight} % needs {need} ready replicas, {ready} are{cause}"


def _agreed(d: Decision, facts: Facts, rung: Rung, now: datetime) -> Decision:
    """Ask whoever has a say; who goes straight to 100 was told to, unless it is the first."""
    stage = HookStage.STEP if facts.written_weight(d.candidate) else HookStage.BEFORE_TRAFFIC
    if rung.number:
        return asked(d, facts, rung.weight, stage, now)
    is_first = d.stable is None and not d.memory.unjudged
    begins = is_first and stage is HookStage.BEFORE_TRAFFIC
    return consents(d, facts, stage, now) if begins else d


def baking(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Watch for late faults with the old revision at full capacity, then promote."""
    rollout = facts.spec.rollout
    if not _ladder(d, facts, now):
        return progressing(at(d, Stage.PROGRESSING, "Progressing", d.message), facts, now)
    written = facts.written_weight(d.candidate)
    if not facts.is_acknowledged:
        return _unacknowledged(d, facts, written)
    d = _step_taken(d, facts, written, now)
    worse = alarm(d, facts)
    if worse is not None:
        return give_back(d, worse)
    verdict = overall(facts)
    if verdict.verdict == "Fail":
        return refuse(d, Outcome.ROLLED_BACK, words(verdict), facts, now, metric=verdict.name)
    if d.memory.skipped_weight == written:
        return _leave_bake(d, facts, now)
    left = rollout.bake_seconds - (active(d.memory, now) - d.memory.step_active_seconds)
    if left > 0:
        look = min(timedelta(seconds=left), interval(facts))
        message = f"baking at {written} % for {rollout.bake_seconds} s"
        return at(d, Stage.BAKING, "Baking", message, requeue_after=look)
    missing = _bake_lacks(facts, verdict)
    if missing is not None:
        return at(d, Stage.BAKING, verdict.reason, missing, requeue_after=interval(facts))
    return _leave_bake(d, facts, now)


def _paused_before_promotion(d: Decision, facts: Facts) -> Decision | None:
    if not is_paused(d, facts) or goes_back(d):
        return None
    paused = at(d, d.memory.stage, "Paused", "paused before the promotion")
    return replace(paused, stage=Stage.PAUSED, requeue_after=_watch(d, facts))


def _leave_bake(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Promote, if nobody paused, there is the capacity for all of it and every hook agrees."""
    paused = _paused_before_promotion(d, facts)
    if paused is not None:
        return paused
    missing = _lacks_capacity(d.candidate or "", facts, 100)
    if missing is not None:
        return at(d, Stage.BAKING, CAPACITY, missing, requeue_after=ACK_POLL)
    weight = ladder_of(d, facts)[-1].weight
    d = asked(d, facts, weight, HookStage.BEFORE_PROMOTION, now)
    return d if d.waits else promote(d, facts, now)


def _bake_lacks(facts: Facts, verdict: Judgement) -> str | None:
    """Return why a bake that is long enough may not end yet.

    Evidence comes from the steps, so no data does not block a bake; an unreadable router does, and
    where there are no steps the bake itself must have convinced.
    """
    rollout = facts.spec.rollout
    if rollout.analysis.mode is AnalysisMode.OFF:
        return None
    if facts.traffic is None or facts.traffic.silent:
        return "the bake goes on until every proxy's counters can be read"
    if not rollout.steps and verdict.verdict != "Pass":
        return f"without steps the bake must convince: {verdict.message}"
    return None


def promote(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Swap the pointer: the candidate is stable, no pod restarts."""
    candidate = d.candidate or ""
    snapshot = facts.revisions[candidate].snapshot
    unjudged = d.memory.unjudged or _why_unjudged(d, facts, now) or d.memory.skipped
    message = f"version {snapshot.version} serves"
    d = record(d, facts, Outcome.PROMOTED, message, now, unjudged=unjudged)
    memory = d.memory.model_copy(
        update={
            "stage": Stage.IDLE,
            "step": len(facts.spec.rollout.steps),
            "acked_weight": 100,
            "failures": 0,
            "retry_at": None,
            "unjudged": None,
            "skipped": None,
            "skipped_weight": 0,
        }
    )
    weights = dict.fromkeys(d.weights, 0) | {candidate: 100}
    event = Event("Promoted", f"version {snapshot.version}, revision {candidate}")
    promoted = replace(
        d,
        memory=memory,
        stable=candidate,
        candidate=None,
        weights=weights,
        header_revision=None,
        last_rollback=_restored(d, facts, now),
        events=(*d.events, event),
        needs_live_read=True,
    )
    return at(promoted, Stage.IDLE, "Promoted", message, requeue_after=ACK_POLL)


def _restored(d: Decision, facts: Facts, now: datetime) -> LastRollback | None:
    """Return the newest roll back; the way back to an earlier revision ends with its promotion."""
    last = d.last_rollback
    if last is None or last.to != d.candidate or last.traffic_restored_at is not None:
        return last
    moment = to_wire(facts.acknowledged_at or now)
    return last.model_copy(update={"traffic_restored_at": moment, "capacity_restored_at": moment})


def _why_unjudged(d: Decision, facts: Facts, now: datetime) -> str | None:
    if d.stable is None:
        return None
    if facts.is_down(d.stable, now):
        return "StableDown"
    if facts.spec.rollout.analysis.mode is AnalysisMode.OFF:
        return "spec.rollout.analysis.mode is Off"
    return None
