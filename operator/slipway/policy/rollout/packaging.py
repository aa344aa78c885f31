"""From an input to a revision: which package Job to run, and what its end means."""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.times import backoff
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, JobFact, JobState

POD_COMES_WITHIN = timedelta(seconds=15)


def decide(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Return the next move of the packaging; the wanted input has no revision yet."""
    version = facts.spec.model.version
    memory = d.memory.model_copy(update={"stage": Stage.PACKAGING})
    d = replace(
        d,
        memory=memory,
        stage=Stage.PACKAGING,
        reason="Packaging",
        message=f"version {version} is packaged",
    )
    if facts.packaged is not None:
        return replace(d, make_revision=facts.packaged)
    job = latest(facts)
    if job is None:
        return replace(d, package=1)
    if job.state is JobState.ACTIVE:
        return _without_pod(d, job, now)
    result = job.package
    if job.state is JobState.COMPLETE and result is not None and result.error is None:
        return replace(d, make_revision=result)
    return _failed(d, job, now)


def beside(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Package the wanted input while a bake or a roll back goes on, and change nothing else."""
    if facts.wanted is not None or facts.spec_error is not None or d.hold is not None:
        return d
    other = decide(d, facts, now)
    return replace(d, package=other.package, make_revision=other.make_revision)


def latest(facts: Facts) -> JobFact | None:
    """Return the newest package Job of the wanted input."""
    jobs = [job for job in facts.jobs if job.subject == facts.input]
    return max(jobs, key=lambda job: job.attempt, default=None)


def is_repeated(d: Decision, facts: Facts) -> bool:
    """Return whether the packaging failed, and is done again now or after a back-off."""
    job = latest(facts)
    if facts.wanted is not None or job is None:
        return False
    return job.state is not JobState.ACTIVE or d.memory.stage is Stage.FAILED


def _without_pod(d: Decision, job: JobFact, now: datetime) -> Decision:
    """Say where a Job gets no pod: what refuses it stands in the Job's events only."""
    if job.has_pod or job.created is None:
        return d
    left = job.created + POD_COMES_WITHIN - now
    if left > timedelta():
        return replace(d, requeue_after=left)
    message = f"Job {job.meta.name} has no pod: a quota or an admission check; see its events"
    return replace(d, reason="JobHasNoPod", message=message)


def _failed(d: Decision, job: JobFact, now: datetime) -> Decision:
    error = job.package.error if job.package else None
    reason = error.reason if error else "JobCrashed"
    text = error.message if error else (job.crash or "the Job left no result")
    due = (job.finished or now) + backoff(job.attempt)
    memory = d.memory.model_copy(update={"stage": Stage.FAILED})
    message = f"packaging failed (attempt {job.attempt}): {text}"
    d = replace(d, memory=memory, stage=Stage.FAILED, reason=reason, message=message[:1024])
    if now < due and not d.is_asked_again(job.finished):
        return replace(d, requeue_after=due - now)
    return replace(d, package=job.attempt + 1)
