"""Who may connect to the pods of a namespace: routers, model servers, and the pods of Jobs.

Only connections that come in are limited. What a pod may connect to is left alone: models, sources
and registries are wherever users have them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from slipway.api import names
from slipway.api.base import Manifest
from slipway.settings import ModelNetworkPolicies

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
OPERATOR_LABELS = {"app.kubernetes.io/name": "slipway"}
"""Of the operator's pods, whatever the release is called."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What the NetworkPolicies of one namespace are made from."""

    operator_namespace: str = ""
    models: frozenset[str] | None = frozenset()
    """Those whose servers are walled in; None: all of the namespace."""
    settings: ModelNetworkPolicies = field(default_factory=ModelNetworkPolicies, hash=False)

    @property
    def exist(self) -> bool:
        """Whether any server is walled in."""
        return self.models is None or bool(self.models)

    def protect(self, model: str) -> bool:
        """Return whether the servers of a model are walled in."""
        return self.models is None or model in self.models


def router_spec(walls: Walls, router: dict[str, str]) -> Manifest:
    """Return what reaches router pods: clients the listeners, readers of counters the agent.

    `router` has the labels of router pods.
    """
    listeners = {**_port(names.ROUTE_PORTS.start), "endPort": names.ROUTE_PORTS.stop - 1}
    agent = _port(names.AGENT_PORT)
    readers = walls.settings.metrics_from
    if not readers:
        return _spec({"matchLabels": router}, [{"ports": [listeners, agent]}])

    counters = {"ports": [agent], "from": [_operator(walls), *readers]}
    return _spec({"matchLabels": router}, [{"ports": [listeners]}, counters])


def server_spec(walls: Walls, router: dict[str, str]) -> Manifest:
    """Return what reaches model servers: requests by routers and checks, and readers of metrics."""
    pods: Manifest = {"matchLabels": _labels(names.COMPONENT_SERVER)}
    if walls.models is not None:
        of_these = {"key": names.LABEL_OWNER, "operator": "In", "values": sorted(walls.models)}
        pods["matchExpressions"] = [of_these]

    inside = [_pods(router), _pods(_labels(names.COMPONENT_CHECK))]
    requests = [_port(names.TRITON_HTTP_PORT), _port(names.TRITON_GRPC_PORT)]
    metrics = _port(names.TRITON_METRICS_PORT)
    ingress = [
        {"ports": requests, "from": [*inside, *walls.settings.servers_from]},
        {"ports": [metrics, _port(names.DOWNLOAD_PORT)], "from": [_operator(walls)]},
        _readers([metrics], walls.settings.metrics_from),
    ]
    return _spec(pods, ingress)


def job_spec(walls: Walls) -> Manifest:
    """Return what reaches the pods of Jobs: the operator, which asks how far a download is."""
    components = [names.COMPONENT_PACKAGE, names.COMPONENT_CHECK]
    of_jobs = {"key": names.LABEL_COMPONENT, "operator": "In", "values": components}
    pods = {"matchLabels": {names.MANAGED_BY: names.MANAGER}, "matchExpressions": [of_jobs]}
    return _spec(pods, [{"ports": [_port(names.DOWNLOAD_PORT)], "from": [_operator(walls)]}])


def _spec(pods: Manifest, ingress: Iterable[Manifest]) -> Manifest:
    return {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": list(ingress)}


def _readers(ports: list[Manifest], peers: list[Manifest]) -> Manifest:
    """An empty list of peers would let in everybody as well, and says so less clearly."""
    return {"ports": ports, "from": peers} if peers else {"ports": ports}


def _operator(walls: Walls) -> Manifest:
    namespace = {"matchLabels": {NAMESPACE_LABEL: walls.operator_namespace}}
    return {"namespaceSelector": namespace, **_pods(OPERATOR_LABELS)}


def _pods(labels: dict[str, str]) -> Manifest:
    return {"podSelector": {"matchLabels": labels}}


def _labels(component: str) -> dict[str, str]:
    return {names.MANAGED_BY: names.MANAGER, names.LABEL_COMPONENT: component}


def _port(number: int) -> Manifest:
    return {"protocol": "TCP", "port": number}
