"""The Jobs of a ModelDeployment: one packages an input, one checks a candidate.

Jobs are created, never applied, and have no time to live: the operator deletes a Job once its
result is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from slipway.api import names
from slipway.api.base import ApiModel, Manifest
from slipway.api.kinds import JOB
from slipway.api.request import (
    CA_MOUNT,
    GOLDEN_MOUNT,
    PULL_SECRET_MOUNT,
    PUSH_SECRET_MOUNT,
    SCRATCH_MOUNT,
    SOURCE_MOUNT,
    CheckRequest,
    PackageRequest,
    SourceRequest,
)
from slipway.api.result import EXIT_PERMANENT, EXIT_TRANSIENT
from slipway.render.fetch import (
    SOURCE_VOLUME,
    render_fetch_resources,
    render_identity,
    render_identity_labels,
    render_request,
    render_source_mounts,
    render_source_volumes,
)
from slipway.render.owner import Owner
from slipway.render.placement import render_metadata, render_placement
from slipway.render.pod_security import render_pod_security
from slipway.render.triton import SECURITY_CONTEXT
from slipway.settings import ContainerResources, PodSettings, PodUsers

USER = 65_532
RETRIES = 3
"""After transient failures; the Job waits 10 s, 20 s and 40 s in between."""
PACKAGE_SECONDS = 12 * 3600
"""Longest life of a package Job: 600 GB in and out again at 30 MB/s. It only ends what nobody
thought of: a source or registry that falls silent ends the Job within minutes."""
CHECK_MARGIN_SECONDS = 300
"""For pulling the image and the golden set, on top of the check's own time limit."""
TMP_SIZE = "64Mi"
GOLDEN_VOLUME = "golden"


@dataclass(frozen=True, slots=True)
class PackageJobSpec:
    """What a package Job is made from."""

    owner: Owner
    image: str
    """The operator's image, or the one that converts models."""
    input_hash: str
    attempt: int
    """Counted from 1."""
    request: PackageRequest
    push_secret: str | None = None
    pull_secrets: tuple[str, ...] = ()
    """The user's, for reading the base image; the pod's own are those of `pods`."""
    pods: PodSettings = field(default_factory=PodSettings)
    users: PodUsers = PodUsers.SLIPWAY
    converter: ContainerResources | None = None
    """What the administrator gives to a container that converts the model; None: it does not."""


@dataclass(frozen=True, slots=True)
class CheckJobSpec:
    """What a check Job is made from."""

    owner: Owner
    image: str
    """The operator's image."""
    revision: str
    step: int
    """0: the gate before traffic."""
    attempt: int
    """Counted from 1."""
    request: CheckRequest
    pods: PodSettings = field(default_factory=PodSettings)
    users: PodUsers = PodUsers.SLIPWAY


@dataclass(frozen=True, slots=True)
class _Volume:
    """A volume and where it is mounted."""

    name: str
    source: Manifest
    path: str
    read_only: bool = True

    def render_mount(self) -> Manifest:
        mount = {"name": self.name, "mountPath": self.path}
        return {**mount, "readOnly": True} if self.read_only else mount

    def render_volume(self) -> Manifest:
        return {"name": self.name, **self.source}


@dataclass(frozen=True, slots=True)
class _Task:
    """What differs between the two kinds of Job."""

    name: str
    component: str
    """Also the container's name, and the argument that selects the program."""
    deadline_seconds: int
    request: ApiModel
    volumes: Sequence[_Volume]
    source: SourceRequest | None
    claim: tuple[str, str]
    """Volume and mount path of a source that is a claim."""
    resources: Manifest
    """Of the container."""
    revision: str | None = None


def render_package_job(job: PackageJobSpec) -> Manifest:
    """Return the Job that packages an input."""
    task = _Task(
        name=names.package_job_name(job.owner.name, job.input_hash, job.attempt),
        component=names.COMPONENT_PACKAGE,
        deadline_seconds=PACKAGE_SECONDS,
        request=job.request.model_copy(update={"pull_secrets": len(job.pull_secrets)}),
        volumes=[*_writable_volumes(), *_secret_volumes(job), *_authority_volumes(job.request)],
        source=job.request.source,
        claim=(SOURCE_VOLUME, SOURCE_MOUNT),
        resources=render_fetch_resources(job.pods.resources, job.converter),
    )
    return _render_job(job, task)


def render_check_job(job: CheckJobSpec) -> Manifest:
    """Return the Job that checks a candidate."""
    golden = job.request.golden
    task = _Task(
        name=names.check_job_name(job.owner.name, job.revision, job.step, job.attempt),
        component=names.COMPONENT_CHECK,
        deadline_seconds=(
            job.request.start_seconds + job.request.timeout_seconds + CHECK_MARGIN_SECONDS
        ),
        request=job.request,
        volumes=_writable_volumes(),
        source=golden.source if golden else None,
        claim=(GOLDEN_VOLUME, GOLDEN_MOUNT),
        resources=render_fetch_resources(job.pods.resources),
        revision=job.revision,
    )
    return _render_job(job, task)


def _render_job(job: PackageJobSpec | CheckJobSpec, task: _Task) -> Manifest:
    owner = job.owner
    labels = names.common_labels(owner.name, task.component, task.revision)
    metadata = render_metadata(
        {**labels, **render_identity_labels(task.source)}, job.pods.labels, job.pods.annotations
    )
    template = {"metadata": metadata, "spec": _pod_spec(job, task)}

    return owner.render_child(
        JOB,
        task.name,
        labels,
        spec={
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": task.deadline_seconds,
            "podFailurePolicy": {"rules": _failure_rules(task.component)},
            "template": template,
        },
    )


def _failure_rules(container: str) -> list[Manifest]:
    """Evictions cost no attempt; a permanent failure ends the Job; anything else counts."""

    def exits(code: int, action: str) -> Manifest:
        codes = {"containerName": container, "operator": "In", "values": [code]}
        return {"action": action, "onExitCodes": codes}

    disrupted = {"type": "DisruptionTarget", "status": "True"}
    return [
        {"action": "Ignore", "onPodConditions": [disrupted]},
        exits(EXIT_PERMANENT, "FailJob"),
        exits(EXIT_TRANSIENT, "Count"),
    ]


def _pod_spec(job: PackageJobSpec | CheckJobSpec, task: _Task) -> Manifest:
    volume, path = task.claim
    mounts = [
        *(item.render_mount() for item in task.volumes),
        *render_source_mounts(task.source, volume, path),
    ]
    volumes = [
        *(item.render_volume() for item in task.volumes),
        *render_source_volumes(task.source, volume),
    ]

    return {
        **render_placement(job.pods),
        **render_identity(task.source),
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": render_pod_security(USER, job.users),
        "containers": [_job_container(job, task, mounts)],
        "volumes": volumes,
    }


def _job_container(
    job: PackageJobSpec | CheckJobSpec, task: _Task, mounts: list[Manifest]
) -> Manifest:
    return {
        "name": task.component,
        "image": job.image,
        "args": [task.component],
        "env": [render_request(task.request)],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": SECURITY_CONTEXT,
        "resources": task.resources,
        "volumeMounts": mounts,
    }


def _writable_volumes() -> list[_Volume]:
    return [
        _Volume("scratch", {"emptyDir": {}}, SCRATCH_MOUNT, read_only=False),
        _Volume("tmp", {"emptyDir": {"sizeLimit": TMP_SIZE}}, "/tmp", read_only=False),  # noqa: S108
    ]


def _secret_volumes(job: PackageJobSpec) -> list[_Volume]:
    push = [] if job.push_secret is None else [(job.push_secret, "push", PUSH_SECRET_MOUNT)]
    pulls = [
        (secret, f"pull-{index}", f"{PULL_SECRET_MOUNT}/{index}")
        for index, secret in enumerate(job.pull_secrets)
    ]
    return [
        _Volume(name, {"secret": {"secretName": secret}}, path)
        for secret, name, path in [*push, *pulls]
    ]


def _authority_volumes(request: PackageRequest) -> list[_Volume]:
    """Only those of the registries that this Job uses: a missing ConfigMap would block the pod."""
    hosts = {(name or "").partition("/")[0] for name in (request.base_image, request.repository)}
    return [
        _Volume(
            f"ca-{index}",
            {"configMap": {"name": registry.ca_config_map}},
            f"{CA_MOUNT}/{index}",
        )
        for index, registry in enumerate(request.registries)
        if registry.ca_config_map is not None and registry.host in hosts
    ]
