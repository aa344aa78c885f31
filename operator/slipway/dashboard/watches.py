"""The threads that follow the cluster: a watch for each kind, by the command line's own reader."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from slipway.api.plain_text import printable
from slipway.cli.changes import Change, Scope, follow_changes
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import Manifest
from slipway.cli.kubectl_watch import KubectlWatch
from slipway.cli.object_events import ObjectEvent
from slipway.cli.reconnect import Disconnected, Reconnect
from slipway.cli.session import Session, utc_now
from slipway.cli.wire import load
from slipway.dashboard.fleet import Fleet, Key

TICK_SECONDS = 0.5
"""How soon a thread sees that it is to end."""
EVENTS = "events"
OF_OBJECTS = "--field-selector=involvedObject.kind=ModelDeployment"


@dataclass(slots=True)
class Watches:
    """The threads of one run; `stop` ends them, with their kubectls."""

    session: Session
    scope: Scope
    fleet: Fleet
    loop: asyncio.AbstractEventLoop
    failed: Callable[[CliError], None]
    """Told where the objects themselves cannot be followed."""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        for body in (self._follow_objects, self._follow_events):
            thread = threading.Thread(target=body, name=body.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End, and wait until no kubectl of these is left."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _follow_objects(self) -> None:
        reconnect = Reconnect(from_the_start=True)
        changes = follow_changes(self.session, self.scope, reconnect, tick=TICK_SECONDS)
        try:
            with closing(changes):
                for change in changes:
                    if self._stopped.is_set():
                        return
                    self._hand_over(change)
        except CliError as error:
            self._call(self.failed, error)

    def _hand_over(self, change: Change | Disconnected | None) -> None:
        match change:
            case Change():
                self._call(self.fleet.apply_change, change, utc_now())
            case Disconnected():
                self._call(self.fleet.note_outage, change.text)
            case None:
                self._call(self.fleet.note_outage, "")

    def _follow_events(self) -> None:
        """Follow the cluster's events; without the right to them, the page says so."""
        words = ["-A"] if self.scope.everywhere else []
        reconnect = Reconnect(from_the_start=True)
        watch = KubectlWatch(
            self.session.kubectl, *words, OF_OBJECTS, reconnect=reconnect, resource=EVENTS
        )
        try:
            with watch:
                while not self._stopped.is_set():
                    told = watch.next_event(TICK_SECONDS)
                    if told is not None:
                        self._hand_over_event(told)
        except CliError as error:
            self._call(setattr, self.fleet, "events_note", error.message)

    def _hand_over_event(self, told: Manifest) -> None:
        manifest = told.get("object")
        if told.get("type") == "ERROR" or not isinstance(manifest, dict):
            return
        key, name = read_key(manifest)
        event = load(ObjectEvent, manifest) if told.get("type") != "DELETED" else None
        self._call(self.fleet.apply_event, key, name, event)

    def _call(self, function: Callable[..., object], *values: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *values)
        except RuntimeError:  # the loop has ended before this thread
            self._stopped.set()


def read_key(event: Manifest) -> tuple[Key, str]:
    """Return which object an event is about, and the event's own name."""
    about, metadata = event.get("involvedObject"), event.get("metadata")
    about = about if isinstance(about, dict) else {}
    metadata = metadata if isinstance(metadata, dict) else {}
    key = printable(str(about.get("namespace", ""))), printable(str(about.get("name", "")))
    return key, str(metadata.get("name", ""))
