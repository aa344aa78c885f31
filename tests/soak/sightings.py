"""What watches showed of each way back, and when: statuses and routes."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.base import Manifest
from slipway.api.modeldeployment import LastRollback
from slipway.api.modelroute import ProxyStatus

from tests.cluster.progress import say
from tests.demo.watch import LineWatch
from tests.kubectl import Kubectl
from tests.soak.tally import WayBack

FIELDS = 'jsonpath={.metadata.name}{" "}{.spec}{" "}{.status}{"\\n"}'

Take = Callable[[float, str, Manifest, Manifest], None]
"""Takes the time, and an object's name, spec and status."""


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """A route, as it was at one moment."""

    at: float
    weights: dict[str, int]
    """Asked for, by revision."""
    proxies: tuple[ProxyStatus, ...]


class Sightings:
    """Everything that was seen of all models; filled by watches, read by others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[str, list[RouteSeen]] = defaultdict(list)
        self._stored: dict[tuple[str, str], float] = {}
        """By model and moment of the decision."""
        self._known: dict[tuple[str, str], float] = {}
        """The same, with the traffic back."""
        self._newest: dict[tuple[str, str], LastRollback] = {}

    def note_status(self, at: float, name: str, status: Manifest) -> None:
        """Note a status of a ModelDeployment."""
        if "lastRollback" not in status:
            return
        back = LastRollback.model_validate(status["lastRollback"])
        with self._lock:
            self._stored.setdefault((name, back.decided_at), at)
            if back.traffic_restored_at is not None:
                self._known.setdefault((name, back.decided_at), at)
            self._newest[name, back.decided_at] = back

    def note_route(self, at: float, name: str, spec: Manifest, status: Manifest) -> None:
        """Note a state of a ModelRoute."""
        weights = {each["revision"]: each["weight"] for each in spec.get("backends", ())}
        proxies = [ProxyStatus.model_validate(each) for each in status.get("proxies") or ()]
        with self._lock:
            self._routes[name].append(RouteSeen(at, weights, tuple(proxies)))

    def ways_back(self, name: str, since: float) -> list[WayBack]:
        """Return the roll backs of a model that were decided from a Unix time on."""
        with self._lock:
            found = [
                (back, self._stored[key], self._known.get(key))
                for key, back in self._newest.items()
                if key[0] == name
            ]
            routes = list(self._routes[name])
        ways = [
            replace(_trace(name, back, routes), stored=stored, known=known)
            for back, stored, known in found
        ]
        return [way for way in ways if way.decided >= since]


def _trace(name: str, back: LastRollback, routes: list[RouteSeen]) -> WayBack:
    lost, decided = back.from_, _unix(back.decided_at)

    had_it = False
    written: float | None = None
    acknowledged: dict[str, float] = {}
    for seen in routes:
        if seen.weights.get(lost):
            had_it, written, acknowledged = True, None, {}
            continue
        if not had_it:
            continue
        written = written or seen.at
        for proxy in seen.proxies:
            if not proxy.effective_weights.get(lost):
                acknowledged.setdefault(proxy.name, _unix(proxy.at))

    restored = back.traffic_restored_at
    return WayBack(
        model=name,
        revision=lost,
        trigger=back.trigger,
        decided=decided,
        written=written,
        acknowledged=acknowledged,
        restored=_unix(restored) if restored is not None else None,
    )


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@contextmanager
def watching(kubectl: Kubectl, namespace: str) -> Iterator[Sightings]:
    """Watch all models of a namespace while the body runs."""
    seen = Sightings()

    def watch(kind: str, take: Take) -> LineWatch:
        words = ("get", kind, "-n", namespace, "--watch", "-o", FIELDS)
        return LineWatch(kubectl.command(*words), lambda line: _take(line, take))

    with (
        watch("modeldeployments", lambda at, name, _, status: seen.note_status(at, name, status)),
        watch("modelroutes", seen.note_route),
    ):
        yield seen


def _take(line: str, take: Take) -> None:
    """Hand out what a line says; one that was cut when its watch broke off says nothing."""
    at = time.time()
    name, _, rest = line.partition(" ")
    try:
        spec, end = json.JSONDecoder().raw_decode(rest)
        status = json.loads(rest[end:].strip() or "{}")
    except ValueError:
        say(f"a watch broke off at {line[-60:]!r}")
        return
    take(at, name, spec, status)
