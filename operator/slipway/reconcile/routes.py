"""Writes what sends requests to revisions: the ModelRoute, and the Service of the clients."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slipway.api import kinds, names
from slipway.api.access import Access, ServiceAccountName
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Plaintext, Protocol, Server, Traffic
from slipway.api.modelroute import Asleep, Backend, RouteClients, RouteTLS
from slipway.errors import PortsExhausted
from slipway.policy.facts import Facts, RouteFact
from slipway.policy.rollout.capacity import full_capacity, replicas_for_share
from slipway.policy.scaling.sleep import hold_seconds
from slipway.policy.swap import carriers_of
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import hash_manifest
from slipway.reconcile.writer import ObjectWriter
from slipway.render import routing
from slipway.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class _RoutePort:
    """Who has a port; ordered by age."""

    created: str
    uid: str
    port: int


class RouteWriter:
    """Writes ModelRoutes and client Services."""

    def __init__(
        self,
        cluster: Cluster,
        writer: ObjectWriter,
        settings: Settings,
        routes_of: Callable[[str], Sequence[RouteFact]],
        epoch: Callable[[], str],
    ) -> None:
        """`routes_of` returns the ModelRoutes of a namespace, as far as they are known."""
        self._cluster = cluster
        self._writer = writer
        self._ip_family_policy = settings.router.ip_family_policy
        self._routes_of = routes_of
        self._epoch = epoch
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By namespace, held while a port is chosen and taken."""

    async def write(self, decided: Decided) -> None:
        """Create the route, or give it the weights that were decided; send clients to its port."""
        route = decided.facts.route
        if route is None and not _may_ask_for_all(decided.facts):
            return  # the router's last pods that would leave the door open are being replaced
        if route is None:
            port = await self._create_route(decided)
            await self._write_client_service(decided, port)
        elif self._is_contested(decided.namespace, route):
            await self.write_weights(decided)  # the Service follows the route to another port
            await self.write_client_service(decided)
        else:
            await self.write_client_service(decided)
            await self.write_weights(decided)

    async def write_weights(self, decided: Decided) -> None:
        """Give an existing route the weights that were decided."""
        route = decided.facts.route
        if route is None:
            return
        if not self._is_contested(decided.namespace, route):
            await self._apply_route(decided, route, route.port)
            return

        async with self._locks[decided.namespace]:
            port = await self._choose_port(decided.namespace, route.meta.uid)
            if port != route.port:
                log.warning("another route has port %d, moving to %d", route.port, port)
            await self._apply_route(decided, route, port)

    async def write_client_service(self, decided: Decided) -> None:
        """Send clients to the port of an existing route."""
        route = decided.facts.route
        if route is None:
            return

        port = route.port
        if self._is_contested(decided.namespace, route):
            listed = await self._list_routes(decided.namespace)
            port = next((known.port for known in listed if known.uid == route.meta.uid), port)
        await self._write_client_service(decided, port)

    async def _write_client_service(self, decided: Decided, port: int) -> None:
        md = decided.facts.md
        service = find_service(decided.children, md.metadata.name)
        server = md.spec.server or Server()
        protocols = server.protocols or list(Protocol)
        desired = routing.render_client_service(
            render_inputs.owner_of(md),
            port,
            protocols,
            ip_family_policy=self._ip_family_policy,
            is_encrypted=_takes_only_tls(decided.facts),
        )
        await self._writer.apply_if_due(desired, service.meta if service else None)

    async def _apply_route(self, decided: Decided, route: RouteFact, port: int) -> None:
        await self._writer.apply_if_due(
            _render_route(decided, port), route.meta, of_this_version=True, stamp=self._stamp()
        )

    async def _create_route(self, decided: Decided) -> int:
        """Create the route, and return its port: the lowest that is free in the namespace."""
        async with self._locks[decided.namespace]:
            port = await self._choose_port(decided.namespace)
            manifest = _render_route(decided, port)
            made = await self._writer.apply(
                manifest, hash_manifest(manifest), None, stamp=self._stamp()
            )
        found: int = made["spec"]["port"]
        return found

    def _is_contested(self, namespace: str, route: RouteFact) -> bool:
        """Return whether another route seems to have the same port."""
        return any(
            other.port == route.port and other.meta.uid != route.meta.uid
            for other in self._routes_of(namespace)
        )

    async def _choose_port(self, namespace: str, uid: str | None = None) -> int:
        """Return the port of the route with this uid, unless an older one has it; else a free one.

        The list is read live: after a change of leader the cache may lack the newest routes.

        Raises:
            PortsExhausted: there is none.

        """
        listed = await self._list_routes(namespace)
        mine = next((known for known in listed if known.uid == uid), None)
        if mine is not None and mine == next(each for each in listed if each.port == mine.port):
            return mine.port

        taken = {known.port for known in listed}
        free = next((port for port in names.ROUTE_PORTS if port not in taken), None)
        if free is None:
            raise PortsExhausted(
                f"all {len(names.ROUTE_PORTS)} ports of the router in namespace {namespace} are "
                "taken; delete a ModelDeployment there, or create this one in another namespace"
            )
        return free

    async def _list_routes(self, namespace: str) -> list[_RoutePort]:
        """Return the ports of a namespace's routes, the oldest route first."""
        manifests = await self._cluster.list(
            kinds.MODEL_ROUTE, namespace, {names.MANAGED_BY: names.MANAGER}
        )
        return sorted(_port_of(manifest) for manifest in manifests)

    def _stamp(self) -> dict[str, str]:
        """Return this leader's stamp: a route that has it is not stamped again at a rollout."""
        return {names.ANNOTATION_EPOCH: self._epoch()}


def _port_of(manifest: Manifest) -> _RoutePort:
    metadata = manifest["metadata"]
    return _RoutePort(metadata["creationTimestamp"], metadata["uid"], manifest["spec"]["port"])


def _render_route(decided: Decided, port: int) -> Manifest:
    decision, md = decided.decision, decided.facts.md
    backends = tuple(
        Backend(
            revision=name,
            service=names.revision_name(md.metadata.name, name),
            weight=weight,
            min_endpoints=_min_endpoints(decided, name, weight),
        )
        for name, weight in decision.weights.items()
    )

    return routing.render_model_route(
        render_inputs.owner_of(md),
        port=port,
        model=md.model_name,
        timeout_seconds=md.spec.traffic.timeout_seconds,
        candidate_header=md.spec.traffic.candidate_header,
        candidate=decision.header_revision,
        backends=backends,
        tls=_tls_of(decided.facts),
        access=_access_of(decided.facts),
        shadow=decision.shadow,
        asleep=_asleep_of(decided),
    )


def _asleep_of(decided: Decided) -> Asleep | None:
    if not decided.decision.asleep:
        return None
    return Asleep(hold_seconds=hold_seconds(decided.facts.spec.scaling))


def _may_ask_for_all(facts: Facts) -> bool:
    """Return whether every proxy understands what the spec asks for: an older one would skip it."""
    return facts.runs_newest_agent or not facts.spec.traffic.needs_newest_agent


def _tls_of(facts: Facts) -> RouteTLS | None:
    """Return how connections are encrypted: as before, while older routers are being replaced."""
    wanted, route = facts.spec.traffic, facts.route
    before = route.tls if route is not None else None
    if before is None and not _may_ask_for_all(facts):
        return None
    if wanted.tls_secret_ref is None:
        return None
    return RouteTLS(
        secret=wanted.tls_secret_ref.name,
        min_version=wanted.tls_min_version,
        plaintext=wanted.plaintext is Plaintext.ALLOWED,
        clients=_clients_of(wanted),
    )


def _access_of(facts: Facts) -> Access | None:
    """Return who may call: as before, while older routers are being replaced."""
    wanted, route = facts.spec.traffic.access, facts.route
    before = route.access if route is not None else None
    if wanted is None or (before is None and not _may_ask_for_all(facts)):
        return None
    if wanted.service_accounts is None:
        return wanted

    name, namespace = facts.metadata.name, facts.metadata.namespace
    accounts = wanted.service_accounts
    of_model = {
        "audiences": accounts.audiences or [f"{name}.{namespace}.svc"],
        "allowed": accounts.allowed or [ServiceAccountName(namespace=namespace)],
    }
    return wanted.model_copy(update={"service_accounts": accounts.model_copy(update=of_model)})


def _clients_of(wanted: Traffic) -> RouteClients | None:
    if wanted.client_ca_secret_ref is None:
        return None
    return RouteClients(
        secret=wanted.client_ca_secret_ref.name,
        names=wanted.client_names,
        certificates=wanted.client_certificates,
    )


def _takes_only_tls(facts: Facts) -> bool:
    tls = _tls_of(facts)
    return tls is not None and not tls.plaintext


def _min_endpoints(decided: Decided, name: str, weight: int) -> int:
    """Return how many endpoints a proxy must see before it takes the weight.

    The number stays while the weight does, so that a changing load changes no route.
    """
    decision, route = decided.decision, decided.facts.route
    if name != decision.candidate:
        return 0 if decision.asleep else min(weight, 1)
    if route is not None and route.weights.get(name) == weight and name in route.min_endpoints:
        return route.min_endpoints[name]
    capacity = decision.memory.capacity
    if capacity is not None:
        return carriers_of(weight, capacity.places)
    return replicas_for_share(weight, full_capacity(decided.facts))
