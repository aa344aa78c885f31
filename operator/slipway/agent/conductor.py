"""The agent's loop: what the cluster asks → files and endpoints → what Envoy runs → status.

One pass is cheap and is run whenever something changed. Envoy is asked only while something is
not acknowledged; at rest the loop sleeps until an event or a deadline of the fail-over.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from slipway.agent.acknowledge import Outcome, Refusals, judge_files
from slipway.agent.admin import EnvoyGone, EnvoyUnavailable, Observed
from slipway.agent.desired import Asked, Wanted, taken_ports, want
from slipway.agent.discovery import Discovery
from slipway.agent.endpoints import Slice, by_service
from slipway.agent.files import Files
from slipway.agent.report import Entry, Reporter
from slipway.agent.weights import resume
from slipway.render import envoy
from slipway.render.envoy import Address, ClusterKey, Route

log = logging.getLogger(__name__)

POLL_SECONDS = (0.005, 0.01, *[0.02] * 100, 0.5)
"""Pauses between looks at Envoy while something is not acknowledged; the last one repeats."""
RECOVERY_LOOKS = 100
UNUSED_SECONDS = 60.0
"""A cluster stays so long after its last use, for requests in flight and for its counters."""


class Envoy(Protocol):
    """What the conductor needs of Envoy; `slipway.agent.admin.Admin` fits."""

    async def observe(self) -> Observed:
        """Read which configuration is in force.

        Raises:
            EnvoyGone: there is no Envoy.
            EnvoyUnavailable: it does not answer.

        """


@dataclass(frozen=True, slots=True)
class Unused:
    """A cluster that no route names any more."""

    since: float
    addresses: tuple[Address, ...]


class Conductor:
    """Holds the namespace's routes and endpoints, and brings Envoy there.

    Followers call `replace_*`, `put_*` and `remove_*`; everything else happens in `run`.
    """

    def __init__(
        self,
        files: Files,
        discovery: Discovery,
        proxy: Envoy,
        reporter: Reporter,
        clock: Callable[[], float],
    ) -> None:
        self._files = files
        self._discovery = discovery
        self._envoy = proxy
        self._reporter = reporter
        self._clock = clock
        self._asked: dict[str, Asked] = {}
        self._slices: dict[str, Slice] = {}
        self._wanted: dict[str, Wanted] = {}
        self._running: dict[str, Wanted] = {}
        """By route: what Envoy acknowledged last."""
        self._written: dict[str, Wanted] = {}
        """By route: what is in the files."""
        self._refused: dict[str, Route] = {}
        self._suspects: deque[str] = deque()
        """Refused together with others: written again one at a time."""
        self._recovering = 0
        """Looks left to see what runs in force again after a refusal; until then nobody is blamed,
        because Envoy reads a refused file again whenever a file beside it is replaced."""
        self._unused: dict[ClusterKey, Unused] = {}
        self._addresses: dict[ClusterKey, tuple[Address, ...]] = {}
        self._observed: Observed | None = None
        self._refusals = Refusals()
        self._changed = asyncio.Event()
        self.programmed = asyncio.Event()
        """Set once everything that was asked at start is in the files."""
        self.acknowledged = asyncio.Event()
        """Set while Envoy runs everything that is in the files."""

    @property
    def clusters(self) -> list[ClusterKey]:
        """The clusters that Envoy has, also those that are about to go."""
        used = {key for wanted in self._wanted.values() for key in wanted.clusters}
        return sorted(used | set(self._unused))

    def put_route(self, asked: Asked) -> None:
        """Take a ModelRoute into account."""
        known = self._asked.get(asked.name)
        self._asked[asked.name] = asked
        if known is None or known.uid != asked.uid:
            self._reporter.remember(asked.name, asked.uid, asked.own)
        if known is None or (known.uid, known.generation) != (asked.uid, asked.generation):
            self._changed.set()

    def remove_route(self, name: str) -> None:
        """Forget a ModelRoute; its listener drains and goes."""
        self._asked.pop(name, None)
        self._reporter.forget(name)
        self._changed.set()

    def put_slice(self, name: str, found: Slice | None) -> None:
        """Take an EndpointSlice into account; None where it is nobody's."""
        known = self._slices.pop(name, None)
        if found is not None:
            self._slices[name] = found
        if found != known:
            self._changed.set()

    async def run(self) -> None:
        """Conduct for ever; call it after the first lists."""
        polls = 0
        while True:
            self._changed.clear()
            await self.turn()
            polls = 0 if self.acknowledged.is_set() else polls + 1
            await self._sleep(polls)

    async def turn(self) -> None:
        """Do one pass: look at Envoy if needed, decide, write, compare."""
        await self._observe_if_needed()
        now = self._clock()
        self._decide(now)
        self._publish(now)
        self._write()
        self.programmed.set()
        self._compare()

    async def _sleep(self, polls: int) -> None:
        pause = POLL_SECONDS[min(polls, len(POLL_SECONDS)) - 1] if polls else self._rest()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

    def _rest(self) -> float | None:
        """Return the seconds to the next deadline; None where only an event can matter."""
        now = self._clock()
        due = [each.look_again for each in self._wanted.values() if each.look_again is not None]
        due += [each.since + UNUSED_SECONDS for each in self._unused.values()]
        pauses = [moment - now for moment in due if moment > now]
        return min(pauses) + POLL_SECONDS[0] if pauses else None

    async def _observe_if_needed(self) -> None:
        """At rest the last look still holds: Envoy changes only by what is written here."""
        if self.acknowledged.is_set():
            return
        try:
            self._observed = await self._envoy.observe()
        except EnvoyGone:
            self._observed = None
        except EnvoyUnavailable as error:
            log.warning("%s", error)

    def _decide(self, now: float) -> None:
        conflicts = taken_ports(self._asked.values())
        services = by_service(self._slices.values())
        wanted = {}
        for name, asked in self._asked.items():
            if name in conflicts:
                taken = f"port {asked.spec.port} is taken by ModelRoute {conflicts[name]}"
                self._reporter.complain(name, asked.generation, taken)
                continue
            known = self._wanted.get(name)
            before = known.standing if known else None
            if known is None:
                before = resume(asked.spec.backends, asked.generation, asked.own)
            wanted[name] = want(asked, services, before, now)
        self._wanted = wanted
        self._suspects = deque(name for name in self._suspects if name in wanted)
        self._refused = {name: each for name, each in self._refused.items() if name in wanted}

    def _publish(self, now: float) -> None:
        """Endpoints and clusters go ahead of the routes that will name them."""
        used = {
            key: addresses
            for wanted in self._wanted.values()
            for key, addresses in wanted.clusters.items()
        }
        self._retire(used, now)
        unused = {key: each.addresses for key, each in self._unused.items()}
        self._addresses = {**unused, **used}
        self._discovery.publish(
            {
                key.name: envoy.render_endpoints(key, addresses)
                for key, addresses in self._addresses.items()
            }
        )
        self._files.write(envoy.CLUSTERS_FILE, envoy.render_clusters(frozenset(self._addresses)))

    def _retire(self, used: Mapping[ClusterKey, tuple[Address, ...]], now: float) -> None:
        """Keep a cluster for a while after the last route that named it was replaced."""
        still_written = {key for each in self._written.values() for key in each.route.clusters}
        for key, addresses in self._addresses.items():
            if key not in used:
                self._unused.setdefault(key, Unused(now, addresses))
        self._unused = {
            key: each
            for key, each in self._unused.items()
            if key not in used and (key in still_written or now - each.since < UNUSED_SECONDS)
        }

    def _write(self) -> None:
        """Write the routes; one whose clusters Envoy does not have yet stays as it was."""
        before, self._written = self._written, {}
        for name, wanted in self._wanted.items():
            chosen = wanted if self._may_write(wanted) else None
            chosen = chosen or before.get(name) or self._running.get(name)
            if chosen is not None:
                self._written[name] = chosen
        routes = tuple(self._written[name].route for name in sorted(self._written))
        directory = str(self._files.directory)
        self._files.write(envoy.ROUTES_FILE, envoy.render_routes(routes))
        self._files.write(envoy.LISTENERS_FILE, envoy.render_listeners(directory, routes))

    def _may_write(self, wanted: Wanted) -> bool:
        """A cluster takes its first request only when Envoy has its newest endpoints.

        One that carries requests already is no reason to wait: a weight may always be lowered.
        """
        name = wanted.route.name
        if self._recovering:
            return False
        if self._refused.get(name) == wanted.route:
            return False
        if name in self._suspects and self._suspects[0] != name:
            return False
        if self._observed is None:  # Envoy is not there: it will read all files together
            return True
        running = self._running.get(name)
        carrying = running.route.clusters if running else frozenset()
        return self._has_endpoints(wanted.route.clusters - carrying, self._observed)

    def _compare(self) -> None:
        if self._observed is None:
            self.acknowledged.clear()
            return
        outcome, files = judge_files(
            self._files.versions,
            self._observed,
            self._refusals,
            listeners=bool(self._written),
        )
        self._recovering = max(0, self._recovering - 1)
        if outcome is Outcome.REFUSED and not self._recovering:
            self._blame(files)
        if outcome is not Outcome.PENDING:
            self._refusals.settle(self._observed)
        if outcome is not Outcome.IN_FORCE:
            self.acknowledged.clear()
            return
        self._recovering = 0
        self._accept(self._observed)

    def _blame(self, files: list[str]) -> None:
        """Go back to what runs; where several routes changed at once, try them one by one."""
        self._recovering = RECOVERY_LOOKS
        guilty = [
            name
            for name, written in self._written.items()
            if name not in self._running or self._running[name].route != written.route
        ]
        log.error("Envoy refused %s after a change of %s", files, guilty)
        if len(guilty) > 1:
            self._suspects.extend(name for name in guilty if name not in self._suspects)
        for name in guilty:
            if len(guilty) == 1:
                self._refused[name] = self._written[name].route
                self._clear_suspect(name)
                text = f"Envoy refused {', '.join(files)}; its log names the field"
                self._reporter.complain(name, self._asked[name].generation, text)
            del self._written[name]
            if name in self._running:
                self._written[name] = self._running[name]
        self._changed.set()

    def _clear_suspect(self, name: str) -> None:
        if name in self._suspects:
            self._suspects.remove(name)

    def _accept(self, observed: Observed) -> None:
        complete = self._written.keys() >= self._wanted.keys() - self._refused.keys()
        self._running = {name: self._running[name] for name in self._written.keys() & self._running}
        for name, written in self._written.items():
            if not self._has_endpoints(written.route.clusters, observed):
                complete = False
                continue
            self._running[name] = written
            current = self._wanted.get(name)
            if current is None or current.route != written.route:
                complete = complete and self._refused.get(name) is not None
                continue
            self._clear_suspect(name)
            self._refused.pop(name, None)
            self._running[name] = current
            self._reporter.report(name, _entry(current))
        if complete and not self._suspects:
            self.acknowledged.set()
        else:
            self.acknowledged.clear()

    def _has_endpoints(self, clusters: Iterable[ClusterKey], observed: Observed) -> bool:
        """Return whether Envoy has the newest endpoints of all of them."""
        return all(
            observed.endpoints.get(key.name) == self._discovery.version(key.name)
            for key in clusters
        )


def _entry(running: Wanted) -> Entry:
    waits = None if running.standing.admitted else "waits for endpoints of its revisions"
    return Entry(running.generation, running.route.hash, dict(running.effective), waits)
