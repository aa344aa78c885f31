"""Workers: take a key, run its pass, and turn whatever happens into a wait in the queue."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from slipway.engine import log_context
from slipway.engine.queue import Key, WorkQueue
from slipway.errors import DependencyError, FencedError, SlipwayError

log = logging.getLogger(__name__)

PASS_SECONDS = 120.0
"""A pass that takes longer is stuck; it is cut off, so that it does not keep a worker for good."""
RESULTS = ("ok", "dependency", "fenced", "refused", "bug")
"""What comes of a pass."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""One pass; returns the seconds until the next look, None: only when something changes."""


class PassObserver(Protocol):
    """Counts passes."""

    def passed(self, kind: str, result: str, seconds: float) -> None:
        """Take note of one pass; `result` is one of `RESULTS`."""


class Worker:
    """Runs passes. A poisonous object costs itself a back-off and nobody else anything."""

    def __init__(
        self,
        queue: WorkQueue,
        passes: Mapping[str, Reconcile],
        *,
        gate: Callable[[], Awaitable[object]],
        observer: PassObserver | None = None,
        limit_seconds: float = PASS_SECONDS,
    ) -> None:
        """Serve `queue` by the pass of each key's kind.

        The gate is awaited before each pass: it is open while the cache is filled and this process
        leads. A key that waits at the gate still takes note of events.
        """
        self._queue = queue
        self._passes = passes
        self._gate = gate
        self._observer = observer
        self._limit = limit_seconds
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self) -> None:
        """Work until cancelled."""
        while True:
            key = await self._queue.get()
            await self._gate()
            self._busy += 1
            self._idle.clear()
            try:
                await self._work(key)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait for the passes under way, after the gate was closed, but not longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def _work(self, key: Key) -> None:
        log_context.begin_pass(kind=key.kind, namespace=key.namespace, name=key.name)
        began = time.monotonic()
        try:
            result = await self._pass(key)
        except asyncio.CancelledError:
            self._queue.failed(key)
            raise
        if self._observer is not None:
            self._observer.passed(key.kind, result, time.monotonic() - began)

    async def _pass(self, key: Key) -> str:
        try:
            async with asyncio.timeout(self._limit):
                again_in = await self._passes[key.kind](key)
            self._queue.done(key, again_in)
        except FencedError:
            self._queue.failed(key)
            log.info("pass stopped: not the leader")
            return "fenced"
        except DependencyError as error:
            seconds = self._queue.failed(key)
            log.warning("pass stopped: %s; again in %.1f s", error, seconds)
            return "dependency"
        except SlipwayError as error:
            seconds = self._queue.failed(key)
            log.warning("pass refused: %s; again in %.1f s", error, seconds)
            return "refused"
        except Exception:
            self._queue.failed(key)
            log.exception("pass failed")
            return "bug"
        return "ok"
