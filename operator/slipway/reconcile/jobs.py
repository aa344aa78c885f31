"""Starts the Jobs that package inputs and check candidates, and removes those that are over."""

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import ModelDeployment, Stage
from slipway.policy.facts import JobFact, JobState
from slipway.policy.rollout.checking import check_subject
from slipway.policy.rollout.look_again import is_job_of_look
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import ANNOTATION_ATTEMPT, ANNOTATION_SUBJECT
from slipway.reconcile.writer import ObjectWriter
from slipway.render.jobs import CheckJobSpec, PackageJobSpec, render_check_job, render_package_job
from slipway.settings import Settings

NEEDS_CHECK = frozenset({Stage.STARTING, Stage.CHECKING})


class JobWriter:
    """Writes Jobs."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter, settings: Settings) -> None:
        self._cluster = cluster
        self._writer = writer
        self._settings = settings

    async def start(self, decided: Decided) -> None:
        """Create the Jobs that were decided."""
        decision = decided.decision
        if decision.package is not None:
            await self._writer.create(self._package_job(decided, decision.package))
        if decision.check is not None and decision.candidate is not None:
            await self._writer.create(self._check_job(decided, decision.candidate, decision.check))

    async def remove(self, decided: Decided) -> None:
        """Delete the Jobs whose result is stored, or not needed any more."""
        for job in decided.facts.jobs:
            if _is_over(job, decided):
                name, uid = job.meta.name, job.meta.uid
                await self._cluster.delete(kinds.JOB, decided.namespace, name, uid=uid)

    def _package_job(self, decided: Decided, attempt: int) -> Manifest:
        md, subject = decided.facts.md, decided.facts.input
        job = PackageJobSpec(
            owner=render_inputs.owner_of(md),
            image=render_inputs.packaging_image(md, self._settings),
            input_hash=subject,
            attempt=attempt,
            request=render_inputs.build_package_request(md, self._settings),
            push_secret=_push_secret(md),
            pull_secrets=render_inputs.pull_secrets(md),
            pods=self._settings.jobs,
            users=self._settings.pod_users,
            converter=render_inputs.packaging_resources(md, self._settings),
        )

        return _with_subject(render_package_job(job), subject, attempt)

    def _check_job(self, decided: Decided, candidate: str, attempt: int) -> Manifest:
        facts = decided.facts
        job = CheckJobSpec(
            owner=render_inputs.owner_of(facts.md),
            image=self._settings.operator_image,
            revision=candidate,
            step=0,
            attempt=attempt,
            request=render_inputs.build_check_request(
                facts, candidate, _running_stable(decided), self._settings
            ),
            pods=self._settings.jobs,
            users=self._settings.pod_users,
        )

        return _with_subject(render_check_job(job), check_subject(candidate, facts.golden), attempt)


def _running_stable(decided: Decided) -> str | None:
    """Return the revision that a candidate is compared with; None: it has stopped for it."""
    decision = decided.decision
    return decision.stable if decision.replicas.get(decision.stable or "", 1) else None


def _is_over(job: JobFact, decided: Decided) -> bool:
    """Return whether a Job can go; of those that are needed, the newest stays with its failure."""
    facts = decided.facts
    if job.component == names.COMPONENT_CHECK:
        if not _is_check_needed(job, decided):
            return facts.status.rollout is not None
    elif is_job_of_look(job, facts, decided.decision.source):
        return False
    elif job.subject != facts.input or facts.wanted is not None:
        return True

    newest = max(other.attempt for other in facts.jobs if other.subject == job.subject)
    return job.attempt < newest and job.state is not JobState.ACTIVE


def _is_check_needed(job: JobFact, decided: Decided) -> bool:
    decision = decided.decision
    if decision.candidate is None or decision.memory.stage not in NEEDS_CHECK:
        return False
    return job.subject == check_subject(decision.candidate, decided.facts.golden)


def _with_subject(job: Manifest, subject: str, attempt: int) -> Manifest:
    metadata = job["metadata"]
    annotations = {
        **metadata.get("annotations", {}),
        ANNOTATION_SUBJECT: subject,
        ANNOTATION_ATTEMPT: str(attempt),
    }
    return {**job, "metadata": {**metadata, "annotations": annotations}}


def _push_secret(md: ModelDeployment) -> str | None:
    packaging = md.spec.packaging
    return packaging.push_secret_ref.name if packaging and packaging.push_secret_ref else None
