"""The operator's own HTTP endpoints: liveness, readiness and metrics."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import hdrs, web

from slipway.manager.metrics import CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about this process, and whether it holds."""

    name: str
    holds: Callable[[], bool]


class HealthServer:
    """Serves ``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(
        self,
        *,
        port: int,
        alive: Iterable[Check],
        ready: Iterable[Check],
        metrics: Callable[[], Callable[[], bytes]],
    ) -> None:
        """`alive` has the claims of ``/healthz``: only such that a restart would make true.

        `metrics` returns a function that writes the metrics, which runs in another thread.
        """
        self._port = port
        self._alive = tuple(alive)
        self._ready = tuple(ready)
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Start listening."""
        app = web.Application()
        app.router.add_get("/healthz", self._show_alive)
        app.router.add_get("/readyz", self._show_ready)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, port=self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show_alive(self, _: web.Request) -> web.Response:
        return _answer_checks(self._alive)

    async def _show_ready(self, _: web.Request) -> web.Response:
        return _answer_checks(self._ready)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._metrics())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})


def _answer_checks(checks: Iterable[Check]) -> web.Response:
    broken = [check.name for check in checks if not check.holds()]
    if broken:
        return web.Response(status=503, text="".join(f"failed: {name}\n" for name in broken))
    return web.Response(text="ok\n")
