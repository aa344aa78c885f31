"""Before traffic: from a new input to a candidate that passed its checks."""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import (
    AnalysisStatus,
    LastRollback,
    Outcome,
    RolloutStatus,
    Stage,
)
from slipway.api.result import CheckResult, CheckVerdict
from slipway.api.times import backoff, from_wire, to_wire
from slipway.policy.container_evidence import waiting_for
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts, JobFact, JobState, RevisionFact
from slipway.policy.rollout import packaging
from slipway.policy.rollout.capacity import start_needs
from slipway.policy.rollout.earlier_revision import goes_back, wanted_back
from slipway.policy.rollout.memory import blocked_by
from slipway.policy.rollout.progressing import next_weight, progressing
from slipway.policy.rollout.rolling_back import refuse, withdraw
from slipway.policy.rollout.transition import at, is_late

REJECTIONS = {
    "SignatureChanged": Outcome.REJECTED_BY_SIGNATURE,
    "GoldenSetFailed": Outcome.REJECTED_BY_GOLDEN_SET,
    "GoldenSetRegressed": Outcome.REJECTED_BY_GOLDEN_SET,
}

CONCLUSIVE = frozenset({CheckVerdict.PASS, CheckVerdict.FAIL})


def idle(d: Decision, facts: Facts, now: datetime) -> Decision:
    """No candidate: find out whether the spec asks for one, and whether it may start."""
    back = wanted_back(d, facts)
    if back is not None:
        return _start(d, facts, back, now)
    stable, wanted = facts.revisions.get(d.stable or ""), facts.wanted
    if stable is not None and stable.snapshot.input == facts.input:
        d = replace(d, hold=None)
        message = f"version {stable.snapshot.version} serves"
        memory = d.memory.model_copy(update={"input": facts.input, "failures": 0, "retry_at": None})
        return at(replace(d, memory=memory), Stage.IDLE, "Promoted", message)
    blocked = blocked_by(d, facts)
    if blocked is not None:
        stalled, message = blocked
        return replace(at(d, Stage.IDLE, stalled, message), stalled=stalled)
    if facts.spec_error is not None:
        return replace(at(d, Stage.IDLE, "InvalidSpec", facts.spec_error), stalled="InvalidSpec")
    if wanted is None:
        return packaging.decide(d, facts, now)
    return _start(d, facts, wanted, now)


def _start(d: Decision, facts: Facts, wanted: RevisionFact, now: datetime) -> Decision:
    """Make a revision the candidate, unless it failed to start just now."""
    input_ = wanted.snapshot.input
    retry_at = from_wire(d.memory.retry_at) if d.memory.input == input_ else None
    if retry_at is not None and retry_at > now:
        message = f"{d.memory.cause}; next attempt at {to_wire(retry_at)}"
        return replace(at(d, Stage.FAILED, "FailedToStart", message), requeue_after=retry_at - now)
    again = d.memory.input == input_ and d.memory.failures > 0
    asked_back = d.hold.reason[:256] if d.hold is not None else None
    memory = RolloutStatus(
        stage=Stage.STARTING,
        input=input_,
        attempt=d.memory.attempt + 1 if again else 1,
        failures=d.memory.failures if again else 0,
        started_at=to_wire(now),
        paused=d.memory.paused,
        unjudged=asked_back,
    )
    event = Event("RolloutStarted", f"version {wanted.snapshot.version}, revision {wanted.name}")
    forgiven = tuple(entry for entry in d.rejected if entry.revision != wanted.name)
    started = replace(
        d,
        candidate=wanted.name,
        memory=memory,
        rejected=forgiven,
        last_rollback=_sent_back(d, wanted, now),
        events=(*d.events, event),
    )
    return starting(started, facts, now)


def _sent_back(d: Decision, wanted: RevisionFact, now: datetime) -> LastRollback | None:
    """Note the way back to an earlier revision as a roll back of the one that serves."""
    if d.hold is None or d.stable is None:
        return d.last_rollback
    return LastRollback(
        from_=d.stable, to=wanted.name, trigger=d.hold.reason, decided_at=to_wire(now)
    )


def starting(d: Decision, facts: Facts, now: datetime) -> Decision:
    """The candidate gets its replicas; all of them must be ready."""
    candidate = d.candidate or ""
    workload = facts.workloads.get(candidate)
    need = start_needs(facts, candidate, next_weight(d, facts, now))
    if is_late(d, facts, now):
        return _too_late(d, facts, now)
    if workload is None or not workload.settled or workload.ready < need:
        reason, message = waiting_for(facts, candidate)
        return at(d, Stage.STARTING, reason, message, requeue_after=timedelta(seconds=15))
    return checking(d, facts, now)


def checking(d: Decision, facts: Facts, now: datetime) -> Decision:
    """The golden set and the signature, before any user sees the candidate."""
    has_nothing_to_check = d.stable is None and facts.spec.model.golden_set is None
    if has_nothing_to_check or goes_back(d):
        return progressing(d, facts, now)
    if is_late(d, facts, now):
        return _too_late(d, facts, now)
    job = _latest_check(d, facts)
    if job is None:
        return replace(
            at(d, Stage.CHECKING, "Checking", "the golden set and the signature are checked"),
            check=1,
        )
    if job.state is JobState.ACTIVE:
        return at(d, Stage.CHECKING, "Checking", "the golden set and the signature are checked")
    result = job.check
    if job.state is JobState.COMPLETE and result is not None and result.error is None:
        d = _remember_check(d, facts, result)
        if result.verdict is CheckVerdict.PASS:
            event = Event("CheckPassed", result.message)
            return progressing(replace(d, events=(*d.events, event)), facts, now)
        if result.verdict is CheckVerdict.FAIL:
            outcome = REJECTIONS.get(result.reason, Outcome.REJECTED_BY_GOLDEN_SET)
            return refuse(d, outcome, f"{result.reason}: {result.message}", facts, now)
    return _check_again(d, job, now)


def _latest_check(d: Decision, facts: Facts) -> JobFact | None:
    subject = check_subject(d.candidate or "", facts.golden)
    jobs = [job for job in facts.jobs if job.subject == subject]
    return max(jobs, key=lambda item: item.attempt, default=None)


def is_check_repeated(d: Decision, facts: Facts) -> bool:
    """Return whether the check could not be made, and is made again now or after a back-off."""
    job = _latest_check(d, facts) if d.memory.stage is Stage.CHECKING else None
    if job is None or job.state is JobState.ACTIVE:
        return job is not None and job.attempt > 1
    result = job.check if job.state is JobState.COMPLETE else None
    return result is None or result.error is not None or result.verdict not in CONCLUSIVE


def _remember_check(d: Decision, facts: Facts, result: CheckResult) -> Decision:
    golden = facts.spec.model.golden_set
    entry = AnalysisStatus(
        name="golden-set",
        verdict=result.verdict.value,
        reason=result.reason,
        message=result.message[:1024],
        candidate=result.agreed / result.cases if result.cases else None,
        baseline=result.stable.agreed / result.cases if result.stable and result.cases else None,
        limit=golden.min_agreement if golden else None,
        samples=result.cases,
        baseline_samples=result.cases if result.stable else 0,
    )
    return replace(d, memory=d.memory.model_copy(update={"analysis": [entry]}))


def _check_again(d: Decision, job: JobFact, now: datetime) -> Decision:
    error = job.check.error if job.check else None
    message = error.message if error else (job.check.message if job.check else "") or job.crash
    due = (job.finished or now) + backoff(job.attempt)
    failed = at(
        d,
        Stage.CHECKING,
        error.reason if error else "CheckFailed",
        f"the check could not be made (attempt {job.attempt}): {message}",
    )
    if now < due and not d.is_asked_again(job.finished):
        return replace(failed, requeue_after=due - now)
    return replace(failed, check=job.attempt + 1)


def check_subject(revision: str, golden: str) -> str:
    """Return what a check Job is about: a revision and a golden set."""
    return f"{revision}.{golden}" if golden else revision


def _too_late(d: Decision, facts: Facts, now: datetime) -> Decision:
    seconds = facts.spec.rollout.deadline_seconds
    _, why = waiting_for(facts, d.candidate or "")
    cause = f"not ready for traffic after {seconds} s of active time: {why}"
    return withdraw(d, Outcome.FAILED_TO_START, cause, facts, now)
