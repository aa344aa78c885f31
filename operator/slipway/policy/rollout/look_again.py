"""Looking at the source again: whether its address has other bytes now than when it was packaged.

New bytes become a revision of their own, with the rollout that belongs to it. `retry` looks again
unless `source.refresh` is Never, and Interval looks by the clock while nothing is rolled out.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Refresh, SourceStatus, Stage
from slipway.api.reasons import Reason
from slipway.api.result import PackageResult
from slipway.api.times import from_wire, to_wire
from slipway.policy.download import describe_download
from slipway.policy.facts import Facts, JobFact, JobState
from slipway.policy.identity import revision_of
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.packaging import package_again, watch_download

NEXT_PASS = timedelta(seconds=0.2)
INTERVAL_SECONDS = 3600
"""Seconds between two looks where the spec names none."""


def can_look_again(draft: Draft) -> bool:
    """Return whether the address could have other bytes than those that stay out or failed."""
    facts, wanted = draft.facts, draft.facts.wanted
    source = facts.spec.model.source
    is_frozen = source.digest is not None or source.refresh is Refresh.NEVER
    is_serving = wanted is not None and wanted.name == draft.stable
    return not (is_frozen or draft.candidate or wanted is None or is_serving)


def is_look_asked_for(draft: Draft) -> bool:
    """Return whether somebody waits for a look at the source."""
    source = draft.decision.source
    return source is not None and source.asked_at is not None


def ask_for_look(draft: Draft) -> Draft:
    """Ask for a look; whole seconds, as Jobs have them, so that its Job is told from older ones."""
    facts = draft.facts
    wanted = facts.wanted.name if facts.wanted is not None else None
    asked = SourceStatus(
        input=facts.input,
        revision=wanted,
        looked_at=draft.decision.source.looked_at if draft.decision.source else None,
        asked_at=to_wire(draft.now.replace(microsecond=0)),
    )
    return draft.having(replace(draft.decision, source=asked))


def look_again(draft: Draft) -> Draft:
    """Return the next move of a look that a person asked for: the rollout waits for it."""
    version = draft.spec.model.version
    message = f"looking at the source of version {version} again{describe_download(draft.facts)}"
    draft = draft.enter(Stage.PACKAGING, Reason.PACKAGING, message)
    job = find_job_of_look(draft)
    if job is None:
        return _start_job(draft)
    if job.state is JobState.ACTIVE:
        return watch_download(draft, job)
    result = _result_of(job)
    return _conclude(draft, result) if result is not None else package_again(draft, job)


def refresh(draft: Draft) -> Draft:
    """Look at the source by the clock, and change nothing else: what serves goes on."""
    source = draft.spec.model.source
    if source.refresh is not Refresh.INTERVAL or source.digest is not None:
        return draft
    if draft.facts.spec_error is not None or draft.facts.wanted is None:
        return draft

    every = timedelta(seconds=source.refresh_seconds or INTERVAL_SECONDS)
    if not is_look_asked_for(draft):
        looked = _looked_at(draft)
        if looked is None:
            return _note_look(draft, draft.facts.wanted.name).requeue(every)
        if draft.now < looked + every:
            return _requeue_at_most(draft, looked + every - draft.now)
        draft = ask_for_look(draft)

    job = find_job_of_look(draft)
    if job is None:
        return _start_job(draft)
    if job.state is JobState.ACTIVE:
        return draft
    result = _result_of(job)
    if result is not None:
        return _conclude(draft, result)

    error = job.package.error if job.package is not None else None
    problem = error.message if error is not None else job.crash or "the Job left no result"
    draft = draft.tell(Reason.REFRESH_FAILED, problem, warning=True)
    return _note_look(draft, draft.facts.wanted.name if draft.facts.wanted else None)


def find_job_of_look(draft: Draft) -> JobFact | None:
    """Return the newest Job of the look that is asked for."""
    jobs = [
        job for job in draft.facts.jobs if is_job_of_look(job, draft.facts, draft.decision.source)
    ]
    return max(jobs, key=lambda job: job.attempt, default=None)


def is_job_of_look(job: JobFact, facts: Facts, source: SourceStatus | None) -> bool:
    """Return whether a Job belongs to the look that is asked for."""
    asked = from_wire(source.asked_at) if source is not None else None
    if asked is None or job.subject != facts.input:
        return False
    return job.created is not None and job.created >= asked


def _start_job(draft: Draft) -> Draft:
    attempts = [job.attempt for job in draft.facts.jobs if job.subject == draft.facts.input]
    return draft.having(replace(draft.decision, package=max(attempts, default=0) + 1))


def _conclude(draft: Draft, result: PackageResult) -> Draft:
    """Note which revision the bytes are, after making it if it is a new one."""
    facts = draft.facts
    name = revision_of(facts.input, result.model_digest or "", result.base_digest)
    if name not in facts.revisions:
        return draft.having(replace(draft.decision, make_revision=result))

    if facts.wanted is not None and facts.wanted.name != name:
        text = f"the source has other bytes than before: {result.model_digest}, revision {name}"
        draft = draft.tell(Reason.NEW_BYTES, text)
    return _note_look(draft, name).requeue(NEXT_PASS)


def _note_look(draft: Draft, revision: str | None) -> Draft:
    noted = SourceStatus(
        input=draft.facts.input, revision=revision, looked_at=to_wire(draft.now), asked_at=None
    )
    return draft.having(replace(draft.decision, source=noted))


def _looked_at(draft: Draft) -> datetime | None:
    source = draft.decision.source
    return from_wire(source.looked_at) if source is not None else None


def _requeue_at_most(draft: Draft, after: timedelta) -> Draft:
    before = draft.decision.requeue_after
    return draft.requeue(after if before is None else min(before, after))


def _result_of(job: JobFact) -> PackageResult | None:
    result = job.package
    is_good = job.state is JobState.COMPLETE and result is not None and result.error is None
    return result if is_good else None
