"""Writes what leads requests to revisions: the ModelRoute and the Service of the clients."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import Protocol, Server
from slipway.api.modelroute import Backend
from slipway.policy.rollout.capacity import full_capacity, needed
from slipway.reconcile import compose
from slipway.reconcile.observe import has_service
from slipway.reconcile.work import Pass
from slipway.reconcile.writer import Writer, hash_of
from slipway.render import routing


class Routes:
    """Writes routes."""

    def __init__(
        self, writer: Writer, ports_of: Callable[[str], frozenset[int]], epoch: Callable[[], str]
    ) -> None:
        """`ports_of` returns the listener ports that are taken in a namespace."""
        self._writer = writer
        self._ports_of = ports_of
        self._epoch = epoch
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def write(self, pass_: Pass) -> None:
        """Make the route, or give it the weights that were decided; then lead clients there."""
        if pass_.facts.route is None:
            await self._lead(pass_, await self._make(pass_))
        else:
            await self.lead(pass_)
            await self.weigh(pass_)

    async def weigh(self, pass_: Pass) -> None:
        """Give the route that there is the weights that were decided."""
        route = pass_.facts.route
        if route is not None:
            await self._writer.apply_if_due(
                _manifest(pass_, route.port), route.meta, of_this_version=True, stamp=self._stamp()
            )

    async def lead(self, pass_: Pass) -> None:
        """Lead clients to the route that there is."""
        if pass_.facts.route is not None:
            await self._lead(pass_, pass_.facts.route.port)

    async def _lead(self, pass_: Pass, port: int) -> None:
        object_ = pass_.facts.md
        service = has_service(pass_.children, object_.metadata.name)
        server = object_.spec.server or Server()
        protocols = server.protocols or list(Protocol)
        desired = routing.render_client_service(compose.owner_of(object_), port, protocols)
        await self._writer.apply_if_due(desired, service.meta if service else None)

    async def _make(self, pass_: Pass) -> int:
        """Create the route, and return its port: the lowest that is free in the namespace."""
        async with self._locks[pass_.namespace]:
            taken = self._ports_of(pass_.namespace)
            port = next(number for number in names.ROUTE_PORTS if number not in taken)
            manifest = _manifest(pass_, port)
            made = await self._writer.apply(manifest, hash_of(manifest), None, stamp=self._stamp())
        found: int = made["spec"]["port"]
        return found

    def _stamp(self) -> dict[str, str]:
        """A route that this leader wrote needs no stamp of its own before a rollout."""
        return {names.ANNOTATION_EPOCH: self._epoch()}


def _manifest(pass_: Pass, port: int) -> Manifest:
    decision, object_ = pass_.decision, pass_.facts.md
    backends = tuple(
        Backend(
            revision=name,
            service=names.revision_name(object_.metadata.name, name),
            weight=weight,
            min_endpoints=_min_endpoints(pass_, name, weight),
        )
        for name, weight in decision.weights.items()
    )
    return routing.render_model_route(
        compose.owner_of(object_),
        port=port,
        model=object_.model_name,
        timeout_seconds=object_.spec.traffic.timeout_seconds,
        candidate_header=object_.spec.traffic.candidate_header,
        candidate=decision.header_revision,
        backends=backends,
    )


def _min_endpoints(pass_: Pass, name: str, weight: int) -> int:
    """Return the endpoints without which proxies must not take the weight.

    They stay while the weight does, so that a load that goes up and down changes no route.
    """
    decision, route = pass_.decision, pass_.facts.route
    if name != decision.candidate:
        return min(weight, 1)
    if route is not None and route.weights.get(name) == weight and name in route.min_endpoints:
        return route.min_endpoints[name]
    return needed(weight, full_capacity(pass_.facts))
