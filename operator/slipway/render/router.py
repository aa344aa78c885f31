"""The router of one namespace: a Deployment of Envoy and agent, and the objects that it needs.

The ServiceAccount is the anchor and has no owner. It owns everything else, so that deleting the
anchor deletes the router, and an uninstalled operator leaves the router serving.
"""

from dataclasses import dataclass, field

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import (
    DEPLOYMENT,
    ENDPOINT_SLICE,
    MODEL_ROUTE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Kind,
)
from slipway.api.shadow_orders import COMPARER_VARIABLE, MEMORY_VARIABLE
from slipway.api.shadow_orders import FILE as ORDERS_FILE
from slipway.render import network_policies
from slipway.render.departure import IDLE_PATH, LEAVE_SECONDS, LONGEST_REQUEST_SECONDS
from slipway.render.envoy import BOOTSTRAP_FILE, LIVE_PATH
from slipway.render.network_policies import Walls
from slipway.render.owner import controller_reference
from slipway.render.placement import render_metadata, render_placement, render_resources
from slipway.render.pod_security import render_pod_security
from slipway.render.traces import ENDPOINT_VARIABLE, PERCENT_VARIABLE
from slipway.settings import PodSettings, PodUsers, TracingSettings

XDS_DIRECTORY = "/xds"
TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 -- a path
USER = 65532
"""Of all containers, which share files and sockets."""

GRACE_SECONDS = 40
"""Where Envoy ends after LEAVE_SECONDS, whatever is in flight."""
LONG_GRACE_SECONDS = LONGEST_REQUEST_SECONDS + 20
DRAIN_SECONDS = 15
"""In this time ever more answers ask the client to close its connection; < LEAVE_SECONDS."""

LABELS = {
    names.MANAGED_BY: names.MANAGER,
    names.LABEL_COMPONENT: names.COMPONENT_ROUTER,
}
_REQUESTS: Manifest = {"requests": {"cpu": "50m", "memory": "64Mi"}}
_COMPARER_RESOURCES: Manifest = {
    "requests": {"cpu": "10m", "memory": "16Mi"},
    "limits": {"cpu": "1", "memory": "384Mi"},
}
"""Requests are what it takes while it waits; limits keep it from what users are answered by."""
_SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


_LIVE: Manifest = {"httpGet": {"path": LIVE_PATH, "port": names.LIVE_PORT}}
_STARTUP: Manifest = {**_LIVE, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 120}
"""Envoy may wait half a minute for an agent that is gone before it serves what it has."""
_LIVENESS: Manifest = {
    **_LIVE,
    "periodSeconds": 5,
    "timeoutSeconds": 5,
    "failureThreshold": 4,
    "terminationGracePeriodSeconds": 1,
}
"""Envoy's own workers answer. One that stands still keeps its clients' connections open, and they
wait on them: only its end tells them to leave. It is not asked to end, since it hears nothing."""

AGENT_VERSION = "2"
"""A new value makes an operator upgrade replace the running agents, one namespace at a time.

Raise it with a change of the agent, or of what it is told, that existing routers must get.
"""
NEWEST_AGENT_VERSION = "3"
"""Also understands what few routes ask for: TLS and access. Only namespaces of such routes replace
their agents for it: an older one would leave their doors open.
"""
COMPARER_VERSION = "4"
"""Brings a comparer as well: only namespaces in which a route orders copies of its requests replace
their pods for it, and keep the comparer then, which waits for the next order at little cost.
"""
HOLDING_VERSION = "5"
"""Also holds requests for models that are asleep: only namespaces with a model that may sleep
replace their pods for it.
"""
VERSIONS = (AGENT_VERSION, NEWEST_AGENT_VERSION, COMPARER_VERSION, HOLDING_VERSION)
"""Each can do what those before it can."""


@dataclass(frozen=True, slots=True)
class AgentMark:
    """Which agent a router's Deployment runs."""

    version: str
    image: str
    ends_idle: bool = False
    """Whether its Envoy ends when no request is in flight, and is ended where it stands still."""
    can_trace: bool = False
    """Whether its Envoy can trace requests; of the operator's image that is known from the first
    time on that it is asked to."""

    @classmethod
    def parse(cls, text: str) -> "AgentMark":
        """Read the annotation; unreadable text counts as another version."""
        version, _, image = text.partition(" ")
        untraced = version.removesuffix(_CAN_TRACE)
        plain = untraced.removesuffix(_ENDS_IDLE)
        return cls(plain, image, ends_idle=plain != untraced, can_trace=untraced != version)

    def __str__(self) -> str:
        """Return the annotation."""
        ends_idle, can_trace = _ENDS_IDLE * self.ends_idle, _CAN_TRACE * self.can_trace
        return f"{self.version}{ends_idle}{can_trace} {self.image}"


_ENDS_IDLE = "+"
_CAN_TRACE = "t"


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """What the routers of all namespaces have in common."""

    agent_image: str
    envoy_image: str
    agent_version: str = AGENT_VERSION
    ends_idle: bool = True
    """False for routers of releases before this: an upgrade alone does not replace them."""
    replicas: int = 2
    concurrency: int = 1
    """Envoy's worker threads."""
    pods: PodSettings = field(default_factory=PodSettings, hash=False)
    users: PodUsers = PodUsers.SLIPWAY
    walls: Walls = field(default_factory=Walls)
    can_trace: bool = False
    """Whether the agent knows of traces; more than `tracing` says of what it is to do."""
    tracing: TracingSettings = field(default_factory=TracingSettings)

    @property
    def has_comparer(self) -> bool:
        """Whether a comparer runs in each pod."""
        return self.agent_version in COMPARER_VERSIONS

    @property
    def can_hold(self) -> bool:
        """Whether each pod can hold requests for a model that is asleep."""
        return self.agent_version == HOLDING_VERSION


NEWEST_AGENT_VERSIONS = frozenset(VERSIONS[1:])
COMPARER_VERSIONS = frozenset(VERSIONS[2:])


def choose_agent(
    pinned: str,
    operators: str,
    running: AgentMark | None,
    *,
    needs_newest: bool,
    needs_comparer: bool = False,
    needs_holding: bool = False,
    needs_traces: bool = False,
    is_replaced: bool = False,
) -> AgentMark:
    """Return the agent: the pinned image, else the running one, else the operator's own.

    The running image stays while its version will do, so that an operator upgrade leaves routers
    alone; a new namespace gets the operator's current image. Pods that are replaced for another
    reason (`is_replaced`) get one that knows when its Envoy may end.
    """
    least = 3 if needs_holding else 2 if needs_comparer else 1 if needs_newest else 0
    will_do = VERSIONS[least:]
    keeps = running is not None and running.image != "" and running.version in will_do
    if running is not None and is_replaced:
        keeps = keeps and running.ends_idle
    if running is not None and needs_traces:
        keeps = keeps and running.can_trace
    if running is not None and keeps and pinned in ("", running.image):
        return running

    # A new image brings no comparer along where there was none, and leaves the one that is there.
    had = running is not None and running.version in COMPARER_VERSIONS
    version = max(will_do[0], running.version) if running is not None and had else will_do[0]
    return AgentMark(version, pinned or operators, ends_idle=True, can_trace=needs_traces)


def render_envoy_arguments(directory: str, concurrency: int) -> list[str]:
    """Return Envoy's command line."""
    return [
        "--config-path",
        f"{directory}/{BOOTSTRAP_FILE}",
        "--concurrency",
        str(concurrency),
        "--drain-time-s",
        str(DRAIN_SECONDS),
        "--disable-hot-restart",  # needs shared memory, and one Envoy per pod restarts by itself
        "--log-level",
        "warning",
    ]


def render_anchor(namespace: str) -> Manifest:
    """Return the ServiceAccount that owns the rest."""
    anchor = _render_object(SERVICE_ACCOUNT, namespace, None)
    return {**anchor, "automountServiceAccountToken": False}


def render_router(namespace: str, anchor_uid: str, spec: RouterSpec) -> tuple[Manifest, ...]:
    """Return everything that belongs to the anchor, in the order in which to write it."""
    # Walls come first: servers wait for theirs.
    objects = [
        *_render_walls(namespace, anchor_uid, spec.walls),
        _render_object(ROLE, namespace, anchor_uid) | {"rules": _role_rules()},
        _render_object(ROLE_BINDING, namespace, anchor_uid) | _role_binding(namespace),
    ]

    if needs_budget(spec):
        budget = {"minAvailable": 1, "selector": {"matchLabels": LABELS}}
        objects.append(
            _render_object(POD_DISRUPTION_BUDGET, namespace, anchor_uid) | {"spec": budget}
        )

    # The pods come last: they need the role from their first second on.
    return (*objects, _render_deployment(namespace, anchor_uid, spec))


def needs_budget(spec: RouterSpec) -> bool:
    """Return whether a disruption budget may hold up drains: of a single pod it would for ever."""
    return spec.replicas > 1


def _render_walls(namespace: str, anchor_uid: str, walls: Walls) -> list[Manifest]:
    specs = {names.ROUTER_NAME: network_policies.router_spec(walls, LABELS)}
    if walls.exist:
        specs = {
            names.SERVERS_NAME: network_policies.server_spec(walls, LABELS),
            names.JOBS_NAME: network_policies.job_spec(walls),
            **specs,
        }
    return [
        _render_object(NETWORK_POLICY, namespace, anchor_uid, name) | {"spec": spec}
        for name, spec in specs.items()
    ]


def _render_object(
    kind: Kind, namespace: str, anchor_uid: str | None, name: str = names.ROUTER_NAME
) -> Manifest:
    metadata: Manifest = {"labels": LABELS}
    if anchor_uid is not None:
        anchor = controller_reference(SERVICE_ACCOUNT, names.ROUTER_NAME, anchor_uid)
        metadata["ownerReferences"] = [anchor]

    return kind.manifest(namespace, name, metadata=metadata)


def _role_rules() -> list[Manifest]:
    """Nothing that the operator may not do itself: it cannot grant more than it has."""
    read = ["get", "list", "watch"]
    return [
        {"apiGroups": [MODEL_ROUTE.group], "resources": [MODEL_ROUTE.plural], "verbs": read},
        {
            "apiGroups": [MODEL_ROUTE.group],
            "resources": [f"{MODEL_ROUTE.plural}/status"],
            "verbs": ["patch"],
        },
        {"apiGroups": [ENDPOINT_SLICE.group], "resources": [ENDPOINT_SLICE.plural], "verbs": read},
    ]


def _role_binding(namespace: str) -> Manifest:
    return {
        "roleRef": {"apiGroup": ROLE.group, "kind": ROLE.kind, "name": names.ROUTER_NAME},
        "subjects": [
            {"kind": SERVICE_ACCOUNT.kind, "name": names.ROUTER_NAME, "namespace": namespace}
        ],
    }


def _render_deployment(namespace: str, anchor_uid: str, spec: RouterSpec) -> Manifest:
    manifest = _render_object(DEPLOYMENT, namespace, anchor_uid) | {"spec": _deployment_spec(spec)}
    mark = AgentMark(spec.agent_version, spec.agent_image, spec.ends_idle, spec.can_trace)
    manifest["metadata"]["annotations"] = {names.ANNOTATION_AGENT: str(mark)}
    return manifest


def _deployment_spec(spec: RouterSpec) -> Manifest:
    return {
        "replicas": spec.replicas,
        "selector": {"matchLabels": LABELS},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "revisionHistoryLimit": 1,
        "template": {
            "metadata": render_metadata(LABELS, spec.pods.labels, spec.pods.annotations),
            "spec": _pod_spec(spec),
        },
    }


def _pod_spec(spec: RouterSpec) -> Manifest:
    volumes = [
        {"name": "xds", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "token", "projected": {"sources": _token_sources()}},
    ]

    comparers = [_comparer_container(spec)] if spec.has_comparer else []
    return {
        **render_placement(spec.pods),
        "serviceAccountName": names.ROUTER_NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": LONG_GRACE_SECONDS if spec.ends_idle else GRACE_SECONDS,
        "securityContext": render_pod_security(USER, spec.users, owns_volumes=True),
        "affinity": {"podAntiAffinity": _spread_over_nodes()},
        "initContainers": [_agent_container(spec)],
        "containers": [_envoy_container(spec), *comparers],
        "volumes": volumes,
    }


def _spread_over_nodes() -> Manifest:
    term = {"labelSelector": {"matchLabels": LABELS}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 100, "podAffinityTerm": term}
        ]
    }


def _token_sources() -> list[Manifest]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {
            "configMap": {
                "name": "kube-root-ca.crt",
                "items": [{"key": "ca.crt", "path": "ca.crt"}],
            }
        },
    ]


def _agent_container(spec: RouterSpec) -> Manifest:
    """A native sidecar: Envoy starts when the startup probe passes, and ends before the agent.

    It has no liveness probe, because ending the agent drains Envoy. The hook tells the agent at
    once that the pod is ending; the kubelet's own signal comes only after Envoy has ended.
    """
    environment = [
        _from_pod_field("POD_NAME", "metadata.name"),
        _from_pod_field("POD_UID", "metadata.uid"),
        _from_pod_field("POD_NAMESPACE", "metadata.namespace"),
    ]
    if spec.has_comparer:
        environment.append({"name": COMPARER_VARIABLE, "value": "true"})
    if spec.can_hold:
        environment.append({"name": names.HOLDING_VARIABLE, "value": "true"})
    if spec.ends_idle:
        port = {"name": names.LIVE_PORT_VARIABLE, "value": str(names.LIVE_PORT)}
        environment.append(port)
    environment += _tracing_variables(spec.tracing)
    mounts = [
        {"name": "xds", "mountPath": XDS_DIRECTORY},
        {"name": "token", "mountPath": TOKEN_DIRECTORY, "readOnly": True},
    ]

    return {
        "name": "agent",
        "image": spec.agent_image,
        "args": ["agent"],
        "restartPolicy": "Always",
        "env": environment,
        "ports": [{"name": "agent", "containerPort": names.AGENT_PORT, "protocol": "TCP"}],
        "startupProbe": _http_probe("/startedz", period=1, failures=120),
        "readinessProbe": _http_probe("/readyz", period=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "kill -TERM 1"]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": render_resources(_REQUESTS, spec.pods.resources),
        "securityContext": _SECURITY,
        "volumeMounts": mounts,
    }


def _tracing_variables(tracing: TracingSettings) -> list[Manifest]:
    if not tracing.is_on:
        return []
    return [
        {"name": ENDPOINT_VARIABLE, "value": tracing.endpoint},
        {"name": PERCENT_VARIABLE, "value": f"{tracing.sampling_percent:g}"},
    ]


def _envoy_container(spec: RouterSpec) -> Manifest:
    """Envoy ends at once when the kubelet tells it to, so that is what the hook waits with."""
    leaves: Manifest = {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}}
    probed: Manifest = {}
    if spec.ends_idle:
        leaves = {"preStop": {"httpGet": {"path": IDLE_PATH, "port": names.AGENT_PORT}}}
        probed = {"startupProbe": _STARTUP, "livenessProbe": _LIVENESS}

    return {
        "name": "envoy",
        "image": spec.envoy_image,
        "args": ["envoy", *render_envoy_arguments(XDS_DIRECTORY, spec.concurrency)],
        "lifecycle": leaves,
        **probed,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": render_resources(_REQUESTS, spec.pods.resources),
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": "xds", "mountPath": XDS_DIRECTORY}],
    }


def _comparer_container(spec: RouterSpec) -> Manifest:
    """A shell that waits for orders, and only then starts the comparer, and starts it again.

    A container that ends makes its pod not Ready, and takes the router away from its clients; so
    this one never ends, whatever becomes of the comparer.
    """
    limit = {"containerName": "comparer", "resource": "limits.memory"}

    return {
        "name": "comparer",
        "image": spec.agent_image,
        "command": ["sh", "-c", _WAIT_FOR_ORDERS],
        "env": [{"name": MEMORY_VARIABLE, "valueFrom": {"resourceFieldRef": limit}}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _COMPARER_RESOURCES,
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": "xds", "mountPath": XDS_DIRECTORY}],
    }


_WAIT_FOR_ORDERS = f"""
trap 'kill "$!" 2>/dev/null; exit 0' TERM
while :; do
  test ! -e {XDS_DIRECTORY}/{ORDERS_FILE} || {{ slipway comparer & wait "$!"; }}
  sleep 2 & wait "$!"
done
""".strip()


def _from_pod_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _http_probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "agent"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
