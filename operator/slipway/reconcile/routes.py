"""Writes what sends requests to revisions: the ModelRoute, and the Service of the clients."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Protocol, Server
from slipway.api.modelroute import Backend
from slipway.policy.rollout.capacity import full_capacity, replicas_for_share
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.projections import hash_manifest
from slipway.reconcile.writer import ObjectWriter
from slipway.render import routing


class RouteWriter:
    """Writes ModelRoutes and client Services."""

    def __init__(
        self,
        writer: ObjectWriter,
        ports_of: Callable[[str], frozenset[int]],
        epoch: Callable[[], str],
    ) -> None:
        """`ports_of` returns the listener ports that are taken in a namespace."""
        self._writer = writer
        self._ports_of = ports_of
        self._epoch = epoch
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By namespace, held while a port is chosen and taken."""

    async def write(self, decided: Decided) -> None:
        """Create the route, or give it the weights that were decided; send clients to its port."""
        if decided.facts.route is None:
            port = await self._create_route(decided)
            await self._write_client_service(decided, port)
        else:
            await self.write_client_service(decided)
            await self.write_weights(decided)

    async def write_weights(self, decided: Decided) -> None:
        """Give an existing route the weights that were decided."""
        route = decided.facts.route
        if route is not None:
            await self._writer.apply_if_due(
                _render_route(decided, route.port),
                route.meta,
                of_this_version=True,
                stamp=self._stamp(),
            )

    async def write_client_service(self, decided: Decided) -> None:
        """Send clients to the port of an existing route."""
        if decided.facts.route is not None:
            await self._write_client_service(decided, decided.facts.route.port)

    async def _write_client_service(self, decided: Decided, port: int) -> None:
        md = decided.facts.md
        service = find_service(decided.children, md.metadata.name)
        server = md.spec.server or Server()
        protocols = server.protocols or list(Protocol)
        desired = routing.render_client_service(render_inputs.owner_of(md), port, protocols)
        await self._writer.apply_if_due(desired, service.meta if service else None)

    async def _create_route(self, decided: Decided) -> int:
        """Create the route, and return its port: the lowest that is free in the namespace."""
        async with self._locks[decided.namespace]:
            taken = self._ports_of(decided.namespace)
            port = next(number for number in names.ROUTE_PORTS if number not in taken)
            manifest = _render_route(decided, port)
            made = await self._writer.apply(
                manifest, hash_manifest(manifest), None, stamp=self._stamp()
            )
        found: int = made["spec"]["port"]
        return found

    def _stamp(self) -> dict[str, str]:
        """Return this leader's stamp: a route that has it is not stamped again at a rollout."""
        return {names.ANNOTATION_EPOCH: self._epoch()}


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
    )


def _min_endpoints(decided: Decided, name: str, weight: int) -> int:
    """Return how many endpoints a proxy must see before it takes the weight.

    The number stays while the weight does, so that a changing load changes no route.
    """
    decision, route = decided.decision, decided.facts.route
    if name != decision.candidate:
        return min(weight, 1)
    if route is not None and route.weights.get(name) == weight and name in route.min_endpoints:
        return route.min_endpoints[name]
    return replicas_for_share(weight, full_capacity(decided.facts))
