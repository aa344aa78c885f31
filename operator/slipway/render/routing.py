"""What routes a ModelDeployment's traffic: its ModelRoute, and the Service that clients call."""

from collections.abc import Collection

from slipway.api import names
from slipway.api.access import Access
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE, SERVICE
from slipway.api.modelroute import Asleep, Backend, HeaderMatch, ModelRouteSpec, RouteTLS, Shadow
from slipway.api.protocol import Protocol
from slipway.render.owner import Owner

_CLIENT_PORTS = {
    Protocol.HTTP: {
        "name": "http",
        "port": names.CLIENT_HTTP_PORT,
        "appProtocol": "http",
    },
    Protocol.GRPC: {
        "name": "grpc",
        "port": names.CLIENT_GRPC_PORT,
        "appProtocol": "kubernetes.io/h2c",
    },
}


def render_model_route(
    owner: Owner,
    *,
    port: int,
    model: str,
    backends: tuple[Backend, ...],
    timeout_seconds: int = 0,
    candidate_header: HeaderMatch | None = None,
    candidate: str | None = None,
    shadow: Shadow | None = None,
    asleep: Asleep | None = None,
    tls: RouteTLS | None = None,
    access: Access | None = None,
) -> Manifest:
    """Return the ModelRoute; its name is the ModelDeployment's."""
    spec = ModelRouteSpec(
        port=port,
        model=model,
        timeout_seconds=timeout_seconds,
        candidate_header=candidate_header,
        candidate=candidate,
        tls=tls,
        access=access,
        backends=list(backends),
        shadow=shadow,
        asleep=asleep,
    )

    return owner.render_child(MODEL_ROUTE, owner.name, _router_labels(owner), spec=spec.wire())


def render_client_service(
    owner: Owner,
    port: int,
    protocols: Collection[str],
    *,
    ip_family_policy: str = "",
    is_encrypted: bool = False,
) -> Manifest:
    """Return the Service that clients call: each of its ports leads to the route's one listener.

    Args:
        owner: the ModelDeployment, whose name the Service takes.
        port: the route's listener port on the router pods.
        protocols: those that the server speaks.
        ip_family_policy: of the Service; empty: the cluster's default.
        is_encrypted: whether clients speak TLS; none of them then speaks HTTP/2 without it.

    """
    encrypted = {"appProtocol": "https"} if is_encrypted else {}
    ports = [
        {**_CLIENT_PORTS[protocol], **encrypted, "targetPort": port, "protocol": "TCP"}
        for protocol in Protocol
        if protocol in protocols
    ]
    selector = {names.LABEL_COMPONENT: names.COMPONENT_ROUTER}
    spec: Manifest = {"type": "ClusterIP", "selector": selector, "ports": ports}
    if ip_family_policy:
        spec["ipFamilyPolicy"] = ip_family_policy

    return owner.render_child(SERVICE, owner.name, _router_labels(owner), spec=spec)


def render_preview_service(owner: Owner, revision: str, protocols: Collection[str]) -> Manifest:
    """Return the Service that leads past the router, straight to the pods of one revision."""
    ports = [
        {**_CLIENT_PORTS[protocol], "targetPort": protocol.port_name, "protocol": "TCP"}
        for protocol in Protocol
        if protocol in protocols
    ]
    selector = names.common_labels(owner.name, names.COMPONENT_SERVER, revision)
    spec: Manifest = {"type": "ClusterIP", "selector": selector, "ports": ports}
    labels = names.common_labels(owner.name, names.COMPONENT_SERVER)
    return owner.render_child(SERVICE, names.preview_name(owner.name), labels, spec=spec)


def _router_labels(owner: Owner) -> dict[str, str]:
    return names.common_labels(owner.name, names.COMPONENT_ROUTER)
