"""Starts the Jobs that package inputs and check candidates, and removes those that are over."""

from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.modeldeployment import ModelDeployment
from slipway.policy.facts import JobFact, JobState
from slipway.policy.rollout.idle import check_subject
from slipway.reconcile import compose
from slipway.reconcile.ports import Cluster
from slipway.reconcile.project import ANNOTATION_ATTEMPT, ANNOTATION_SUBJECT
from slipway.reconcile.work import Pass
from slipway.reconcile.writer import Writer
from slipway.render.jobs import CheckJob, PackageJob, render_check_job, render_package_job
from slipway.settings import Settings


class Jobs:
    """Writes Jobs."""

    def __init__(self, cluster: Cluster, writer: Writer, settings: Settings) -> None:
        self._cluster = cluster
        self._writer = writer
        self._settings = settings

    async def start(self, pass_: Pass) -> None:
        """Start what was decided."""
        decision = pass_.decision
        if decision.package is not None:
            await self._writer.create(self._package(pass_, decision.package))
        if decision.check is not None and decision.candidate is not None:
            await self._writer.create(self._check(pass_, decision.candidate, decision.check))

    async def remove(self, pass_: Pass) -> None:
        """Delete the Jobs that nobody waits for."""
        for job in pass_.facts.jobs:
            if _is_over(job, pass_):
                name, uid = job.meta.name, job.meta.uid
                await self._cluster.delete(kinds.JOB, pass_.namespace, name, uid=uid)

    def _package(self, pass_: Pass, attempt: int) -> Manifest:
        object_, subject = pass_.facts.md, pass_.facts.input
        job = PackageJob(
            owner=compose.owner_of(object_),
            image=self._settings.operator_image,
            input_hash=subject,
            attempt=attempt,
            request=compose.package_request(object_, self._settings),
            push_secret=_push_secret(object_),
            pull_secrets=compose.pull_secrets(object_),
            pods=self._settings.jobs,
        )
        return _about(render_package_job(job), subject, attempt)

    def _check(self, pass_: Pass, candidate: str, attempt: int) -> Manifest:
        facts = pass_.facts
        job = CheckJob(
            owner=compose.owner_of(facts.md),
            image=self._settings.operator_image,
            revision=candidate,
            step=0,
            attempt=attempt,
            request=compose.check_request(facts, candidate, pass_.decision.stable),
            pods=self._settings.jobs,
        )
        return _about(render_check_job(job), check_subject(candidate, facts.golden), attempt)


def _is_over(job: JobFact, pass_: Pass) -> bool:
    """Return whether the result is stored or nobody waits for it; the newest failure stays."""
    decision, facts = pass_.decision, pass_.facts
    if "." in job.subject or len(job.subject) == 8:  # noqa: PLR2004 -- a revision
        waits = decision.candidate is not None and job.subject == check_subject(
            decision.candidate, facts.golden
        )
        if not waits or decision.memory.stage.value not in {"Starting", "Checking"}:
            return facts.status.rollout is not None
    elif job.subject != facts.input or facts.wanted is not None:
        return True
    newest = max(other.attempt for other in facts.jobs if other.subject == job.subject)
    return job.attempt < newest and job.state is not JobState.ACTIVE


def _about(job: Manifest, subject: str, attempt: int) -> Manifest:
    metadata = job["metadata"]
    annotations = {
        **metadata.get("annotations", {}),
        ANNOTATION_SUBJECT: subject,
        ANNOTATION_ATTEMPT: str(attempt),
    }
    return {**job, "metadata": {**metadata, "annotations": annotations}}


def _push_secret(object_: ModelDeployment) -> str | None:
    packaging = object_.spec.packaging
    return packaging.push_secret_ref.name if packaging and packaging.push_secret_ref else None
