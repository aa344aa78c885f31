"""Requests that wait until a model which was asleep has a replica.

Envoy asks here, once for each request, and keeps the request itself meanwhile. The answer comes as
soon as Envoy has an endpoint to send it to; the operator, which starts the replica, is not asked.
What waits is bounded in number and in time, and of each request Envoy holds 2 MiB at most, so that
bytes are bounded too: 256 MiB for a router pod.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from slipway.api.modelroute import Asleep, ProxyAsleep
from slipway.api.times import to_wire
from slipway.render.envoy import HOLD_REFUSED

log = logging.getLogger(__name__)

MOST_OF_ROUTE = 100
"""Requests of one route that wait at a time …"""
MOST_OF_ALL = 128
"""… and of all routes of this router pod together."""
RETRY_AFTER_SECONDS = 5
TOO_MANY, TOO_LONG = "too_many", "too_long"
"""Why a request is answered without a replica; label values."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether requests of one route wait."""

    asleep: Asleep | None
    """None: the model is awake again, and Envoy does not know it yet."""
    is_open: bool
    """Envoy has a replica for them."""


class _Line:
    """The requests of one route that wait."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.opened = asyncio.Event()
        self.waiting = 0
        self.asked_at: str | None = None

    def turn_to(self, gate: Gate) -> None:
        self.gate = gate
        (self.opened.set if gate.is_open else self.opened.clear)()


class Holding:
    """Answers Envoy when a request may go on, and notes who asked."""

    def __init__(self, asked: Callable[[str, datetime], None], *, is_possible: bool = True) -> None:
        """`asked` is told the first request of each route that is asleep, with the time.

        `is_possible`: Envoy's listeners can ask; where not, no route is asleep here.
        """
        self.is_possible = is_possible
        self._asked = asked
        self._lines: dict[str, _Line] = {}
        self._known = asyncio.Event()
        """Set once it is known which models are asleep: an agent that has just started waits."""
        self.held: Counter[str] = Counter()
        """By route: requests that had to wait."""
        self.refused: Counter[tuple[str, str]] = Counter()
        """By route and cause: requests that were answered without a replica."""

    def follow(self, gates: Mapping[str, Gate]) -> None:
        """Take the gates of all routes; a route without one lets its requests pass."""
        for name in self._lines.keys() - gates.keys():
            self._lines.pop(name).opened.set()
        for name, gate in gates.items():
            line = self._lines.setdefault(name, _Line(gate))
            line.turn_to(gate)
        self._known.set()

    def report(self, route: str) -> ProxyAsleep:
        """Return what this proxy says of a route that is asleep."""
        line = self._lines.get(route)
        return ProxyAsleep(asked_at=line.asked_at if line is not None else None)

    def waiting(self) -> dict[str, int]:
        """Return how many requests wait now, by route."""
        return {name: line.waiting for name, line in self._lines.items()}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer when the request may go on; or that it may not."""
        await self._known.wait()
        route = request.match_info["route"]
        line = self._lines.get(route)
        if line is None:
            return web.Response()

        # Also a request that finds a replica wakes: the model may be about to fall asleep.
        self._note_asked(route, line)
        if line.gate.is_open or line.gate.asleep is None:
            return web.Response()
        if line.waiting >= MOST_OF_ROUTE or self._waiting_in_all() >= MOST_OF_ALL:
            return self._refuse(
                route, TOO_MANY, f"too many requests wait for model {route} to wake"
            )
        return await self._hold(route, line, line.gate.asleep.hold_seconds)

    async def _hold(self, route: str, line: _Line, seconds: int) -> web.Response:
        self.held[route] += 1
        line.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await line.opened.wait()
        except TimeoutError:
            return self._refuse(
                route, TOO_LONG, f"model {route} was asleep, and has no replica after {seconds} s"
            )
        finally:
            line.waiting -= 1
        return web.Response()

    def _note_asked(self, route: str, line: _Line) -> None:
        if line.asked_at is not None or line.gate.asleep is None:
            return
        now = datetime.now(UTC)
        line.asked_at = to_wire(now)
        log.info("route %s: a request came while the model is asleep", route)
        self._asked(route, now)

    def _waiting_in_all(self) -> int:
        return sum(line.waiting for line in self._lines.values())

    def _refuse(self, route: str, cause: str, text: str) -> web.Response:
        self.refused[route, cause] += 1
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return web.Response(status=HOLD_REFUSED, text=text, headers=headers)
