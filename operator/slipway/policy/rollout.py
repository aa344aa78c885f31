"""THE state machine: `decide(facts, now)` says what should be true after this pass.

    Idle ─new input─► Packaging ─► Starting ─► Checking ─► Progressing(step) ─► Baking ─► Promoted
    evidence, abort, another input ─► RollingBack: weight 0 acknowledged ─► drained ─► over

Pure and total: nothing is remembered between passes but what `status` says, so a restarted operator
decides the same. A weight counts only when every proxy has acknowledged it, a step is judged only
on requests since then, and what is missing holds: it never promotes and never blames.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    AnalysisMode,
    AnalysisStatus,
    Approval,
    Automatic,
    Hold,
    LastRollback,
    OnInconclusive,
    Outcome,
    RolloutStatus,
    Stage,
)
from slipway.api.result import CheckResult, CheckVerdict
from slipway.policy import packaging
from slipway.policy.act import consume
from slipway.policy.capacity import desired_replicas, is_drained, needed
from slipway.policy.clock import active, tick
from slipway.policy.decision import Decision, Event
from slipway.policy.evidence import container_evidence, waiting_for
from slipway.policy.facts import Facts, JobFact, JobState, Judgement
from slipway.policy.recall import blocked_by, recall, record
from slipway.policy.times import backoff, from_wire, to_wire

ACK_POLL = timedelta(seconds=5)
"""Acknowledgements arrive as events; this is the safety net."""
DRAIN_POLL = timedelta(seconds=1)
IN_TRAFFIC = frozenset({Stage.PROGRESSING, Stage.BAKING})
REJECTIONS = {
    "SignatureChanged": Outcome.REJECTED_BY_SIGNATURE,
    "GoldenSetFailed": Outcome.REJECTED_BY_GOLDEN_SET,
}


def decide(facts: Facts, now: datetime) -> Decision:
    """Return what should be true after this pass, and when to look again."""
    decision = consume(recall(facts), facts, now)
    decision = _move(decision, facts, now)
    if decision.candidate is not None:
        decision = packaging.beside(decision, facts, now)
    return _settle(decision, facts, now)


@dataclass(frozen=True, slots=True)
class Rung:
    """A weight to climb to."""

    weight: int
    number: int = 0
    """Position among spec.rollout.steps, from 1; one more for the bake."""
    hold_seconds: int = 0
    needs_approval: bool = False


def _move(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = facts.revisions.get(d.candidate or "")
    if candidate is None:
        return _idle(replace(d, candidate=None), facts, now)
    if d.memory.stage is Stage.ROLLING_BACK:
        return _rolling_back(d, facts, now)
    if d.memory.outcome is not None:
        return withdraw(d, d.memory.outcome, d.memory.cause, facts, now)
    if _was_promoted(d, facts):
        return _promote(d, facts, now)
    if candidate.snapshot.input != facts.input and not _may_finish(d, facts):
        return withdraw(d, Outcome.SUPERSEDED, "the spec asks for another input", facts, now)
    evidence = container_evidence(facts, candidate.name, d.stable, now)
    if evidence is not None:
        cause = f"{evidence.reason}: {evidence.message}"
        return _refuse(d, Outcome.ROLLED_BACK, cause, facts, now)
    match d.memory.stage:
        case Stage.CHECKING:
            return _checking(d, facts, now)
        case Stage.PROGRESSING:
            return _progressing(d, facts, now)
        case Stage.BAKING:
            return _baking(d, facts, now)
        case _:
            return _starting(d, facts, now)


def _may_finish(d: Decision, facts: Facts) -> bool:
    """A bake ends before another input gets its turn, unless the spec is back at stable."""
    stable = facts.revisions.get(d.stable or "")
    back = stable is not None and stable.snapshot.input == facts.input
    return d.memory.stage is Stage.BAKING and not back


def _was_promoted(d: Decision, facts: Facts) -> bool:
    """A pass before this one noted the promotion and was killed before it wrote the status."""
    known = facts.revisions[d.candidate or ""]
    started = from_wire(d.memory.started_at)
    return (
        known.outcome is Outcome.PROMOTED
        and known.outcome_at is not None
        and started is not None
        and known.outcome_at > started
        and d.memory.stage in IN_TRAFFIC
    )


# ── before traffic ──────────────────────────────────────────────────────────────────────────────


def _idle(d: Decision, facts: Facts, now: datetime) -> Decision:
    stable, wanted = facts.revisions.get(d.stable or ""), facts.wanted
    if stable is not None and stable.snapshot.input == facts.input:
        message = f"version {stable.snapshot.version} serves"
        memory = d.memory.model_copy(update={"input": facts.input, "failures": 0, "retry_at": None})
        return _at(replace(d, memory=memory), Stage.IDLE, "Promoted", message)
    blocked = blocked_by(d, facts)
    if blocked is not None:
        stalled, message = blocked
        return replace(_at(d, Stage.IDLE, stalled, message), stalled=stalled)
    if facts.spec_error is not None:
        return replace(_at(d, Stage.IDLE, "InvalidSpec", facts.spec_error), stalled="InvalidSpec")
    if wanted is None:
        return packaging.decide(d, facts, now)
    retry_at = from_wire(d.memory.retry_at) if d.memory.input == facts.input else None
    if retry_at is not None and retry_at > now:
        message = f"{d.memory.cause}; next attempt at {to_wire(retry_at)}"
        return replace(_at(d, Stage.FAILED, "FailedToStart", message), look_again=retry_at - now)
    again = d.memory.input == facts.input and d.memory.failures > 0
    memory = RolloutStatus(
        stage=Stage.STARTING,
        input=facts.input,
        attempt=d.memory.attempt + 1 if again else 1,
        failures=d.memory.failures if again else 0,
        started_at=to_wire(now),
        paused=d.memory.paused,
    )
    event = Event("RolloutStarted", f"version {wanted.snapshot.version}, revision {wanted.name}")
    forgiven = tuple(entry for entry in d.rejected if entry.revision != wanted.name)
    started = replace(
        d, candidate=wanted.name, memory=memory, rejected=forgiven, events=(*d.events, event)
    )
    return _starting(started, facts, now)


def _starting(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = d.candidate or ""
    workload = facts.workloads.get(candidate)
    full = facts.object.spec.scaling.min_replicas
    if _is_late(d, facts, now):
        return _too_late(d, facts, now)
    if workload is None or not workload.settled or workload.ready < full:
        reason, message = waiting_for(facts, candidate)
        return _at(d, Stage.STARTING, reason, message, look_again=timedelta(seconds=15))
    return _checking(d, facts, now)


def _checking(d: Decision, facts: Facts, now: datetime) -> Decision:
    if d.stable is None and facts.object.spec.model.golden_set is None:
        return _progressing(d, facts, now)
    if _is_late(d, facts, now):
        return _too_late(d, facts, now)
    subject = check_subject(d.candidate or "", facts.golden)
    jobs = [job for job in facts.jobs if job.subject == subject]
    job = max(jobs, key=lambda item: item.attempt, default=None)
    if job is None:
        return replace(
            _at(d, Stage.CHECKING, "Checking", "the golden set and the signature are checked"),
            check=1,
        )
    if job.state is JobState.ACTIVE:
        return _at(d, Stage.CHECKING, "Checking", "the golden set and the signature are checked")
    result = job.check
    if job.state is JobState.COMPLETE and result is not None and result.error is None:
        d = _remember_check(d, facts, result)
        if result.verdict is CheckVerdict.PASS:
            event = Event("CheckPassed", result.message)
            return _progressing(replace(d, events=(*d.events, event)), facts, now)
        if result.verdict is CheckVerdict.FAIL:
            outcome = REJECTIONS.get(result.reason, Outcome.REJECTED_BY_GOLDEN_SET)
            return _refuse(d, outcome, f"{result.reason}: {result.message}", facts, now)
    return _check_again(d, job, now)


def _remember_check(d: Decision, facts: Facts, result: CheckResult) -> Decision:
    golden = facts.object.spec.model.golden_set
    entry = AnalysisStatus(
        name="golden-set",
        verdict=result.verdict.value,
        reason=result.reason,
        message=result.message[:1024],
        candidate=result.agreed / result.cases if result.cases else None,
        limit=golden.min_agreement if golden else None,
        samples=result.cases,
    )
    return replace(d, memory=d.memory.model_copy(update={"analysis": [entry]}))


def _check_again(d: Decision, job: JobFact, now: datetime) -> Decision:
    error = job.check.error if job.check else None
    message = error.message if error else (job.check.message if job.check else "") or job.crash
    due = (job.finished or now) + backoff(job.attempt)
    failed = _at(
        d,
        Stage.CHECKING,
        error.reason if error else "CheckFailed",
        f"the check could not be made (attempt {job.attempt}): {message}",
    )
    if now < due:
        return replace(failed, look_again=due - now)
    return replace(failed, check=job.attempt + 1)


def check_subject(revision: str, golden: str) -> str:
    """Return what a check Job is about: a revision and a golden set."""
    return f"{revision}.{golden}" if golden else revision


# ── in traffic ──────────────────────────────────────────────────────────────────────────────────


def _ladder(d: Decision, facts: Facts, now: datetime) -> tuple[Rung, ...]:
    """Return the weights to climb, the bake's last; none: straight to 100, there is no judging."""
    if d.stable is None or d.memory.unjudged or facts.is_down(d.stable, now):
        return ()
    rollout = facts.object.spec.rollout
    rungs = [
        Rung(step.weight, number, step.hold_seconds, step.approval is Approval.REQUIRED)
        for number, step in enumerate(rollout.steps, start=1)
    ]
    return (*rungs, Rung(100 - rollout.bake_control_percent, len(rungs) + 1))


def _progressing(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = d.candidate or ""
    written = facts.written(candidate)
    if facts.route is None or (d.stable is not None and candidate not in facts.route.weights):
        message = "the router learns the candidate"
        return _at(d, Stage.PROGRESSING, "JoiningRouter", message, look_again=ACK_POLL)
    if not facts.is_acknowledged:
        return _unacknowledged(d, facts, written)
    d = _step_taken(d, facts, written, now)
    ladder = _ladder(d, facts, now)
    if not ladder:
        if written == 100:  # noqa: PLR2004 -- percent
            return _promote(d, facts, now)
        return _raise(d, facts, Rung(100))
    if written == 0:
        return _raise(d, facts, _next(ladder, 0))
    if written >= ladder[-1].weight:
        return _baking(_at(d, Stage.BAKING, "Baking", "the bake begins"), facts, now)
    verdict = overall(facts)
    if verdict.verdict == "Fail":
        return _refuse(d, Outcome.ROLLED_BACK, _words(verdict), facts, now, metric=verdict.name)
    waits = _waits(d, facts, written, now)
    if waits is not None:
        return waits
    if verdict.verdict != "Pass" and facts.object.spec.rollout.analysis.mode is AnalysisMode.AUTO:
        return _inconclusive(d, facts, verdict, now)
    return _raise(d, facts, _next(ladder, written))


def _next(ladder: tuple[Rung, ...], weight: int) -> Rung:
    """Return the first rung above `weight`."""
    return next((rung for rung in ladder if rung.weight > weight), ladder[-1])


def _inconclusive(d: Decision, facts: Facts, verdict: Judgement, now: datetime) -> Decision:
    """Hold the weight; at the deadline do what the user chose."""
    weight = d.memory.acked_weight
    held = _at(d, Stage.PROGRESSING, verdict.reason, f"at {weight} %: {verdict.message}")
    held = replace(held, look_again=_interval(facts))
    if not _is_late(d, facts, now):
        return held
    seconds = facts.object.spec.rollout.deadline_seconds
    cause = f"no verdict after {seconds} s of active time: {verdict.message}"
    match facts.object.spec.rollout.analysis.on_inconclusive:
        case OnInconclusive.ROLL_BACK:
            return withdraw(d, Outcome.ABORTED, cause, facts, now)
        case OnInconclusive.PROMOTE:
            memory = d.memory.model_copy(update={"unjudged": "deadline: onInconclusive Promote"})
            return _progressing(replace(d, memory=memory), facts, now)
        case OnInconclusive.PAUSE:
            reason = "DeadlineExceeded"
            return replace(
                held, stage=Stage.PAUSED, stalled=reason, reason=reason, message=cause[:1024]
            )


def _unacknowledged(d: Decision, facts: Facts, written: int) -> Decision:
    missing = ", ".join(facts.unacknowledged) or "no router pod is ready"
    message = f"weight {written} is written, not yet acknowledged by: {missing}"
    stage = d.memory.stage if d.memory.stage in IN_TRAFFIC else Stage.PROGRESSING
    return _at(d, stage, "AwaitingAcknowledgement", message, look_again=ACK_POLL)


def _step_taken(d: Decision, facts: Facts, written: int, now: datetime) -> Decision:
    """Note that every proxy has the weight: from here on the step's requests count."""
    if d.memory.acked_weight == written and d.memory.step_started_at is not None:
        return d
    number = sum(1 for step in facts.object.spec.rollout.steps if step.weight <= written)
    memory = d.memory.model_copy(
        update={
            "acked_weight": written,
            "step": number,
            "step_started_at": to_wire(now),
            "step_active_seconds": active(d.memory, now),
        }
    )
    events = d.events
    if written:
        events = (*events, Event("WeightAcknowledged", f"{written} % at every proxy"))
    return replace(d, memory=memory, events=events)


def _waits(d: Decision, facts: Facts, weight: int, now: datetime) -> Decision | None:
    steps = [step for step in facts.object.spec.rollout.steps if step.weight == weight]
    hold = steps[0].hold_seconds if steps else 0
    left = hold - (active(d.memory, now) - d.memory.step_active_seconds)
    if left <= 0:
        return None
    message = f"at {weight} %: held for {hold} s of active time"
    look = min(timedelta(seconds=left), _interval(facts))
    return _at(d, Stage.PROGRESSING, "Holding", message, look_again=look)


def _raise(d: Decision, facts: Facts, rung: Rung) -> Decision:
    """Write the weight of `rung`, if nobody and nothing stands against it."""
    candidate = d.candidate or ""
    if _is_paused(d, facts):
        message = f"paused before {rung.weight} %"
        return replace(_at(d, Stage.PROGRESSING, "Paused", message), stage=Stage.PAUSED)
    if rung.needs_approval and d.memory.approved_step < rung.number:
        message = f"step {rung.number} ({rung.weight} %) waits for approval"
        held = _at(d, Stage.PROGRESSING, "AwaitingApproval", message)
        return replace(held, stage=Stage.AWAITING_APPROVAL)
    need = needed(rung.weight, facts.object.spec.scaling.min_replicas)
    if facts.ready(candidate) < need:
        message = f"{rung.weight} % needs {need} ready replicas, {facts.ready(candidate)} are"
        return _at(d, Stage.PROGRESSING, "AwaitingCapacity", message, look_again=ACK_POLL)
    weights = dict.fromkeys(d.weights, 0) | {candidate: rung.weight}
    if d.stable is not None:
        weights[d.stable] = 100 - rung.weight
    message = f"weight {rung.weight} is written"
    raised = _at(d, Stage.PROGRESSING, "Progressing", message, look_again=ACK_POLL)
    return replace(raised, weights=weights, moves=True)


def _baking(d: Decision, facts: Facts, now: datetime) -> Decision:
    rollout = facts.object.spec.rollout
    if not _ladder(d, facts, now):
        return _progressing(_at(d, Stage.PROGRESSING, "Progressing", d.message), facts, now)
    written = facts.written(d.candidate)
    if not facts.is_acknowledged:
        return _unacknowledged(d, facts, written)
    d = _step_taken(d, facts, written, now)
    verdict = overall(facts)
    if verdict.verdict == "Fail":
        return _refuse(d, Outcome.ROLLED_BACK, _words(verdict), facts, now, metric=verdict.name)
    left = rollout.bake_seconds - (active(d.memory, now) - d.memory.step_active_seconds)
    if left > 0:
        look = min(timedelta(seconds=left), _interval(facts))
        message = f"baking at {written} % for {rollout.bake_seconds} s"
        return _at(d, Stage.BAKING, "Baking", message, look_again=look)
    missing = _bake_lacks(facts, verdict)
    if missing is not None:
        return _at(d, Stage.BAKING, verdict.reason, missing, look_again=_interval(facts))
    if _is_paused(d, facts):
        paused = _at(d, Stage.BAKING, "Paused", "paused before the promotion")
        return replace(paused, stage=Stage.PAUSED)
    return _promote(d, facts, now)


def _bake_lacks(facts: Facts, verdict: Judgement) -> str | None:
    """Return why a bake that is long enough may not end yet.

    Evidence comes from the steps, so no data does not block a bake; an unreadable router does, and
    where there are no steps the bake itself must have convinced.
    """
    rollout = facts.object.spec.rollout
    if rollout.analysis.mode is AnalysisMode.OFF:
        return None
    if facts.traffic is None or facts.traffic.silent:
        return "the bake goes on until every proxy's counters can be read"
    if not rollout.steps and verdict.verdict != "Pass":
        return f"without steps the bake must convince: {verdict.message}"
    return None


def _promote(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = d.candidate or ""
    snapshot = facts.revisions[candidate].snapshot
    unjudged = d.memory.unjudged or _why_unjudged(d, facts, now)
    message = f"version {snapshot.version} serves"
    d = record(d, facts, Outcome.PROMOTED, message, now, unjudged=unjudged)
    memory = d.memory.model_copy(
        update={"stage": Stage.IDLE, "failures": 0, "retry_at": None, "unjudged": None}
    )
    weights = dict.fromkeys(d.weights, 0) | {candidate: 100}
    event = Event("Promoted", f"version {snapshot.version}, revision {candidate}")
    promoted = replace(
        d,
        memory=memory,
        stable=candidate,
        candidate=None,
        weights=weights,
        pinned=None,
        events=(*d.events, event),
        moves=True,
    )
    return _at(promoted, Stage.IDLE, "Promoted", message, look_again=ACK_POLL)


def _why_unjudged(d: Decision, facts: Facts, now: datetime) -> str | None:
    if d.stable is None:
        return None
    if facts.is_down(d.stable, now):
        return "StableDown"
    if facts.object.spec.rollout.analysis.mode is AnalysisMode.OFF:
        return "spec.rollout.analysis.mode is Off"
    return None


# ── back ────────────────────────────────────────────────────────────────────────────────────────


def _refuse(
    d: Decision,
    outcome: Outcome,
    cause: str,
    facts: Facts,
    now: datetime,
    *,
    metric: str | None = None,
) -> Decision:
    """Act on evidence: roll back, or hold the weight where the user wants to decide."""
    if facts.object.spec.rollback.automatic is Automatic.DISABLED and facts.written(d.candidate):
        held = _at(d, d.memory.stage, "AnalysisFailed", f"held by rollback.automatic: {cause}")
        return replace(held, stalled="AnalysisFailed", look_again=_interval(facts))
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
    if outcome is Outcome.ABORTED:
        input_ = facts.revisions[d.candidate or ""].snapshot.input
        hold = Hold(input=input_, reason=cause[:1024])
    event = Event("RollingBack", cause[:1000], warning=outcome is not Outcome.SUPERSEDED)
    d = replace(d, memory=memory, hold=hold, last_rollback=last, events=(*d.events, event))
    return _rolling_back(d, facts, now)


def _rolling_back(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = d.candidate or ""
    weights = dict.fromkeys(d.weights, 0)
    weights = weights | {d.stable: 100} if d.stable is not None else {}
    d = _at(
        replace(d, weights=weights, pinned=None),
        Stage.ROLLING_BACK,
        "RollingBack",
        f"{d.memory.cause}",
        look_again=timedelta(seconds=1),
    )
    restored = not facts.highest_running(candidate) and (
        facts.is_acknowledged or facts.route is None or candidate not in facts.route.weights
    )
    if not restored:
        return replace(d, moves=True)
    last = d.last_rollback
    if last is not None and last.traffic_restored_at is None:
        moment = last.decided_at
        if d.memory.acked_weight or facts.written(candidate):
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
            "failures": failures,
            "retry_at": to_wire(now + backoff(failures)) if failed else None,
            "step_started_at": None,
        }
    )
    event = Event(outcome.value, d.memory.cause[:1000], warning=outcome is not Outcome.SUPERSEDED)
    d = replace(d, candidate=None, memory=memory, events=(*d.events, event), moves=True)
    return _at(d, memory.stage, outcome.value, d.memory.cause, look_again=timedelta(seconds=0.2))


def _is_late(d: Decision, facts: Facts, now: datetime) -> bool:
    return active(d.memory, now) > facts.object.spec.rollout.deadline_seconds


def _too_late(d: Decision, facts: Facts, now: datetime) -> Decision:
    seconds = facts.object.spec.rollout.deadline_seconds
    _, why = waiting_for(facts, d.candidate or "")
    cause = f"not ready for traffic after {seconds} s of active time: {why}"
    return withdraw(d, Outcome.FAILED_TO_START, cause, facts, now)


# ── shared ──────────────────────────────────────────────────────────────────────────────────────


def overall(facts: Facts) -> Judgement:
    """Return the judgement that decides: the worst of all metrics; none at all is NoData."""
    order = ("Fail", "NoData", "Inconclusive", "Pass")
    none = Judgement("analysis", "NoData", "NoData", "the router's counters were not read yet")
    return min(facts.judgements, key=lambda item: order.index(item.verdict), default=none)


def _words(verdict: Judgement) -> str:
    return f"{verdict.reason}: {verdict.message}"


def _interval(facts: Facts) -> timedelta:
    return timedelta(seconds=facts.object.spec.rollout.analysis.interval_seconds)


def _is_paused(d: Decision, facts: Facts) -> bool:
    return facts.object.spec.paused or d.memory.paused


def _at(
    d: Decision, stage: Stage, reason: str, message: str, *, look_again: timedelta | None = None
) -> Decision:
    memory = d.memory.model_copy(update={"stage": stage})
    return replace(
        d, memory=memory, stage=stage, reason=reason, message=message[:1024], look_again=look_again
    )


def _settle(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Complete a decision: the clock, every revision's replicas, the route's backends."""
    stopped = d.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL} or _is_paused(d, facts)
    memory = tick(d.memory, now, stopped=stopped).model_copy(
        update={"steps": len(facts.object.spec.rollout.steps), "message": d.message}
    )
    replicas = desired_replicas(facts, d.stable, d.candidate, now)
    weights = _backends(d, replicas)
    pinned = d.candidate if d.candidate in weights and memory.stage in IN_TRAFFIC else None
    found = dict(facts.route.weights) if facts.route else {}
    removes = any(
        number == 0 and name in facts.workloads and facts.workloads[name].replicas > 0
        for name, number in replicas.items()
    )
    look = d.look_again
    if any(number and name not in {d.stable, d.candidate} for name, number in replicas.items()):
        look = min(look or DRAIN_POLL, DRAIN_POLL)
    return replace(
        d,
        memory=memory,
        replicas=replicas,
        weights=weights,
        pinned=pinned,
        moves=d.moves or removes or weights != found,
        look_again=look,
    )


def _backends(d: Decision, replicas: dict[str, int]) -> dict[str, int]:
    """Return the route's weights: they sum to 100, or nothing serves yet.

    A revision without weight stays in the route while it may still answer somebody.
    """
    if d.stable is None:
        return {name: weight for name, weight in d.weights.items() if weight}
    weights = {
        name: weight
        for name, weight in d.weights.items()
        if weight > 0 or replicas.get(name, 0) > 0
    }
    if d.candidate is not None and d.memory.stage in IN_TRAFFIC:
        weights.setdefault(d.candidate, 0)
    others = sum(weight for name, weight in weights.items() if name != d.stable)
    return weights | {d.stable: 100 - others}
