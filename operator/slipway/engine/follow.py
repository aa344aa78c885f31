"""Follows one kind: list once, then watch for ever, through disconnects and outages.

While the API server is away, the last state stays: whoever follows goes on with it.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.watch_events import WatchEvent, WatchExpired
from slipway.errors import SlipwayError

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between attempts, in seconds; agents serve from what they follow, so they look often."""
HEALTHY_SECONDS = 10.0
"""A watch that held for this long says that the API server is well again."""


@dataclass(frozen=True, slots=True)
class ListedObjects:
    """A collection at one moment, or a page of it."""

    items: list[Manifest]
    version: str
    """The version from which a watch continues."""
    rest: str = ""
    """What to ask the next page with; empty: there is none."""


class Collections(Protocol):
    """Lists and watches kinds."""

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        """Read a collection, or its next page.

        Raises:
            WatchExpired: the pages have changed meanwhile; begin again.
            SlipwayError: the API server did not answer, or refused.

        """

    def watch(self, kind: Kind, version: str) -> AsyncIterator[WatchEvent]:
        """Follow a collection until the API server ends the watch.

        Raises:
            WatchExpired: the version is too old.
            SlipwayError: the API server did not answer, or refused, or the connection broke.

        """


class Follower:
    """Reports every object of a collection, and every deletion that the watch shows."""

    def __init__(
        self,
        collections: Collections,
        kind: Kind,
        *,
        put: Callable[[Manifest], None],
        remove: Callable[[Manifest], None],
        on_listed: Callable[[AbstractSet[str]], None] = lambda _: None,
        on_alive: Callable[[], None] = lambda: None,
        fail: Callable[[SlipwayError], None] = lambda _: None,
        longest_pause: float = LONGEST_PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """None of the callbacks may raise.

        `on_listed` follows the last object of each list, with the names of all: what was deleted
        unseen is not among them. `on_alive` is called at every attempt, and with everything that
        the API server sends. `longest_pause` is that between two attempts, in seconds.
        """
        self._collections = collections
        self._kind = kind
        self._put = put
        self._remove = remove
        self._on_listed = on_listed
        self._on_alive = on_alive
        self._fail = fail
        self._longest_pause = longest_pause
        self._clock = clock
        self._sleep = sleep
        self._version: str | None = None
        self._trouble = ""
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
            except SlipwayError as error:
                self._note_trouble(error)
                self._fail(error)

            has_held = self._clock() - began >= HEALTHY_SECONDS
            attempts = 1 if has_held else attempts + 1
            await self._sleep(_pause_seconds(attempts, self._longest_pause))

    def _note_trouble(self, error: SlipwayError) -> None:
        """Log what keeps attempts from succeeding, once for all that fail for the same reason."""
        if str(error) != self._trouble:
            log.warning("%s: %s", self._kind.plural, error)
        self._trouble = str(error)

    async def _follow_once(self) -> None:
        self._on_alive()
        if self._version is None:
            self._version = await self._list()

        async for event in self._collections.watch(self._kind, self._version):
            self._on_alive()
            self._trouble = ""
            self._version = event.version
            if event.type == "DELETED":
                self._remove(event.object)
            elif event.type in ("ADDED", "MODIFIED"):
                self._put(event.object)

    async def _list(self) -> str:
        """Report a whole list, and return its version."""
        page = await self._collections.list(self._kind)
        names = self._put_all(page)
        while page.rest:
            page = await self._collections.list(self._kind, page.rest)
            names |= self._put_all(page)

        self._on_listed(names)
        self.listed.set()
        return page.version

    def _put_all(self, page: ListedObjects) -> set[str]:
        self._on_alive()
        for item in page.items:
            self._put(item)
        return {item["metadata"]["name"] for item in page.items}


def _pause_seconds(attempts: int, longest: float) -> float:
    pause = min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 10))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 -- spreads the requests, hides nothing
