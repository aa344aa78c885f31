"""Writes this proxy's own entry of ModelRoute.status, and only when it says something new."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE
from slipway.api.modelroute import ProxyStatus
from slipway.api.times import to_wire
from slipway.errors import DependencyError

log = logging.getLogger(__name__)

MAX_ERROR = 512
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is in force, apart from who says it and when."""

    generation: int = 0
    hash: str = ""
    effective: dict[str, int] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """This router pod."""

    name: str
    uid: str


@dataclass(slots=True)
class _Line:
    """One route's entry: as it should be, as it was last written."""

    uid: str
    wanted: Entry
    written: Entry | None
    sender: asyncio.Task[None] | None = None


Apply = Callable[[str, Manifest], Awaitable[None]]
"""Server-side applies the status of the ModelRoute of that name.

Raises:
    DependencyError: it did not work, or the ModelRoute is gone.
"""


class Reporter:
    """Keeps the newest entry of each route and sends it until it is written."""

    def __init__(self, proxy: Proxy, apply: Apply, now: Callable[[], datetime]) -> None:
        self._proxy = proxy
        self._apply = apply
        self._now = now
        self._lines: dict[str, _Line] = {}

    def remember(self, route: str, uid: str, own: ProxyStatus | None) -> None:
        """Begin a route, with what an earlier life of this proxy wrote."""
        self.forget(route)
        written = None
        if own is not None:
            written = Entry(own.generation, own.hash, dict(own.effective_weights), own.error)
        self._lines[route] = _Line(uid, written or Entry(), written)

    def forget(self, route: str) -> None:
        """Stop writing about a route that is gone."""
        line = self._lines.pop(route, None)
        if line is not None and line.sender is not None:
            line.sender.cancel()

    def report(self, route: str, entry: Entry) -> None:
        """Say what is in force."""
        line = self._lines[route]
        line.wanted = entry
        self._send(route, line)

    def complain(self, route: str, generation: int, problem: str) -> None:
        """Say why the newest generation is not in force; what is in force stays as it was."""
        line = self._lines[route]
        text = f"generation {generation}: {problem}"[:MAX_ERROR]
        line.wanted = replace(line.wanted, error=text)
        self._send(route, line)

    async def retract(self) -> None:
        """Take this proxy's entries out: it serves no more."""
        for route, line in list(self._lines.items()):
            if line.sender is not None:
                line.sender.cancel()
            try:
                await self._apply(route, self._manifest(route, line.uid, []))
            except DependencyError as error:
                log.warning("entry of ModelRoute %s stays: %s", route, error)

    def _send(self, route: str, line: _Line) -> None:
        if line.wanted != line.written and line.sender is None:
            line.sender = asyncio.create_task(self._deliver(route, line))
            line.sender.add_done_callback(lambda _: setattr(line, "sender", None))

    async def _deliver(self, route: str, line: _Line) -> None:
        failures = 0
        while line.wanted != line.written:
            entry = line.wanted
            proxies = [self._status(entry).wire()]
            try:
                await self._apply(route, self._manifest(route, line.uid, proxies))
            except DependencyError as error:
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("status of ModelRoute %s: %s", route, error)
                await asyncio.sleep(pause)
                continue
            line.written = entry
            log.info(
                "route %s: generation %d in force, weights %s%s",
                route,
                entry.generation,
                entry.effective,
                f", {entry.error}" if entry.error else "",
            )

    def _status(self, entry: Entry) -> ProxyStatus:
        return ProxyStatus(
            name=self._proxy.name,
            uid=self._proxy.uid,
            generation=entry.generation,
            hash=entry.hash,
            effective_weights=entry.effective,
            error=entry.error,
            at=to_wire(self._now()),
        )

    def _manifest(self, route: str, uid: str, proxies: list[Manifest]) -> Manifest:
        """The uid keeps the entry off a ModelRoute that was made anew under the name."""
        status = {"proxies": proxies} if proxies else {}
        return MODEL_ROUTE.manifest(None, route, metadata={"uid": uid}, status=status)
