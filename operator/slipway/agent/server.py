"""The agent's HTTP server: counters for the operator, metrics, and the pod's probes.

It is read-only: nothing can be changed through the port.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web

from slipway.agent.admin import Admin, EnvoyUnavailable
from slipway.agent.conductor import Conductor
from slipway.agent.counters import read_counters, render_metrics
from slipway.agent.departure import Departure
from slipway.agent.health import Health
from slipway.agent.holding import Holding
from slipway.agent.holding_metrics import render_holding
from slipway.agent.pods import PodsByRevision, read_pods
from slipway.agent.shadow_metrics import render_shadow_metrics
from slipway.agent.shadows import Shadows, count_copies
from slipway.api import pairs
from slipway.api.counters import PATH, Counters
from slipway.api.pairs import Pairs
from slipway.render.departure import IDLE_PATH
from slipway.render.envoy import ClusterKey

Handler = Callable[[web.Request], Awaitable[web.Response]]


class AgentServer:
    """Serves one router pod."""

    def __init__(
        self,
        proxy: str,
        conductor: Conductor,
        admin: Admin,
        health: Health,
        now: Callable[[], datetime],
        *,
        departure: Departure,
        shadows: Shadows,
        holding: Holding,
    ) -> None:
        self._proxy = proxy
        self._conductor = conductor
        self._admin = admin
        self._health = health
        self._departure = departure
        self._now = now
        self._shadows = shadows
        self._holding = holding

    def application(self) -> web.Application:
        """Return the HTTP application."""
        application = web.Application()
        application.router.add_get(PATH, self._or_unavailable(self._counters))
        application.router.add_get(pairs.PATH, self._or_unavailable(self._pairs))
        application.router.add_get("/metrics", self._or_unavailable(self._metrics))
        application.router.add_get(IDLE_PATH, self._idle)
        application.router.add_get("/startedz", self._probe(self._health.why_not_started))
        application.router.add_get("/healthz", self._probe(self._health.why_not_healthy))
        application.router.add_get("/readyz", self._probe(self._health.why_not_ready))
        return application

    async def _read(self, *, by_pod: bool = False) -> Counters:
        clusters = [key for key in self._conductor.clusters if not key.shadow]
        start, stats = await self._admin.counters()
        pods = await self._read_pods(clusters) if by_pod else {}
        return read_counters(self._proxy, start, self._now(), clusters, stats, pods=pods)

    async def _read_pods(self, clusters: list[ClusterKey]) -> PodsByRevision:
        """Only where two revisions are compared: Envoy is asked for nothing that nobody reads."""
        compared = self._conductor.compared_routes
        judged = [key for key in clusters if key.route in compared and not key.pinned]
        return read_pods(judged, await self._admin.hosts()) if judged else {}

    async def _counters(self, _: web.Request) -> web.Response:
        counters = await self._read(by_pod=True)
        return web.Response(
            text=counters.model_dump_json(by_alias=True), content_type="application/json"
        )

    async def _read_pairs(self) -> Pairs:
        start, stats = await self._admin.copies()
        offered, lost = count_copies(stats)
        return self._shadows.page().model_copy(
            update={"envoy_start": start, "offered": offered, "lost": lost}
        )

    async def _pairs(self, _: web.Request) -> web.Response:
        page = await self._read_pairs()
        return web.Response(
            text=page.model_dump_json(by_alias=True), content_type="application/json"
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        copies = render_shadow_metrics(await self._read_pairs())
        held = render_holding(self._holding)
        return web.Response(text=render_metrics(await self._read()) + copies + held)

    async def _idle(self, _: web.Request) -> web.Response:
        """Answer once Envoy may end; it is the hook of its container that waits."""
        return web.Response(text=f"{await self._departure.wait_idle()}\n")

    def _or_unavailable(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except EnvoyUnavailable as error:
                return web.Response(status=503, text=f"{error}\n")

        return answer

    def _probe(self, why_not: Callable[[], Awaitable[str | None]]) -> Handler:
        async def answer(_: web.Request) -> web.Response:
            problem = await why_not()
            if problem is not None:
                return web.Response(status=503, text=f"{problem}\n")
            return web.Response(text="ok\n")

        return answer
