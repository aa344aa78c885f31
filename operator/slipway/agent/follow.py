"""Follows one collection: list once, then watch for ever, through disconnects and outages.

While the API server is away, the last state stays: models go on being served from it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from slipway.agent.api_server import ApiServerClient, WatchExpired
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.errors import ClusterUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
HEALTHY_SECONDS = 10.0
"""A watch that held for this long says that the API server is well again."""


class Follower:
    """Reports every object of a collection, and every deletion."""

    def __init__(
        self,
        api_server: ApiServerClient,
        kind: Kind,
        *,
        put: Callable[[Manifest], None],
        remove: Callable[[str], None],
        fail: Callable[[ClusterUnavailable], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api_server = api_server
        self._kind = kind
        self._put = put
        self._remove = remove
        self._fail = fail
        self._clock = clock
        self._sleep = sleep
        self._known: set[str] = set()
        self._version: str | None = None
        self.listed = asyncio.Event()
        """Set once the first list has been reported."""

    async def run(self) -> None:
        """Follow for ever, with a pause before each attempt, however the last one ended."""
        attempts = 0
        while True:
            began = self._clock()
            try:
                await self._follow_once()
            except WatchExpired as error:
                log.info("%s: listing again: %s", self._kind.plural, error)
                self._version = None
            except ClusterUnavailable as error:
                log.warning("%s: %s", self._kind.plural, error)
                self._fail(error)

            has_held = self._clock() - began >= HEALTHY_SECONDS
            attempts = 1 if has_held else attempts + 1
            await self._sleep(_backoff_seconds(attempts))

    async def _follow_once(self) -> None:
        if self._version is None:
            await self._list()

        async for event in self._api_server.watch(self._kind, self._version or ""):
            self._version = event.version
            name = event.object["metadata"].get("name", "")
            if event.type == "DELETED":
                self._known.discard(name)
                self._remove(name)
            elif event.type in ("ADDED", "MODIFIED"):
                self._known.add(name)
                self._put(event.object)

    async def _list(self) -> None:
        found = await self._api_server.list(self._kind)
        names = {item["metadata"]["name"] for item in found.items}
        for name in self._known - names:
            self._remove(name)

        self._known = names
        for item in found.items:
            self._put(item)
        self._version = found.version
        self.listed.set()


def _backoff_seconds(attempts: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads the proxies, hides nothing
