"""The ModelDeployments and their events as the watches tell them, and who wants to hear of it.

Watches run in threads, each with a kubectl of its own; whatever they read is taken in on the event
loop, so that nothing here needs a lock.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from slipway.cli.changes import Change
from slipway.cli.object_events import OLDEST, ObjectEvent
from slipway.cli.objects import ModelDeployment
from slipway.dashboard.figures import RolloutTrack
from slipway.dashboard.models import FleetRow
from slipway.dashboard.present import make_row

Key = tuple[str, str]
"""Namespace and name."""
MOST_EVENTS = 100
"""Of one object; the oldest go."""


@dataclass(eq=False, slots=True)
class Listener:
    """A page that is open: what changed since it last looked."""

    key: Key | None = None
    """None: all."""
    changed: set[Key] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> set[Key]:
        """Return what changed, and forget it."""
        found, self.changed = self.changed, set()
        self.wake.clear()
        return found


@dataclass(slots=True)
class Fleet:
    """All that the pages are made of."""

    objects: dict[Key, ModelDeployment] = field(default_factory=dict)
    rows: dict[Key, FleetRow] = field(default_factory=dict)
    tracks: dict[Key, RolloutTrack] = field(default_factory=dict)
    events: dict[Key, dict[str, ObjectEvent]] = field(default_factory=dict)
    """Of each object by the event's own name."""
    outage: str = ""
    events_note: str = ""
    """Why events are not read."""
    is_closed: bool = False
    """Whether the program ends: every page is let go."""
    _listeners: set[Listener] = field(default_factory=set)

    @contextmanager
    def listen(self, key: Key | None = None) -> Iterator[Listener]:
        """Hear of one object, or of all, while the block lasts."""
        listener = Listener(key)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def apply_change(self, change: Change, now: datetime) -> None:
        """Take in what the watch says of an object."""
        md = change.md
        key = md.namespace, md.name
        if change.deleted:
            for known in (self.objects, self.rows, self.tracks, self.events):
                known.pop(key, None)
        else:
            self.objects[key], self.rows[key] = md, make_row(md)
            self.tracks.setdefault(key, RolloutTrack(now)).record(md, now)
        self._tell(key)

    def apply_event(self, key: Key, name: str, event: ObjectEvent | None) -> None:
        """Take in an event of the cluster about an object; None: it is gone."""
        known = self.events.setdefault(key, {})
        if event is None:  # after an hour; on an open page it may stay
            return
        known[name] = event
        if len(known) > MOST_EVENTS:
            del known[min(known, key=lambda each: known[each].at or OLDEST)]
        self._tell(key)

    def note_outage(self, text: str) -> None:
        """Note since when the cluster has not answered; empty: it does."""
        if text != self.outage:
            self.outage = text
            self.wake_all()

    def close(self) -> None:
        """Let every page go."""
        self.is_closed = True
        self.wake_all()

    def wake_all(self) -> None:
        """Have every page look again."""
        self._tell(None)

    def events_of(self, md: ModelDeployment) -> list[ObjectEvent]:
        """Return the events about this object, not about an earlier one of its name."""
        known = self.events.get((md.namespace, md.name), {}).values()
        since = md.created_at or OLDEST
        mine = [event for event in known if (event.at or OLDEST) >= since]
        return sorted(mine, key=lambda event: event.at or OLDEST, reverse=True)

    def _tell(self, key: Key | None) -> None:
        for listener in self._listeners:
            if key is None or listener.key in {None, key}:
                listener.changed.update({key} if key is not None else ())
                listener.wake.set()
