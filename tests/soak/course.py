"""Good and bad versions of several models, each model one version after the other."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from slipway.api.modeldeployment import HistoryEntry, Outcome

from tests.cluster.progress import say
from tests.e2e.deployed import Deployed
from tests.e2e.objects import Model, step
from tests.kubectl import Kubectl, KubectlError
from tests.load.plan import Wire
from tests.load.pod import Load
from tests.load.record import Record, Totals
from tests.models.samples import FAULT_MARKER
from tests.soak.disturbances import Disturber, disturbing
from tests.soak.sightings import Sightings, watching
from tests.soak.tally import Ended, Lost, Tally, WayBack

SOUND, FAULTY = "sound.tar.gz", "failing.tar.gz"
RATES = {Wire.HTTP: 10.0, Wire.GRPC: 6.0, Wire.STREAM: 2.0}
"""Requests per second on one model, by protocol."""
END_SECONDS = 300.0

Note = Callable[[Tally], None]
"""Takes the newest tally, whenever it has grown."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """A model in service, and its clients."""

    deployed: Deployed
    first: Model
    """What serves at the beginning."""
    loads: dict[Wire, Load]

    def version(self, name: str, expected: Outcome) -> Model:
        """Return a version that has to end so."""
        if expected is Outcome.PROMOTED:
            return replace(self.first, version=name, file=SOUND, steps=[step(25), step(50)])
        return replace(self.first, version=name, file=FAULTY, steps=[step(50)], strict=True)


@dataclass(slots=True)
class Soak:
    """A course under way."""

    models: Sequence[Soaked]
    seen: Sightings
    disturber: Disturber
    tally: Tally
    note: Note
    _number: int = 0
    _began: float = field(default_factory=time.time)
    _before: Tally = field(init=False)
    """What earlier runs had counted."""
    _todo: deque[Outcome] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Keep what earlier runs had counted; this one's is added to it."""
        self._before = replace(self.tally)
        self._number = len(self.tally.ended)
        self.tally.models = len(self.models)

    def run(self, versions: Sequence[Outcome], until: float) -> None:
        """Roll all versions out that can begin before a moment of the monotonic clock."""
        self._todo.extend(versions)
        with ThreadPoolExecutor(len(self.models)) as pool:
            for done in [pool.submit(self._follow, model, until) for model in self.models]:
                done.result()

    def count(self) -> None:
        """Bring the tally up to date with clients and disturbances."""
        with self._lock:
            self._count()
        self.note(self.tally)

    def _follow(self, model: Soaked, until: float) -> None:
        while time.monotonic() < until:
            with self._lock:
                if not self._todo:
                    return
                expected = self._todo.popleft()
                self._number += 1
                version = f"v{self._number}"
            self._roll_out(model, version, expected)

    def _roll_out(self, model: Soaked, version: str, expected: Outcome) -> None:
        deployed, began = model.deployed, time.time()
        entry, problem = _end_of(deployed, model.version(version, expected))
        ended = Ended(
            model=deployed.name,
            version=version,
            expected=expected,
            outcome=entry.outcome if entry else "",
            reason=entry.reason if entry else problem,
            began=began,
            seconds=time.time() - began,
        )

        with self._lock:
            self.tally.ended.append(ended)
            self.tally.load_averages.append(os.getloadavg()[0])
            self._count()
            _tell(ended, self.tally, len(self._todo))
        self.note(self.tally)

    def _count(self) -> None:
        """Make everything anew that clients and watches know, so that nothing counts twice."""
        tally, before = self.tally, self._before
        tally.seconds = before.seconds + time.time() - self._began
        tally.events = [*before.events, *self.disturber.events]
        tally.missed = before.missed + self.disturber.missed

        tally.totals = dict(before.totals)
        tally.lost, tally.backs = [*before.lost], [*before.backs]
        for model in self.models:
            records = {wire: load.records() for wire, load in model.loads.items()}
            for wire, seconds in records.items():
                total = seconds[-1].total if seconds else Totals()
                tally.totals[wire] = tally.totals.get(wire, Totals()).plus(total)
                tally.lost += _find_lost(model.deployed.name, wire, seconds)
            ways = self.seen.ways_back(model.deployed.name, self._began)
            tally.backs += [_with_clients(way, records) for way in ways]


@contextmanager
def soaking(
    kubectl: Kubectl,
    namespace: str,
    models: Sequence[Soaked],
    tally: Tally,
    note: Note,
    *,
    pace: float = 1.0,
) -> Iterator[Soak]:
    """Watch and disturb while the body runs; the tally is complete after it."""
    with watching(kubectl, namespace) as seen, disturbing(kubectl, namespace, pace) as disturber:
        soak = Soak(models, seen, disturber, tally, note)
        try:
            yield soak
        finally:
            soak.count()


def _end_of(deployed: Deployed, model: Model) -> tuple[HistoryEntry | None, str]:
    """Roll a version out; return how it ended, or why that is not known."""
    try:
        deployed.apply(model)
        return deployed.wait_for_end(model.version, END_SECONDS), ""
    except KubectlError as error:
        return None, str(error)


def _find_lost(model: str, wire: Wire, records: Sequence[Record]) -> Iterator[Lost]:
    for record in records:
        if record.counts.lost:
            causes = {
                cause: count for cause, count in record.causes.items() if FAULT_MARKER not in cause
            }
            yield Lost(record.t, model, wire, causes)


def _with_clients(way: WayBack, records: dict[Wire, list[Record]]) -> WayBack:
    last_sent = {}
    for wire, seconds in records.items():
        moments = [
            each.last_sent[way.revision] for each in seconds if way.revision in each.last_sent
        ]
        if moments:
            last_sent[wire] = max(moments)
    return replace(way, last_sent=last_sent)


def _tell(ended: Ended, tally: Tally, left: int) -> None:
    say(
        f"{len(tally.ended)} ended, {left} to begin: {ended.model} {ended.version} "
        f"{ended.outcome or 'no end'} in {ended.seconds:.0f} s; {tally.total.sent:,} requests, "
        f"{tally.total.lost} lost; {len(tally.events)} disturbances"
    )
