"""Requests in the background: a slow answer holds up no pass, and a later pass picks it up.

A pass waits for a moment only. At most one request with the same key is under way.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

FORGOTTEN_SECONDS = 60.0
"""An answer that no pass picked up is too old by then."""
MOST_KEPT = 4096


@dataclass(slots=True)
class _PendingRequest(Generic[T]):
    task: asyncio.Task[T]
    ended: float | None = None
    is_taken: bool = False


class BackgroundRequests(Generic[T]):
    """Waits for an answer for `patience_seconds`, and repeats it for `fresh_seconds`."""

    def __init__(
        self,
        *,
        patience_seconds: float,
        fresh_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience_seconds
        self._fresh = fresh_seconds
        self._now = now
        self._requests: dict[Hashable, _PendingRequest[T]] = {}

    async def ask(self, key: Hashable, send: Callable[[], Awaitable[T]]) -> T | None:
        """Return the answer; None while it is still on its way."""
        pending = self._reusable(key) or self._begin(key, send)
        if not pending.task.done():
            await asyncio.wait({pending.task}, timeout=self._patience)
        return self.pick_up(key)

    def pick_up(self, key: Hashable) -> T | None:
        """Return an answer that has arrived, without sending a request."""
        pending = self._requests.get(key)
        if pending is None or not pending.task.done():
            return None
        pending.is_taken = True
        return pending.task.result()

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [pending.task for pending in self._requests.values()]
        self._requests.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _reusable(self, key: Hashable) -> _PendingRequest[T] | None:
        """Return the request that is under way, or whose answer may still be used."""
        pending = self._requests.get(key)
        if pending is None or pending.ended is None:
            return pending
        age = self._now() - pending.ended
        return pending if age < (self._fresh if pending.is_taken else FORGOTTEN_SECONDS) else None

    def _begin(self, key: Hashable, send: Callable[[], Awaitable[T]]) -> _PendingRequest[T]:
        self._drop_old()
        pending: _PendingRequest[T] = _PendingRequest(asyncio.ensure_future(_await_request(send)))

        def note_end(_: asyncio.Task[T]) -> None:
            pending.ended = self._now()

        pending.task.add_done_callback(note_end)
        self._requests[key] = pending
        return pending

    def _drop_old(self) -> None:
        if len(self._requests) < MOST_KEPT // 4:
            return
        self._requests = {
            key: pending
            for key, pending in self._requests.items()
            if self._reusable(key) is not None
        }


async def _await_request(send: Callable[[], Awaitable[T]]) -> T:
    return await send()
