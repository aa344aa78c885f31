"""Names that are part of the interface: group, labels, annotations, ports, names of children."""

GROUP = "slipway.dev"
VERSION = "v1beta1"
"""What people write."""
DEPRECATED_VERSION = "v1alpha1"
"""Equal to it in all but the name. Operator and agents read and write by it as long as the release
before this one may come back (docs/decisions/0067)."""
API_VERSION = f"{GROUP}/{VERSION}"
HOOK_API_VERSION = f"{GROUP}/v1alpha1"
"""Of what hooks are sent; it has nothing to do with the versions of the kinds."""

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "slipway"
LABEL_OWNER = f"{GROUP}/modeldeployment"
LABEL_REVISION = f"{GROUP}/revision"
LABEL_COMPONENT = f"{GROUP}/component"
LABEL_VERSION = f"{GROUP}/version"

ANNOTATION_HASH = f"{GROUP}/applied-hash"
ANNOTATION_ACTION = f"{GROUP}/action"
ANNOTATION_REQUESTED_BY = f"{GROUP}/requested-by"
ANNOTATION_ACTION_REASON = f"{GROUP}/action-reason"
"""Why a person asked for the action, in their words, and its id: ``<text>#<id>``."""
ANNOTATION_CHANGED_BY = f"{GROUP}/changed-by"
"""Who changed the version; only the admission policy of two persons makes it worth anything."""
ANNOTATION_OUTCOME = f"{GROUP}/outcome"
ANNOTATION_EPOCH = f"{GROUP}/epoch"
ANNOTATION_AGENT = f"{GROUP}/agent"
"""On a router's Deployment: the agent's version, a space, and the image that it came with."""

ANNOTATION_SCALED_OBJECT = f"{GROUP}/scaled-object"
"""On a revision's Deployment, ``"true"`` or ``"false"``: a ScaledObject may exist for it."""

COMPONENT_SERVER = "server"
COMPONENT_PACKAGE = "package"
COMPONENT_CHECK = "check"
COMPONENT_ROUTER = "router"

FIELD_MANAGER = "slipway"
FIELD_MANAGER_STATUS = "slipway-status"
FIELD_MANAGER_SCALER = "slipway-scaler"
FIELD_MANAGER_ROUTER = "slipway-router"
"""An agent appends ``/<pod>``."""

TRITON_HTTP_PORT = 8000
TRITON_GRPC_PORT = 8001
TRITON_METRICS_PORT = 8002
CLIENT_HTTP_PORT = 8000
CLIENT_GRPC_PORT = 8001
AGENT_PORT = 9901
DOWNLOAD_PORT = 9902
"""Of a pod that fetches a model: how far it is."""
LIVE_PORT = 9903
"""Of a router pod: Envoy's workers answer the kubelet."""
OPERATOR_PORT = 8080
ROUTE_PORTS = range(10_000, 20_000)

ROUTER_NAME = "slipway-router"
"""Name of the ServiceAccount, Role, RoleBinding, Deployment, PodDisruptionBudget and NetworkPolicy
of a namespace's router."""
SERVERS_NAME = "slipway-servers"
"""Name of the NetworkPolicy around a namespace's model servers."""
JOBS_NAME = "slipway-jobs"
"""Name of the NetworkPolicy around the pods of a namespace's Jobs."""

CACHE_FOLDER = "slipway-models"
"""Directory in the cache's volume, beside which others may keep what they like."""
USED_SUFFIX = ".used"
HOLD_CONTAINER = "hold"
"""Sidecar that keeps a model in the cache while its pod runs."""
MODEL_ROOT = "/models"
MODEL_DIRECTORY_VERSION = "1"
"""Triton's version directory; always 1, so that paths are the same for every model version."""


def revision_name(owner: str, revision: str) -> str:
    """Return the name of a revision's ControllerRevision, Deployment, Service and budget."""
    return f"{owner}-{revision}"


def preview_name(owner: str) -> str:
    """Return the name of the Service that leads to a candidate before its switch."""
    return f"{owner}-preview"


def grpc_route_name(owner: str) -> str:
    """Return the name of a ModelDeployment's GRPCRoute; the HTTPRoute has the owner's own.

    They differ because Contour keeps the statuses of both kinds by name alone, and no
    ModelDeployment's name has a dot.
    """
    return f"{owner}.grpc"


def package_job_name(owner: str, input_hash: str, attempt: int) -> str:
    """Return the name of the Job that packages an input; `attempt` counts from 1."""
    return f"{owner}-package-{input_hash[:8]}-{attempt}"


def check_job_name(owner: str, revision: str, step: int, attempt: int) -> str:
    """Return the name of the Job that checks a revision; `step` 0 is before any traffic."""
    return f"{owner}-check-{revision}-{step}-{attempt}"


def common_labels(owner: str, component: str, revision: str | None = None) -> dict[str, str]:
    """Return the labels of an object that belongs to the ModelDeployment `owner`."""
    labels = {MANAGED_BY: MANAGER, LABEL_OWNER: owner, LABEL_COMPONENT: component}
    if revision is not None:
        labels[LABEL_REVISION] = revision
    return labels


LIVE_PORT_VARIABLE = "LIVE_PORT"
"""Environment variable of the agent: where its Envoy answers the kubelet."""
HOLDING_VARIABLE = "HOLDS_REQUESTS"
"""Environment variable of the agent; "true": its router can hold requests for a model asleep."""


def used_file(digest: str) -> str:
    """Return the name of the file that pods of a model lock in the cache of Fetch mode."""
    return f"{digest.removeprefix('sha256:')}{USED_SUFFIX}"
