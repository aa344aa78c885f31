"""Packaging: from an input to a revision; which package Job to run, and what its end means."""

from dataclasses import replace

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.api.result import PackageResult
from slipway.api.times import backoff
from slipway.policy.download import describe_download, next_look_after
from slipway.policy.facts import Facts, JobFact, JobState
from slipway.policy.image_volumes import warn_of_gate
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.job_pods import watch_for_pod


def package(draft: Draft) -> Draft:
    """Return the next move of the packaging; the wanted input has no revision yet."""
    facts = draft.facts
    gate = warn_of_gate(facts.cluster_version)
    message = f"packaging version {draft.spec.model.version}{describe_download(facts)}{gate}"
    draft = draft.enter(Stage.PACKAGING, Reason.PACKAGING, message)
    if draft.facts.packaged is not None:
        return _make_revision(draft, draft.facts.packaged)

    job = find_latest_package(draft.facts)
    if job is None:
        return _ask_for_package(draft, attempt=1)
    if job.state is JobState.ACTIVE:
        return watch_for_pod(watch_download(draft, job), job, Stage.PACKAGING)
    result = job.package
    if job.state is JobState.COMPLETE and result is not None and result.error is None:
        return _make_revision(draft, result)
    return package_again(draft, job)


def watch_download(draft: Draft, job: JobFact) -> Draft:
    """Look again at how far a Job that runs is."""
    if job.address is None or job.created is None:
        return draft
    return draft.requeue(next_look_after(draft.now - job.created))


def package_beside(draft: Draft) -> Draft:
    """Package the wanted input while a bake or a roll back goes on, and change nothing else."""
    facts, decision = draft.facts, draft.decision
    if facts.wanted is not None or facts.spec_error is not None or decision.hold is not None:
        return draft
    other = package(draft).decision
    return draft.having(replace(decision, package=other.package, make_revision=other.make_revision))


def find_latest_package(facts: Facts) -> JobFact | None:
    """Return the newest package Job of the wanted input."""
    jobs = [job for job in facts.jobs if job.subject == facts.input]
    return max(jobs, key=lambda job: job.attempt, default=None)


def is_packaging_repeated(draft: Draft) -> bool:
    """Return whether the packaging failed, and is done again now or after a back-off."""
    job = find_latest_package(draft.facts)
    if draft.facts.wanted is not None or job is None:
        return False
    return job.state is not JobState.ACTIVE or draft.memory.stage is Stage.FAILED


def _make_revision(draft: Draft, result: PackageResult) -> Draft:
    return draft.having(replace(draft.decision, make_revision=result))


def _ask_for_package(draft: Draft, *, attempt: int) -> Draft:
    return draft.having(replace(draft.decision, package=attempt))


def package_again(draft: Draft, job: JobFact) -> Draft:
    """Say why a Job failed, and start the next one once its time has come."""
    error = job.package.error if job.package else None
    reason, text = Reason.JOB_CRASHED, job.crash or "the Job left no result"
    if error is not None:
        reason, text = Reason.parse(error.reason, Reason.JOB_FAILED), error.message

    message = f"packaging failed (attempt {job.attempt}): {text}"
    failed = draft.enter(Stage.FAILED, reason, message)
    is_asked_again = draft.is_asked_again(job.finished)
    if reason.needs_person and not is_asked_again:
        return failed.stall(reason)  # the same bytes would fail again

    due = (job.finished or draft.now) + backoff(job.attempt)
    if draft.now < due and not is_asked_again:
        return failed.requeue(due - draft.now)
    return _ask_for_package(failed, attempt=job.attempt + 1)
