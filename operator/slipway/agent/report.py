"""Writes this proxy's own entry of ModelRoute.status, and only when the entry changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE
from slipway.api.modelroute import CredentialStatus, ProxyAsleep, ProxyStatus
from slipway.api.times import to_wire
from slipway.errors import DependencyError

log = logging.getLogger(__name__)

MAX_ERROR = 512
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class EffectiveState:
    """What is in force, without the proxy and the time."""

    generation: int = 0
    hash: str = ""
    effective: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    credentials: tuple[CredentialStatus, ...] = ()
    asleep: ProxyAsleep | None = None
    """None: no request is held."""


@dataclass(frozen=True, slots=True)
class ProxyIdentity:
    """This router pod."""

    name: str
    uid: str


@dataclass(slots=True)
class _RouteEntry:
    """One route's entry: as it should be, and as it was last written."""

    uid: str
    wanted: EffectiveState
    written: EffectiveState | None
    sender: asyncio.Task[None] | None = None


Apply = Callable[[str, Manifest], Awaitable[None]]
"""Server-side applies the status of the ModelRoute of that name.

Raises:
    DependencyError: it did not work, or the ModelRoute is gone.
"""


class Reporter:
    """Keeps the newest entry of each route, and sends it until it is written."""

    def __init__(self, proxy: ProxyIdentity, apply: Apply, now: Callable[[], datetime]) -> None:
        self._proxy = proxy
        self._apply = apply
        self._now = now
        self._entries: dict[str, _RouteEntry] = {}

    def remember(self, route: str, uid: str, own: ProxyStatus | None) -> None:
        """Begin with a route, and with the entry that this proxy wrote before a restart."""
        self.forget(route)
        written = None
        if own is not None:
            written = EffectiveState(
                own.generation,
                own.hash,
                dict(own.effective_weights),
                own.error,
                tuple(own.credentials or ()),
                own.asleep,
            )
        self._entries[route] = _RouteEntry(uid, written or EffectiveState(), written)

    def forget(self, route: str) -> None:
        """Stop writing about a route that is gone."""
        kept = self._entries.pop(route, None)
        if kept is not None and kept.sender is not None:
            kept.sender.cancel()

    def report(self, route: str, state: EffectiveState) -> None:
        """Report what is in force."""
        kept = self._entries[route]
        kept.wanted = state
        self._send(route, kept)

    def report_error(self, route: str, generation: int, problem: str) -> None:
        """Report why the newest generation is not in force; what is in force stays as it was."""
        kept = self._entries[route]
        text = f"generation {generation}: {problem}"[:MAX_ERROR]
        kept.wanted = replace(kept.wanted, error=text)
        self._send(route, kept)

    def report_asked(self, route: str, at: datetime) -> None:
        """Report that a request came for a model that is asleep; what is in force stays."""
        kept = self._entries.get(route)
        if kept is None:
            return
        kept.wanted = replace(kept.wanted, asleep=ProxyAsleep(asked_at=to_wire(at)))
        self._send(route, kept)

    async def retract(self) -> None:
        """Remove this proxy's entries: it no longer serves."""
        for route, kept in list(self._entries.items()):
            if kept.sender is not None:
                kept.sender.cancel()
            try:
                await self._apply(route, self._manifest(route, kept.uid, []))
            except DependencyError as error:
                log.warning("could not remove the entry from ModelRoute %s: %s", route, error)

    def _send(self, route: str, kept: _RouteEntry) -> None:
        is_sending = kept.sender is not None and not kept.sender.done()
        if kept.wanted != kept.written and not is_sending:
            kept.sender = asyncio.create_task(self._deliver(route, kept))

    async def _deliver(self, route: str, kept: _RouteEntry) -> None:
        failures = 0
        while kept.wanted != kept.written:
            state = kept.wanted
            proxies = [self._status(state).wire()]
            try:
                await self._apply(route, self._manifest(route, kept.uid, proxies))
            except DependencyError as error:
                pause = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("could not write the status of ModelRoute %s: %s", route, error)
                await asyncio.sleep(pause)
                continue

            kept.written = state
            trouble = f", {state.error}" if state.error else ""
            log.info(
                "route %s: generation %d in force, weights %s%s",
                route,
                state.generation,
                state.effective,
                trouble,
            )

    def _status(self, state: EffectiveState) -> ProxyStatus:
        return ProxyStatus(
            name=self._proxy.name,
            uid=self._proxy.uid,
            generation=state.generation,
            hash=state.hash,
            effective_weights=state.effective,
            error=state.error,
            credentials=list(state.credentials) or None,
            asleep=state.asleep,
            at=to_wire(self._now()),
        )

    def _manifest(self, route: str, uid: str, proxies: list[Manifest]) -> Manifest:
        """The uid keeps the entry off a ModelRoute that was created anew under the same name."""
        status = {"proxies": proxies} if proxies else {}
        return MODEL_ROUTE.manifest(None, route, metadata={"uid": uid}, status=status)
