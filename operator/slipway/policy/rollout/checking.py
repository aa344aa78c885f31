"""Checking: golden set and signature, before any user sees the candidate."""

from dataclasses import replace

from slipway.api.modeldeployment import AnalysisStatus, Outcome, Stage
from slipway.api.reasons import Reason, shortened
from slipway.api.result import CheckResult, CheckVerdict
from slipway.api.times import backoff
from slipway.policy.facts import JobFact, JobState
from slipway.policy.rollout.deadline import deadline_passed, give_up_start
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.fast_lane import is_in_fast_lane
from slipway.policy.rollout.job_pods import watch_for_pod
from slipway.policy.rollout.progressing import progress
from slipway.policy.rollout.rolling_back import act_on_evidence
from slipway.policy.rollout.shadowing import begin_shadow

REJECTIONS = {
    Reason.SIGNATURE_CHANGED: Outcome.REJECTED_BY_SIGNATURE,
    Reason.GOLDEN_SET_FAILED: Outcome.REJECTED_BY_GOLDEN_SET,
    Reason.GOLDEN_SET_REGRESSED: Outcome.REJECTED_BY_GOLDEN_SET,
}
CONCLUSIVE = frozenset({CheckVerdict.PASS, CheckVerdict.FAIL})


def check(draft: Draft) -> Draft:
    """Have the candidate answer the golden set; disagreement rejects it."""
    if not _is_checked(draft):
        return progress(draft)
    if deadline_passed(draft):
        return give_up_start(draft)

    job = _find_latest_check(draft)
    checking = draft.enter(Stage.CHECKING, Reason.CHECKING, "checking golden set and signature")
    if job is None:
        return _ask_for_check(checking, attempt=1)
    if job.state is JobState.ACTIVE:
        return watch_for_pod(checking, job, Stage.CHECKING)

    result = job.check
    if job.state is not JobState.COMPLETE or result is None or result.error is not None:
        return _check_again(draft, job)
    draft = _remember_check(draft, result)
    match result.verdict:
        case CheckVerdict.PASS:
            return begin_shadow(draft, result)
        case CheckVerdict.FAIL:
            outcome = REJECTIONS.get(result.reason, Outcome.REJECTED_BY_GOLDEN_SET)
            return act_on_evidence(draft, outcome, f"{result.reason}: {result.message}")
        case CheckVerdict.INCONCLUSIVE:
            return _check_again(draft, job)


def prepare_check(draft: Draft) -> Draft:
    """Return the draft with the check's Job as soon as a server of the candidate loads its model.

    Its pod starts meanwhile, and waits for the server.
    """
    loads = any(pod.running for pod in draft.facts.pods.get(draft.candidate, ()))
    if not loads or not _is_checked(draft) or _find_latest_check(draft) is not None:
        return draft
    return _ask_for_check(draft, attempt=1)


def _is_checked(draft: Draft) -> bool:
    has_nothing_to_check = draft.stable is None and draft.spec.model.golden_set is None
    return not (has_nothing_to_check or draft.goes_back or is_in_fast_lane(draft))


def is_check_repeated(draft: Draft) -> bool:
    """Return whether the check could not be made, and is made again now or after a back-off."""
    job = _find_latest_check(draft) if draft.memory.stage is Stage.CHECKING else None
    if job is None or job.state is JobState.ACTIVE:
        return job is not None and job.attempt > 1
    result = job.check if job.state is JobState.COMPLETE else None
    return result is None or result.error is not None or result.verdict not in CONCLUSIVE


def check_subject(revision: str, golden: str) -> str:
    """Return what a check Job is about: a revision and a golden set."""
    return f"{revision}.{golden}" if golden else revision


def _find_latest_check(draft: Draft) -> JobFact | None:
    subject = check_subject(draft.candidate, draft.facts.golden)
    jobs = [job for job in draft.facts.jobs if job.subject == subject]
    return max(jobs, key=lambda job: job.attempt, default=None)


def _ask_for_check(draft: Draft, *, attempt: int) -> Draft:
    return draft.having(replace(draft.decision, check=attempt))


def _remember_check(draft: Draft, result: CheckResult) -> Draft:
    golden, cases, stable = draft.spec.model.golden_set, result.cases, result.stable
    entry = AnalysisStatus(
        name="golden-set",
        verdict=result.verdict.value,
        reason=result.reason,
        message=shortened(result.message),
        candidate=result.agreed / cases if cases else None,
        baseline=stable.agreed / cases if stable and cases else None,
        limit=golden.min_agreement if golden else None,
        samples=cases,
        baseline_samples=cases if stable else 0,
        disagreements=result.disagreements or None,
    )
    return draft.remember(replace(draft.memory, analysis=(entry,)))


def _check_again(draft: Draft, job: JobFact) -> Draft:
    error = job.check.error if job.check else None
    reason = Reason.CHECK_FAILED
    text = (job.check.message if job.check else "") or job.crash
    if error is not None:
        reason, text = Reason.parse(error.reason, Reason.JOB_FAILED), error.message

    message = f"the check could not be made (attempt {job.attempt}): {text}"
    failed = draft.enter(Stage.CHECKING, reason, message)
    if reason.needs_person:
        failed = failed.stall(reason)
    due = (job.finished or draft.now) + backoff(job.attempt)
    if draft.now < due and not draft.is_asked_again(job.finished):
        return failed.requeue(due - draft.now)
    return _ask_for_check(failed, attempt=job.attempt + 1)
