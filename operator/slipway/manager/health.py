"""What the operator says about itself over HTTP: alive, ready, and figures."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import hdrs, web

from slipway.manager.metrics import CONTENT_TYPE


@dataclass(frozen=True, slots=True)
class Check:
    """One claim about this process."""

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
        """Fail ``/healthz`` only where a restart would help: `alive` names such claims.

        `metrics` returns what writes them, which is left to another thread.
        """
        self._port = port
        self._alive = tuple(alive)
        self._ready = tuple(ready)
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
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
        return _answer(self._alive)

    async def _show_ready(self, _: web.Request) -> web.Response:
        return _answer(self._ready)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(self._metrics())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})


def _answer(checks: Iterable[Check]) -> web.Response:
    broken = [check.name for check in checks if not check.holds()]
    if broken:
        return web.Response(status=503, text="".join(f"not true: {name}\n" for name in broken))
    return web.Response(text="ok\n")
