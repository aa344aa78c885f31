"""Workers: take a key, run its pass, and turn every outcome into a delay in the queue."""

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
"""A pass that takes longer is stuck, and is cancelled so that it does not block its worker."""
RESULTS = ("ok", "dependency", "fenced", "refused", "bug")
"""Outcomes of a pass, as metrics label them."""

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Runs one pass; returns the seconds until the next, None: only when something changes."""


class PassObserver(Protocol):
    """Counts passes."""

    def observe_pass(self, kind: str, result: str, seconds: float) -> None:
        """Count one pass; `result` is one of `RESULTS`."""


class Worker:
    """Runs passes. A pass that fails delays its own key and no other."""

    def __init__(
        self,
        queue: WorkQueue,
        reconcilers: Mapping[str, Reconcile],
        *,
        gate: Callable[[], Awaitable[object]],
        observer: PassObserver | None = None,
        limit_seconds: float = PASS_SECONDS,
    ) -> None:
        """Serve `queue` by the reconciler of each key's kind.

        The gate is awaited before each pass: it is open while the cache is filled and this process
        leads. Events for a key that waits at the gate are not lost.
        """
        self._queue = queue
        self._reconcilers = reconcilers
        self._gate = gate
        self._observer = observer
        self._limit = limit_seconds

        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def serve(self) -> None:
        """Run passes until cancelled."""
        while True:
            key = await self._queue.get()
            await self._gate()
            self._busy += 1
            self._idle.clear()
            try:
                await self.process(key)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait for the passes under way, but not longer than this; the gate is closed already."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def process(self, key: Key) -> None:
        """Run the pass of a key that was taken from the queue."""
        log_context.begin_pass(kind=key.kind, namespace=key.namespace, name=key.name)
        began = time.monotonic()
        try:
            result = await self._reconcile(key)
        except asyncio.CancelledError:
            self._queue.failed(key)
            raise

        if self._observer is not None:
            self._observer.observe_pass(key.kind, result, time.monotonic() - began)

    async def _reconcile(self, key: Key) -> str:
        try:
            async with asyncio.timeout(self._limit):
                requeue_after = await self._reconcilers[key.kind](key)
            self._queue.done(key, requeue_after)

        except FencedError:
            self._queue.failed(key)
            log.info("pass stopped: not the leader")
            return "fenced"

        except DependencyError as error:
            seconds = self._queue.failed(key)
            log.warning("pass stopped: %s; retrying in %.1f s", error, seconds)
            return "dependency"

        except SlipwayError as error:
            seconds = self._queue.failed(key)
            log.warning("pass refused: %s; retrying in %.1f s", error, seconds)
            return "refused"

        except Exception:
            self._queue.failed(key)
            log.exception("pass failed")
            return "bug"

        return "ok"
