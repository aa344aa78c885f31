"""Records events: written once, counted when repeated, and no more than a reader can follow.

An event's name is derived from its content, so that a restarted process finds the events of its
predecessor and does not repeat them.
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
"""A repeat sooner than this after the last write only raises the count in items."""
OBJECT_RATE = 0.2
"""Events per second and object, in the long run."""
OBJECT_BURST = 10.0
REMEMBERED = 4_096
"""Events and objects kept in memory; the least recently used are forgotten."""
MESSAGE_LIMIT = 1_024
"""The API server's limit for a message."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What an event says, and about which object."""

    name: str
    regarding: Manifest
    warning: bool
    reason: str
    message: str


class EventSink(Protocol):
    """Where events are written."""

    async def create(self, event: EventRecord) -> None:
        """Write the event. Raises ConflictError where it exists, and other SlipwayErrors."""

    async def repeat(self, event: EventRecord, *, by: int, quiet_seconds: float) -> bool:
        """Raise the event's count, unless it was written in the last `quiet_seconds`.

        False: the event no longer exists. Raises SlipwayErrors.
        """


@dataclass(slots=True)
class _Written:
    at: float
    repeats: int = 0
    """Since then, which the next write adds to the count."""


class EventRecorder:
    """Writes events; never raises."""

    def __init__(self, sink: EventSink, *, now: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._now = now
        self._written: OrderedDict[tuple[str, str], _Written] = OrderedDict()
        self._budgets: OrderedDict[str, TokenBucket] = OrderedDict()
        self.dropped = 0
        """Events that were not written, because their object had too many."""
        self.recorded: Counter[tuple[str, str]] = Counter()
        """Events without repeats, by type and reason."""

    async def record(
        self, regarding: Manifest, *, warning: bool, reason: str, message: str
    ) -> None:
        """Write an event about the object; a repeat within minutes is only counted."""
        event = _make_event(regarding, warning, reason, message)
        try:
            await self._record(event)
        except SlipwayError as error:
            log.warning("event %s not written: %s", reason, error)
        except Exception:
            log.exception("event %s not written", reason)

    async def _record(self, event: EventRecord) -> None:
        key = (str(event.regarding["metadata"].get("namespace", "")), event.name)
        known = self._written.get(key)
        if known is not None and self._now() - known.at < REPEAT_SECONDS:
            known.repeats += 1
            return

        log.info("%s", event.message, extra={"reason": event.reason, "type": _event_type(event)})
        self.recorded[_event_type(event), event.reason] += 1
        if not self._budget_of(event.regarding).try_take():
            self.dropped += 1
            return

        await self._write(event, known)
        self._written[key] = _Written(self._now())
        _keep_recent(self._written, key)

    async def _write(self, event: EventRecord, known: _Written | None) -> None:
        if known is not None and await self._repeat(event, 1 + known.repeats):
            return
        try:
            await self._sink.create(event)
        except ConflictError:
            await self._repeat(event, 1)

    async def _repeat(self, event: EventRecord, by: int) -> bool:
        return await self._sink.repeat(event, by=by, quiet_seconds=REPEAT_SECONDS)

    def _budget_of(self, regarding: Manifest) -> TokenBucket:
        uid = str(regarding["metadata"].get("uid", ""))
        bucket = self._budgets.get(uid)
        if bucket is None:
            bucket = TokenBucket(rate=OBJECT_RATE, burst=OBJECT_BURST, now=self._now)
            self._budgets[uid] = bucket
        _keep_recent(self._budgets, uid)
        return bucket


def _make_event(regarding: Manifest, warning: bool, reason: str, message: str) -> EventRecord:
    metadata = regarding["metadata"]
    content = "\n".join((str(metadata.get("uid", "")), str(warning), reason, message))
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    if len(message.encode()) > MESSAGE_LIMIT:
        message = message.encode()[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "…"
    return EventRecord(f"{metadata['name']}.{digest}", regarding, warning, reason, message)


def _event_type(event: EventRecord) -> str:
    return "Warning" if event.warning else "Normal"


def _keep_recent(items: OrderedDict[K, V], used: K) -> None:
    items.move_to_end(used)
    while len(items) > REMEMBERED:
        items.popitem(last=False)
