"""Follows one collection: list once, then watch for ever, through disconnects and outages.

While the API server is away, the last state stays: models go on being served from it.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from slipway.agent.api_server import ApiServerClient, WatchExpired
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.errors import ClusterUnavailable

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class Follower:
    """Reports every object of a collection, and every deletion."""

    def __init__(
        self,
        api_server: ApiServerClient,
        kind: Kind,
        *,
        put: Callable[[Manifest], None],
        remove: Callable[[str], None],
    ) -> None:
        self._api_server = api_server
        self._kind = kind
        self._put = put
        self._remove = remove
        self._known: set[str] = set()
        self._version: str | None = None
        self.listed = asyncio.Event()
        """Set once the first list has been reported."""

    async def run(self) -> None:
        """Follow for ever."""
        failures = 0
        while True:
            try:
                await self._follow_once()
                failures = 0
            except WatchExpired:
                self._version = None
            except ClusterUnavailable as error:
                failures += 1
                log.warning("%s: %s", self._kind.plural, error)
                await asyncio.sleep(_backoff_seconds(failures))

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


def _backoff_seconds(failures: int) -> float:
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads the proxies, hides nothing
