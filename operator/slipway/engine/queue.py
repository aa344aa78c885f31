"""The work queue: each key at most once, never lost, never in two passes at a time.

An event that arrives during the pass of its key marks the key dirty, and the key comes up again
right after. A pass may ask to be run again later; that request is dropped when the key comes up
earlier, because the newer pass decides again.
"""

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

FIRST_BACKOFF_SECONDS = 0.2
LAST_BACKOFF_SECONDS = 60.0
JITTER = 0.2
"""Share by which a back-off is lengthened or shortened, so that keys do not retry in step."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What one pass is about."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return the key as logs show it."""
        return f"{self.kind}/{self.namespace}/{self.name}"


class WorkQueue:
    """Keys that are due for a pass, now or later. For one event loop; not for threads."""

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._now = now
        self._chance = chance

        self._ready: deque[Key] = deque()
        self._queued: dict[Key, float] = {}
        """What is in `_ready`, with the moment since which each key has waited."""
        self._working: set[Key] = set()
        self._dirty: dict[Key, float] = {}
        """Of `_working`, the keys that wait for another pass, with the moment since which."""

        self._due: dict[Key, float] = {}
        """When delayed keys become ready."""
        self._heap: list[tuple[float, Key]] = []
        """`_due` by time; an entry that `_due` does not confirm is stale."""
        self._failures: dict[Key, int] = {}
        """Consecutive failures, from which the back-off follows."""

        self._waiters: deque[asyncio.Future[None]] = deque()
        """Workers that wait for a key."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many keys are ready for a pass."""
        self._collect_due()
        return len(self._ready) + len(self._dirty)

    @property
    def waiting(self) -> int:
        """How many keys are delayed."""
        return len(self._due)

    @property
    def longest_wait(self) -> float:
        """Seconds for which the key that waits longest has been ready; 0: none is."""
        self._collect_due()
        since = [*self._dirty.values(), *self._queued.values()]
        return max(0.0, self._now() - min(since)) if since else 0.0

    def add(self, key: Key) -> None:
        """Ask for a pass as soon as a worker is free."""
        self._add(key, self._now())

    def _add(self, key: Key, since: float) -> None:
        if key in self._working:
            self._dirty.setdefault(key, since)
        elif key not in self._queued:
            self._due.pop(key, None)
            self._queued[key] = since
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a pass later; of several requests for one key the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return

        due = self._now() + seconds
        if key in self._queued or self._due.get(key, due + 1) <= due:
            return

        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        self._set_timer()

    def take(self) -> Key | None:
        """Return the next key and count it as in a pass; None where no key is ready."""
        self._collect_due()
        if not self._ready:
            return None

        key = self._ready.popleft()
        self._queued.pop(key, None)
        self._due.pop(key, None)
        self._working.add(key)
        return key

    async def get(self) -> Key:
        """Wait for the next key; the caller ends with `done` or `failed`."""
        while (key := self.take()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._set_timer()
            try:
                await waiter
            except asyncio.CancelledError:
                self._abandon(waiter)
                raise
        return key

    def done(self, key: Key, requeue_after: float | None = None) -> None:
        """End a pass that succeeded; run the next in `requeue_after` seconds, or at an event."""
        self._failures.pop(key, None)
        self._finish(key, requeue_after)

    def failed(self, key: Key) -> float:
        """End a pass that failed, and return the back-off in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        backoff = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 30), LAST_BACKOFF_SECONDS)
        backoff *= 1 + JITTER * (2 * self._chance() - 1)

        self._finish(key, backoff)
        return backoff

    def _finish(self, key: Key, requeue_after: float | None) -> None:
        self._working.discard(key)
        since = self._dirty.pop(key, None)
        if since is not None:
            self._add(key, since)
        elif requeue_after is not None:
            self.add_after(key, requeue_after)

    def _collect_due(self) -> None:
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:  # else the key has come up earlier
                del self._due[key]
                self.add(key)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _abandon(self, waiter: "asyncio.Future[None]") -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif not waiter.cancelled() and self._ready:
            self._wake_one()  # it was woken for a key that another worker must take now

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap and self._waiters:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(0.0, self._heap[0][0] - self._now()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._collect_due()
        self._set_timer()
