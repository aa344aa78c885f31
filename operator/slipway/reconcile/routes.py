"""Writes what leads requests to revisions: the ModelRoute and the Service of the clients."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Protocol, Server
from slipway.api.modelroute import Backend
from slipway.policy.rollout.capacity import full_capacity, needed
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.writer import ObjectWriter, hash_manifest
from slipway.render import routing


class RouteWriter:
    """Writes routes."""

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

    async def write(self, decided: Decided) -> None:
        """Make the route, or give it the weights that were decided; then lead clients there."""
        if decided.facts.route is None:
            await self._lead(decided, await self._make(decided))
        else:
            await self.lead(decided)
            await self.weigh(decided)

    async def weigh(self, decided: Decided) -> None:
        """Give the route that there is the weights that were decided."""
        route = decided.facts.route
        if route is not None:
            await self._writer.apply_if_due(
                _render(decided, route.port),
                route.meta,
                of_this_version=True,
                stamp=self._stamp(),
            )

    async def lead(self, decided: Decided) -> None:
        """Lead clients to the route that there is."""
        if decided.facts.route is not None:
            await self._lead(decided, decided.facts.route.port)

    async def _lead(self, decided: Decided, port: int) -> None:
        md = decided.facts.md
        service = find_service(decided.children, md.metadata.name)
        server = md.spec.server or Server()
        protocols = server.protocols or list(Protocol)
        desired = routing.render_client_service(render_inputs.owner_of(md), port, protocols)
        await self._writer.apply_if_due(desired, service.meta if service else None)

    async def _make(self, decided: Decided) -> int:
        """Create the route, and return its port: the lowest that is free in the namespace."""
        async with self._locks[decided.namespace]:
            taken = self._ports_of(decided.namespace)
            port = next(number for number in names.ROUTE_PORTS if number not in taken)
            manifest = _render(decided, port)
            made = await self._writer.apply(
                manifest, hash_manifest(manifest), None, stamp=self._stamp()
            )
        found: int = made["spec"]["port"]
        return found

    def _stamp(self) -> dict[str, str]:
        """A route that this leader wrote needs no stamp of its own before a rollout."""
        return {names.ANNOTATION_EPOCH: self._epoch()}


def _render(decided: Decided, port: int) -> Manifest:
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
    """Return the endpoints without which proxies must not take the weight.

    They stay while the weight does, so that a load that goes up and down changes no route.
    """
    decision, route = decided.decision, decided.facts.route
    if name != decision.candidate:
        return min(weight, 1)
    if route is not None and route.weights.get(name) == weight and name in route.min_endpoints:
        return route.min_endpoints[name]
    return needed(weight, full_capacity(decided.facts))
