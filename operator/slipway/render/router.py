"""The router of one namespace: a Deployment of Envoy and agent, and what that needs to live.

The ServiceAccount is the anchor and has no owner; everything else belongs to it, so that deleting
the anchor deletes the router, and an uninstalled operator leaves it serving.
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
from slipway.render.envoy import BOOTSTRAP_FILE
from slipway.render.placement import placement, resources
from slipway.settings import PodSettings

XDS_DIRECTORY = "/xds"
TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 -- a path
USER = 65532
"""Of both containers, so that they share files and sockets."""

LEAVE_SECONDS = 20
"""Envoy serves on for so long after the pod was told to end, while clients move away."""
GRACE_SECONDS = 40
DRAIN_SECONDS = 15
"""In which share by share all answers ask the client to close its connection; < LEAVE_SECONDS."""

LABELS = {
    names.MANAGED_BY: names.MANAGER,
    names.LABEL_COMPONENT: names.COMPONENT_ROUTER,
}
_REQUESTS: Manifest = {"requests": {"cpu": "50m", "memory": "64Mi"}}
_SECURITY: Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


AGENT_VERSION = "1"
"""Another one makes an operator upgrade replace the agents that run, one namespace at a time.

To be raised with a change of the agent, or of what it is told, that must reach routers which exist.
"""


@dataclass(frozen=True, slots=True)
class AgentMark:
    """Which agent a router's Deployment runs."""

    version: str
    image: str

    @classmethod
    def parse(cls, text: str) -> "AgentMark":
        """Read the annotation; whatever it holds, it is at worst another version."""
        version, _, image = text.partition(" ")
        return cls(version, image)

    def __str__(self) -> str:
        """Return the annotation."""
        return f"{self.version} {self.image}"


@dataclass(frozen=True, slots=True)
class RouterSpec:
    """What the routers of all namespaces have in common."""

    agent_image: str
    envoy_image: str
    replicas: int = 2
    concurrency: int = 1
    """Envoy's worker threads."""
    pods: PodSettings = field(default_factory=PodSettings, hash=False)


def agent_image(pinned: str, operators: str, running: AgentMark | None) -> str:
    """Return the agent's image: as pinned, else what runs, else the operator's own.

    What runs stays as long as it is of our version, so that an operator upgrade leaves routers
    alone; a new namespace gets the operator's image of the day.
    """
    if pinned:
        return pinned
    is_ours = running is not None and running.version == AGENT_VERSION and running.image
    return running.image if running is not None and is_ours else operators


def envoy_arguments(directory: str, concurrency: int) -> list[str]:
    """Return how Envoy is called."""
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
    anchor = _object(SERVICE_ACCOUNT, namespace, None)
    return {**anchor, "automountServiceAccountToken": False}


def render_router(namespace: str, anchor_uid: str, spec: RouterSpec) -> tuple[Manifest, ...]:
    """Return everything that belongs to the anchor, in the order in which to write it."""
    objects = [
        _object(ROLE, namespace, anchor_uid) | {"rules": _rules()},
        _object(ROLE_BINDING, namespace, anchor_uid) | _binding(namespace),
        _object(NETWORK_POLICY, namespace, anchor_uid) | {"spec": _network_policy()},
    ]
    if has_budget(spec):
        budget = {"minAvailable": 1, "selector": {"matchLabels": LABELS}}
        objects.append(_object(POD_DISRUPTION_BUDGET, namespace, anchor_uid) | {"spec": budget})
    return (*objects, _workload(namespace, anchor_uid, spec))


def has_budget(spec: RouterSpec) -> bool:
    """Return whether drains are held up: with a single pod that would be for ever."""
    return spec.replicas > 1


def _object(kind: Kind, namespace: str, anchor_uid: str | None) -> Manifest:
    metadata: Manifest = {"name": names.ROUTER_NAME, "namespace": namespace, "labels": LABELS}
    if anchor_uid is not None:
        metadata["ownerReferences"] = [
            {
                "apiVersion": SERVICE_ACCOUNT.api_version,
                "kind": SERVICE_ACCOUNT.kind,
                "name": names.ROUTER_NAME,
                "uid": anchor_uid,
                "controller": True,
            }
        ]
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _rules() -> list[Manifest]:
    """Nothing that the operator may not do itself, so that it may grant them."""
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


def _binding(namespace: str) -> Manifest:
    return {
        "roleRef": {"apiGroup": ROLE.group, "kind": ROLE.kind, "name": names.ROUTER_NAME},
        "subjects": [
            {"kind": SERVICE_ACCOUNT.kind, "name": names.ROUTER_NAME, "namespace": namespace}
        ],
    }


def _network_policy() -> Manifest:
    """Clients reach the listeners; operator and metrics reach the agent, which only reads."""
    ports = [
        {
            "protocol": "TCP",
            "port": names.ROUTE_PORTS.start,
            "endPort": names.ROUTE_PORTS.stop - 1,
        },
        {"protocol": "TCP", "port": names.AGENT_PORT},
    ]
    return {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": ports}],
    }


def _workload(namespace: str, anchor_uid: str, spec: RouterSpec) -> Manifest:
    manifest = _object(DEPLOYMENT, namespace, anchor_uid) | {"spec": _deployment(spec)}
    mark = AgentMark(AGENT_VERSION, spec.agent_image)
    manifest["metadata"]["annotations"] = {names.ANNOTATION_AGENT: str(mark)}
    return manifest


def _deployment(spec: RouterSpec) -> Manifest:
    return {
        "replicas": spec.replicas,
        "selector": {"matchLabels": LABELS},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "revisionHistoryLimit": 1,
        "template": {"metadata": {"labels": LABELS}, "spec": _pod(spec)},
    }


def _pod(spec: RouterSpec) -> Manifest:
    return {
        **placement(spec.pods),
        "serviceAccountName": names.ROUTER_NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {"podAntiAffinity": _apart()},
        "initContainers": [_agent(spec)],
        "containers": [_envoy(spec)],
        "volumes": [
            {"name": "xds", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            {"name": "token", "projected": {"sources": _token_sources()}},
        ],
    }


def _apart() -> Manifest:
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


def _agent(spec: RouterSpec) -> Manifest:
    """A native sidecar: Envoy starts when the startup probe passes, and ends before the agent.

    It has no liveness probe, because ending the agent drains Envoy. The hook tells the agent at
    once that the pod ends; the kubelet's own signal comes after Envoy's end.
    """
    return {
        "name": "agent",
        "image": spec.agent_image,
        "args": ["agent"],
        "restartPolicy": "Always",
        "env": [
            _downward("POD_NAME", "metadata.name"),
            _downward("POD_UID", "metadata.uid"),
            _downward("POD_NAMESPACE", "metadata.namespace"),
        ],
        "ports": [{"name": "agent", "containerPort": names.AGENT_PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/startedz", period=1, failures=120),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "kill -TERM 1"]}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources(_REQUESTS, spec.pods),
        "securityContext": _SECURITY,
        "volumeMounts": [
            {"name": "xds", "mountPath": XDS_DIRECTORY},
            {"name": "token", "mountPath": TOKEN_DIRECTORY, "readOnly": True},
        ],
    }


def _envoy(spec: RouterSpec) -> Manifest:
    return {
        "name": "envoy",
        "image": spec.envoy_image,
        "args": ["envoy", *envoy_arguments(XDS_DIRECTORY, spec.concurrency)],
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources(_REQUESTS, spec.pods),
        "securityContext": _SECURITY,
        "volumeMounts": [{"name": "xds", "mountPath": XDS_DIRECTORY}],
    }


def _downward(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "agent"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
