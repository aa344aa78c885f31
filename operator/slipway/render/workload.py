"""The workload of one revision: Deployment, Service and PodDisruptionBudget.

They are rendered once, when the revision is made, and kept in its ControllerRevision. They do not
include replicas: the scaler owns that field.
"""

from dataclasses import dataclass, field

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, POD_DISRUPTION_BUDGET, SERVICE
from slipway.api.modeldeployment import PodOptions, Volume
from slipway.api.request import PackageMode, PackageRequest
from slipway.render import triton
from slipway.render.fetch import (
    CACHE_VOLUME,
    render_fetch_container,
    render_fetch_volumes,
    render_hold_container,
    render_identity,
    render_identity_annotations,
    render_identity_labels,
)
from slipway.render.owner import Owner
from slipway.render.placement import render_metadata
from slipway.render.pod_security import render_pod_security
from slipway.settings import ContainerResources, ModelPodSettings, PodUsers

PROGRESS_MARGIN_SECONDS = 300
"""For scheduling and pulling the image, on top of loading the model."""

MODEL_VOLUME = "models"
IMAGE_MOUNT = "/model-image"
"""Where the image of the model is mounted, whole: not every runtime can mount a part of one."""
VOLUME_REPOSITORY = f"{IMAGE_MOUNT}{names.MODEL_ROOT}"

MOUNT_FIELDS = frozenset({"mountPath", "subPath", "readOnly"})
RENDERED_APART = frozenset({"labels", "annotations", "env", "volumes", "shmSize", "tmpSize"})
"""Options that are not fields of a pod's spec under the same name."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """What the init container of Fetch mode does."""

    image: str
    """The operator's image, or the one that converts models."""
    request: PackageRequest
    converter: ContainerResources | None = None
    """What a container that converts the model is given; None: it does not."""
    cache: Manifest | None = None
    """Source of the volume in which it keeps what it fetched."""


@dataclass(frozen=True, slots=True)
class RevisionSpec:
    """A revision with every default and Auto value resolved."""

    owner: Owner
    revision: str
    """First 8 hex digits of its identity."""
    version: str
    """`model.version`, for display."""
    server: triton.TritonServer
    pod: PodOptions
    pull_secrets: tuple[str, ...] = ()
    fetch: Fetch | None = None
    """Set in Fetch mode only."""
    model_image: str | None = None
    """Image that the model is mounted from; set in Volume mode only."""
    defaults: ModelPodSettings = field(default_factory=ModelPodSettings, hash=False)
    """What the administrator puts on every pod."""
    users: PodUsers = PodUsers.SLIPWAY

    @property
    def mode(self) -> PackageMode:
        """How the model gets into the pods."""
        if self.model_image is not None:
            return PackageMode.VOLUME
        return PackageMode.IMAGE if self.fetch is None else PackageMode.FETCH

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the revision's objects, and the selector of its pods."""
        return _revision_labels(self.owner, self.revision)


def _revision_labels(owner: Owner, revision: str) -> dict[str, str]:
    return names.common_labels(owner.name, names.COMPONENT_SERVER, revision)


def render_deployment(spec: RevisionSpec) -> Manifest:
    """Return the Deployment, without replicas."""
    labels = {**spec.labels, names.LABEL_VERSION: spec.version}
    annotations = {**spec.defaults.annotations, **(spec.pod.annotations or {})}
    if spec.fetch is not None:
        source = spec.fetch.request.source
        labels |= render_identity_labels(source)
        annotations |= render_identity_annotations(source, triton.CONTAINER)
    metadata = render_metadata(
        labels, {**spec.defaults.labels, **(spec.pod.labels or {})}, annotations
    )

    return spec.owner.render_child_of_revision(
        DEPLOYMENT,
        spec.revision,
        {
            "selector": {"matchLabels": spec.labels},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "minReadySeconds": 0,
            "progressDeadlineSeconds": spec.server.start_seconds + PROGRESS_MARGIN_SECONDS,
            "revisionHistoryLimit": 0,
            "template": {"metadata": metadata, "spec": _pod_spec(spec)},
        },
    )


def render_service(spec: RevisionSpec) -> Manifest:
    """Return the headless Service whose EndpointSlices the router reads."""
    protocols = {"http": "http", "grpc": "kubernetes.io/h2c", "metrics": "http"}
    ports = [
        {
            "name": name,
            "port": port,
            "targetPort": name,
            "protocol": "TCP",
            "appProtocol": protocols[name],
        }
        for name, port in triton.open_ports(spec.server).items()
    ]

    # Of the addresses of a pod, the router must take the one that Triton listens on.
    families = {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}

    return spec.owner.render_child_of_revision(
        SERVICE,
        spec.revision,
        {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": False,
            "selector": spec.labels,
            "ports": ports,
            **(families if spec.server.is_ipv6 else {}),
        },
    )


def render_pdb(owner: Owner, revision: str) -> Manifest:
    """Return the PodDisruptionBudget of a revision with two or more replicas.

    Pods that are not ready may always be evicted: they serve nothing, and would block a drain.
    """
    return owner.render_child_of_revision(
        POD_DISRUPTION_BUDGET,
        revision,
        {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _revision_labels(owner, revision)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


def _pod_spec(spec: RevisionSpec) -> Manifest:
    pod = {
        **_user_options(spec.pod),
        "automountServiceAccountToken": False,  # a model brings its own code, which is not trusted
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": spec.server.grace_seconds,
        # What is fetched belongs to the group, so that the server may read it.
        "securityContext": render_pod_security(
            triton.USER, spec.users, owns_volumes=spec.fetch is not None
        ),
        "containers": [_server_container(spec)],
        "volumes": [
            *triton.render_volumes(spec.server),
            *(_user_volume(volume) for volume in spec.pod.volumes or ()),
        ],
    }

    if spec.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.pull_secrets]
    if spec.fetch is not None:
        _add_fetch(pod, spec.fetch)
    if spec.model_image is not None:
        image = {"reference": spec.model_image}
        pod["volumes"].append({"name": MODEL_VOLUME, "image": image})
    return pod


def _server_container(spec: RevisionSpec) -> Manifest:
    place = names.MODEL_ROOT if spec.model_image is None else IMAGE_MOUNT
    model = {"name": MODEL_VOLUME, "mountPath": place, "readOnly": True}
    mounts = [_user_mount(volume) for volume in spec.pod.volumes or ()]
    claims = [claim.name for claim in spec.pod.resource_claims or ()]

    return triton.render_container(
        spec.server,
        env=spec.pod.env or (),
        mounts=mounts if spec.mode is PackageMode.IMAGE else [model, *mounts],
        claims=claims,
    )


def _user_volume(volume: Volume) -> Manifest:
    wire = volume.wire()
    return {name: value for name, value in wire.items() if name not in MOUNT_FIELDS}


def _user_mount(volume: Volume) -> Manifest:
    wire = volume.wire()
    return {name: value for name, value in wire.items() if name in {"name", *MOUNT_FIELDS}}


def _user_options(options: PodOptions) -> Manifest:
    chosen = options.wire()
    return {name: value for name, value in chosen.items() if value and name not in RENDERED_APART}


def _add_fetch(pod: Manifest, fetch: Fetch) -> None:
    """The fetched model has no size limit of ours: its size is unknown before it is there."""
    for name, value in render_identity(fetch.request.source).items():
        pod.setdefault(name, value)
    container = render_fetch_container(
        fetch.image,
        fetch.request,
        MODEL_VOLUME,
        converter=fetch.converter,
        has_cache=fetch.cache is not None,
    )
    pod["initContainers"] = [container]

    pod["volumes"] += [{"name": MODEL_VOLUME, "emptyDir": {}}, *render_fetch_volumes(fetch.request)]
    if fetch.cache is not None:
        pod["initContainers"].insert(0, render_hold_container(fetch.image, fetch.request))
        pod["volumes"].append({"name": CACHE_VOLUME, **fetch.cache})
