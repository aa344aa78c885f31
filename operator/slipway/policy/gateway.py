"""Gateways: what they say of our routes, and which ModelDeployment a hostname belongs to; pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from slipway.api.kinds import GRPC_ROUTE, HTTP_ROUTE
from slipway.api.modeldeployment import GatewayParent, ModelDeployment
from slipway.api.protocol import Protocol
from slipway.api.reasons import Why

ANY_HOSTNAME = "*"
"""Stands for whatever a listener takes."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """A route that the spec asks for."""

    parents: tuple[GatewayParent, ...]
    hostnames: tuple[str, ...]
    protocols: tuple[Protocol, ...]


@dataclass(frozen=True, slots=True)
class ParentAnswer:
    """What a controller says of a route at one of its parents."""

    parent: str
    """`<namespace>/<name>`, and the listener after another slash where one is named."""
    is_current: bool
    """It is about the newest route, and complete."""
    refusal: tuple[str, str] | None
    """Reason and message of the first condition that is not as it should be."""


@dataclass(frozen=True, slots=True)
class RouteReading:
    """A route of ours as the API server has it."""

    kind: str
    name: str
    hostnames: tuple[str, ...]
    answers: tuple[ParentAnswer, ...]


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """What was found of the gateways and routes of one ModelDeployment."""

    routes: tuple[RouteReading, ...] = ()
    """Those that exist."""
    gateways: Mapping[str, str | None] = field(default_factory=dict)
    """By `<namespace>/<name>`: why a Gateway is not programmed, None where it is; one that cannot
    be read is missing here."""
    absent: frozenset[str] = frozenset()
    """Gateways that do not exist."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Hostnames that another ModelDeployment has, `<namespace>/<name>`."""
    problem: Why | None = None
    """Why nothing could be read or written."""


def gateway_of(parent: GatewayParent, namespace: str) -> str:
    """Return `<namespace>/<name>` of the Gateway that a route in a namespace is attached to."""
    return f"{parent.namespace or namespace}/{parent.name}"


def parent_name(parent: GatewayParent, namespace: str) -> str:
    """Return the same, with the listener where one is named."""
    whole = gateway_of(parent, namespace)
    return f"{whole}/{parent.section_name}" if parent.section_name else whole


def plan_routes(md: ModelDeployment) -> dict[str, RoutePlan]:
    """Return the routes that the spec asks for, by kind.

    gRPC takes the HTTPRoute, unless it is given a GRPCRoute.
    """
    gateway = md.spec.traffic.gateway
    if gateway is None:
        return {}

    spoken = (md.spec.server.protocols if md.spec.server else None) or list(Protocol)
    plans = {}
    if gateway.grpc is not None and Protocol.GRPC in spoken:
        parents = gateway.grpc.parent_refs or gateway.parent_refs
        plans[GRPC_ROUTE.kind] = RoutePlan(
            tuple(parents), tuple(gateway.grpc.hostnames), (Protocol.GRPC,)
        )
    by_http = tuple(item for item in spoken if item is not Protocol.GRPC or not plans)
    if by_http:
        whole = RoutePlan(tuple(gateway.parent_refs), tuple(gateway.hostnames), by_http)
        plans[HTTP_ROUTE.kind] = whole
    return plans


def list_gateways(md: ModelDeployment) -> list[str]:
    """Return every Gateway that the spec names once."""
    namespace = md.metadata.namespace
    parents = (parent for plan in plan_routes(md).values() for parent in plan.parents)
    return sorted({gateway_of(parent, namespace) for parent in parents})


def find_taken(mine: ModelDeployment, others: Iterable[ModelDeployment]) -> dict[str, str]:
    """Return the hostnames of `mine` that another one has, with its `<namespace>/<name>`.

    Who had a hostname first keeps it, as the statuses tell; of two that ask for it at the same
    moment, the older object gets it. So both come to the same answer.
    """
    claims = set(_claims_of(mine))
    if not claims:
        return {}

    ranked = {claim: (_rank(mine, claim), "") for claim in claims}
    for other in others:
        if other.metadata.uid == mine.metadata.uid or other.metadata.deletion_timestamp:
            continue
        name = f"{other.metadata.namespace}/{other.metadata.name}"
        for claim in claims.intersection(_claims_of(other)):
            ranked[claim] = min(ranked[claim], (_rank(other, claim), name))
    return {claim[2]: name for claim, (_, name) in sorted(ranked.items()) if name}


_Claim = tuple[str, str, str]
"""Gateway, what else tells two claims of any hostname apart, and hostname."""


def _claims_of(md: ModelDeployment) -> Iterator[_Claim]:
    for kind, plan in plan_routes(md).items():
        for parent in plan.parents:
            gateway = gateway_of(parent, md.metadata.namespace)
            for hostname in plan.hostnames:
                yield gateway, "", hostname
            if not plan.hostnames:
                # A listener takes one route of each kind without a hostname from us.
                yield gateway, f"{kind}/{parent.section_name or ''}", ANY_HOSTNAME


def _rank(md: ModelDeployment, claim: _Claim) -> tuple[bool, str, str, str]:
    status, metadata = md.status.gateway, md.metadata
    has_it = status is not None and claim[0] in status.gateways and claim[2] in status.hostnames
    return (not has_it, metadata.creation_timestamp or "", metadata.namespace, metadata.name)
