"""Events: said once, counted when repeated, never more than a reader can stand.

An event's name follows from what it says, so that a restarted process finds its own words again
and does not repeat them.
"""

import hashlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from slipway.api.base import Manifest
from slipway.engine.rate_limit import TokenBucket
from slipway.errors import ConflictError, SlipwayError

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

REPEAT_SECONDS = 300.0
"""A repeat sooner than this after the last write is only counted."""
OBJECT_RATE = 0.2
"""Events per second and object, in the long run."""
OBJECT_BURST = 10.0
REMEMBERED = 4_096
"""Events and objects kept in memory; the oldest are forgotten."""
MESSAGE_LIMIT = 1_024
"""The API server's limit for a message."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What an event says, and about what."""

    name: str
    regarding: Manifest
    warning: bool
    reason: str
    message: str


class EventSink(Protocol):
    """Where events are written."""

    async def create(self, happening: EventRecord) -> None:
        """Write it. Raises ConflictError where it exists, and other SlipwayErrors."""

    async def repeat(self, happening: EventRecord, *, by: int, quiet_seconds: float) -> bool:
        """Raise its count, unless it was written in the last `quiet_seconds`.

        False: it is not there any more. Raises SlipwayErrors.
        """


@dataclass(slots=True)
class _Known:
    written_at: float
    unwritten: int = 0


class EventRecorder:
    """Writes events; never raises."""

    def __init__(self, sink: EventSink, *, now: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._now = now
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._budgets: OrderedDict[str, TokenBucket] = OrderedDict()
        self.dropped = 0
        self.happened: Counter[tuple[str, str]] = Counter()
        """What was recorded, without repeats, by type and reason."""

    async def record(
        self, regarding: Manifest, *, warning: bool, reason: str, message: str
    ) -> None:
        """Write an event about the object; a repeat within minutes is only counted."""
        happening = _happening(regarding, warning, reason, message)
        try:
            await self._record(happening)
        except SlipwayError as error:
            log.warning("event %s not written: %s", reason, error)
        except Exception:
            log.exception("event %s not written", reason)

    async def _record(self, happening: EventRecord) -> None:
        key = (str(happening.regarding["metadata"].get("namespace", "")), happening.name)
        known = self._known.get(key)
        if known is not None and self._now() - known.written_at < REPEAT_SECONDS:
            known.unwritten += 1
            return
        log.info(
            "%s", happening.message, extra={"reason": happening.reason, "type": _type(happening)}
        )
        self.happened[_type(happening), happening.reason] += 1
        if not self._budget(happening.regarding).try_take():
            self.dropped += 1
            return
        await self._write(happening, known)
        self._known[key] = _Known(self._now())
        _trim(self._known, key)

    async def _write(self, happening: EventRecord, known: _Known | None) -> None:
        if known is not None and await self._repeat(happening, 1 + known.unwritten):
            return
        try:
            await self._sink.create(happening)
        except ConflictError:
            await self._repeat(happening, 1)

    async def _repeat(self, happening: EventRecord, by: int) -> bool:
        return await self._sink.repeat(happening, by=by, quiet_seconds=REPEAT_SECONDS)

    def _budget(self, regarding: Manifest) -> TokenBucket:
        uid = str(regarding["metadata"].get("uid", ""))
        bucket = self._budgets.get(uid)
        if bucket is None:
            bucket = TokenBucket(rate=OBJECT_RATE, burst=OBJECT_BURST, now=self._now)
            self._budgets[uid] = bucket
        _trim(self._budgets, uid)
        return bucket


def _happening(regarding: Manifest, warning: bool, reason: str, message: str) -> EventRecord:
    metadata = regarding["metadata"]
    said = "\n".join((str(metadata.get("uid", "")), str(warning), reason, message))
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    if len(message.encode()) > MESSAGE_LIMIT:
        message = message.encode()[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "…"
    return EventRecord(f"{metadata['name']}.{digest}", regarding, warning, reason, message)


def _type(happening: EventRecord) -> str:
    return "Warning" if happening.warning else "Normal"


def _trim(memory: OrderedDict[K, V], used: K) -> None:
    memory.move_to_end(used)
    while len(memory) > REMEMBERED:
        memory.popitem(last=False)
