"""The agent's loop: what the cluster asks → files and endpoints → what Envoy runs → status.

One turn is cheap and runs whenever something changed. Envoy is asked only while something is not
acknowledged; at rest the loop sleeps until an event or a deadline of the fail-over.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from slipway.agent.access import Callers
from slipway.agent.acknowledge import FileState, RefusedUpdates, judge_files
from slipway.agent.admin import EnvoyGone, EnvoyUnavailable, Observed
from slipway.agent.clusters import Clusters
from slipway.agent.credentials import Credentials
from slipway.agent.desired import (
    NOTHING,
    DesiredRoute,
    Needed,
    RoutePlan,
    find_port_conflicts,
    plan_route,
)
from slipway.agent.discovery import Discovery
from slipway.agent.doubts import Doubts
from slipway.agent.endpoints import EndpointSlice, group_by_service
from slipway.agent.files import Files
from slipway.agent.holding import Gate, Holding
from slipway.agent.quarantine import Quarantine
from slipway.agent.report import EffectiveState, Reporter
from slipway.agent.shadows import Shadows
from slipway.agent.weights import resume_standing
from slipway.api.base import Manifest
from slipway.api.modelroute import ProxyAsleep
from slipway.render import envoy
from slipway.render.envoy import LISTENERS_FILE, ClusterKey
from slipway.render.traces import RouterTraces

log = logging.getLogger(__name__)

POLL_SECONDS = (0.005, 0.01, *[0.02] * 100, 0.5)
"""Pauses between looks at Envoy while something is not acknowledged; the last one repeats."""


INHERITED_LOOKS = 100
"""How many looks at an Envoy that served before this agent leave its files as they are."""


class Envoy(Protocol):
    """What the conductor needs of Envoy; `slipway.agent.admin.Admin` fits."""

    async def observe(self) -> Observed:
        """Read which configuration is in force.

        Raises:
            EnvoyGone: there is no Envoy.
            EnvoyUnavailable: it does not answer.

        """


class Conductor:
    """Holds the namespace's routes and endpoints, and brings Envoy there.

    Followers call `put_*` and `remove_*`; everything else happens in `run`.
    """

    def __init__(
        self,
        files: Files,
        discovery: Discovery,
        proxy: Envoy,
        reporter: Reporter,
        credentials: Credentials,
        *,
        callers: Callers,
        shadows: Shadows,
        holding: Holding,
        doubts: Doubts,
        clock: Callable[[], float],
        listen_on: str = envoy.ANY_IPV4,
        traced: RouterTraces | None = None,
    ) -> None:
        self._files = files
        self._shadows = shadows
        self._holding = holding
        self._doubts = doubts
        self._listen_on = listen_on
        self._traced = traced
        self._discovery = discovery
        self._envoy = proxy
        self._reporter = reporter
        self._clock = clock
        self._credentials = credentials
        self._callers = callers

        self._desired: dict[str, DesiredRoute] = {}
        self._slices: dict[str, EndpointSlice] = {}
        self._plans: dict[str, RoutePlan] = {}
        """By route: what should run now."""
        self._written: dict[str, RoutePlan] = {}
        """By route: what is in the files."""
        self._running: dict[str, RoutePlan] = {}
        """By route: what Envoy acknowledged last."""
        self._clusters = Clusters()
        self._quarantine = Quarantine()
        self._observed: Observed | None = None
        self._unseen: set[str] = set()
        """Files and clusters that were written after the last look at Envoy."""
        self._refused_updates = RefusedUpdates()
        self._is_overwritten = False
        """Whether a route was replaced before Envoy ran or refused it: which one a refusal is of
        is then unknown."""

        self._inherited_looks = INHERITED_LOOKS
        """Looks left for which the files of an agent before this one stay as they are."""

        self._changed = asyncio.Event()
        self.programmed = asyncio.Event()
        """Set once everything that was known at start is in the files."""
        self.acknowledged = asyncio.Event()
        """Set while Envoy runs everything that is in the files."""

    @property
    def clusters(self) -> list[ClusterKey]:
        """The clusters that Envoy has, including those that are about to go."""
        return sorted(self._clusters.addresses)

    @property
    def compared_routes(self) -> set[str]:
        """Routes that Envoy runs with two revisions side by side."""
        return {
            name
            for name, plan in self._running.items()
            if sum(weight > 0 for _, weight in plan.route.weights) > 1
        }

    def put_route(self, desired: DesiredRoute) -> None:
        """Take a ModelRoute into account."""
        known = self._desired.get(desired.name)
        self._desired[desired.name] = desired

        if known is None or known.uid != desired.uid:
            self._reporter.remember(desired.name, desired.uid, desired.own)
        if known is None or (known.uid, known.generation) != (desired.uid, desired.generation):
            self._changed.set()

    def remove_route(self, name: str) -> None:
        """Forget a ModelRoute; its listener drains and goes."""
        self._desired.pop(name, None)
        self._reporter.forget(name)
        self._changed.set()

    def put_slice(self, name: str, found: EndpointSlice | None) -> None:
        """Take an EndpointSlice into account; None where it belongs to no Service."""
        known = self._slices.pop(name, None)
        if found is not None:
            self._slices[name] = found
        if found != known:
            self._changed.set()

    def wake(self) -> None:
        """Do a turn: something that routes need has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Run for ever; call it after the first lists."""
        polls = 0
        while True:
            self._changed.clear()
            await self.turn()
            polls = 0 if self.acknowledged.is_set() else polls + 1
            await self._sleep(polls)

    async def turn(self) -> None:
        """Do one turn; the order is that in which no request is lost."""
        if await self._observe_envoy():
            self._judge_look()  # of what was written before it, so before anything is replaced

        self._plan_routes()
        self._publish_clusters()
        self._write_routes()
        self._acknowledge()
        self._holding.follow(self._gates())

    def _gates(self) -> dict[str, Gate]:
        """Return which requests wait, by route: until Envoy was seen with a replica for them."""
        gates = {}
        for name, plan in self._plans.items():
            running, observed = self._running.get(name), self._observed
            if plan.asleep is None and (running is None or running.asleep is None):
                continue
            is_seen = observed is not None and self._has_endpoints(plan.route.clusters, observed)
            gates[name] = Gate(plan.asleep, is_open=plan.has_replica and is_seen)
        return gates

    async def _sleep(self, polls: int) -> None:
        pause = POLL_SECONDS[min(polls, len(POLL_SECONDS)) - 1] if polls else self._idle_seconds()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

    def _idle_seconds(self) -> float | None:
        """Return the seconds to the next deadline; None where only an event can matter."""
        now = self._clock()
        due = [each.next_change_at for each in self._plans.values()]
        due += self._clusters.deadlines()
        due += self._looks_due(now)
        pauses = [moment - now for moment in due if moment is not None and moment > now]
        return min(pauses) + POLL_SECONDS[0] if pauses else None

    def _looks_due(self, now: float) -> list[float]:
        """Return when more is to be said of credentials, in seconds of the monotonic clock."""
        moments = (plan.needed.next_look for plan in self._plans.values())
        left = ((each - self._credentials.now()).total_seconds() for each in moments if each)
        return [now + max(seconds, 1.0) for seconds in left]

    async def _observe_envoy(self) -> bool:
        """Look at Envoy; return whether it said something new.

        At rest the last look still holds: Envoy changes only by what is written here.
        """
        if self.acknowledged.is_set():
            return False

        try:
            self._observed = await self._envoy.observe()
        except EnvoyGone:
            self._observed = None
            return False
        except EnvoyUnavailable as error:
            log.warning("%s", error)
            return False

        self._unseen.clear()
        return True

    def _plan_routes(self) -> None:
        now = self._clock()
        conflicts = find_port_conflicts(self._desired.values())
        listed = group_by_service(self._slices.values())
        services = self._doubts.settle(listed, self._models_by_service())
        needed = self._look_at_needs()
        plans = {}
        self._shadows.follow(self._desired.values())

        for name, desired in self._desired.items():
            if name in conflicts:
                taken = f"port {desired.spec.port} is taken by ModelRoute {conflicts[name]}"
                self._reporter.report_error(name, desired.generation, taken)
                continue
            known = self._plans.get(name)
            before = (
                resume_standing(desired.spec.backends, desired.generation, desired.own)
                if known is None
                else known.standing
            )
            copied = self._shadows.per_million(name)
            needs = needed.get(name, NOTHING)
            plans[name] = plan_route(
                desired,
                services,
                before,
                now,
                needs,
                copied=copied,
                can_hold=self._holding.is_possible,
            )

        self._plans = plans
        self._quarantine.keep_only(plans)

    def _models_by_service(self) -> dict[str, str]:
        """Also of the revisions that a route serves until it can run its newest spec."""
        found = {}
        for name, desired in self._desired.items():
            plan = self._plans.get(name)
            before = plan.standing.backends if plan is not None else ()
            for backend in (*before, *desired.spec.backends):
                found[backend.service] = desired.spec.model
        return found

    def _look_at_needs(self) -> dict[str, Needed]:
        """Return what is known of what routes need, by route."""
        certificates = self._credentials.look(self._desired.values())
        callers = self._callers.look(self._desired.values())
        return {
            name: certificates.get(name, NOTHING).and_also(callers.get(name, NOTHING))
            for name in certificates.keys() | callers.keys()
        }

    def _publish_clusters(self) -> None:
        """Endpoints and clusters go ahead of the routes that will name them."""
        used = {
            key: addresses
            for plan in self._plans.values()
            for key, addresses in plan.clusters.items()
        }
        written = {key for each in self._written.values() for key in each.route.clusters}
        self._clusters.update(used, written, self._clock())

        addresses = self._clusters.addresses
        self._unseen |= self._discovery.publish(
            {key.name: envoy.render_endpoints(key, pods) for key, pods in addresses.items()}
        )
        self._write(
            envoy.CLUSTERS_FILE,
            envoy.render_clusters(
                frozenset(addresses),
                self._shadows.directory,
                is_traced=self._traced is not None,
            ),
        )

    def _write_routes(self) -> None:
        """Write the routes; one whose clusters Envoy does not have yet stays as it was."""
        if self._keeps_inherited_files():
            return

        before, self._written = self._written, {}
        for name, plan in self._plans.items():
            chosen = plan if self._may_write(plan) else None
            chosen = chosen or before.get(name) or self._running.get(name)
            if chosen is not None:
                self._written[name] = chosen
        self._is_overwritten |= any(
            self._is_pending(name, plan) and not _is_same(plan, self._written.get(name))
            for name, plan in before.items()
        )

        # Routes first: a listener must find its virtual host when it begins to accept.
        routes = tuple(self._written[name].route for name in sorted(self._written))
        directory = str(self._files.directory)
        self._write(envoy.ROUTES_FILE, envoy.render_routes(routes))
        listeners = envoy.render_listeners(
            directory,
            routes,
            listen_on=self._listen_on,
            has_comparer=self._shadows.directory is not None,
            can_hold=self._holding.is_possible,
            traced=self._traced,
        )
        self._write(envoy.LISTENERS_FILE, listeners)
        self.programmed.set()

    def _keeps_inherited_files(self) -> bool:
        """Return whether the files of an agent before this one stay.

        How that one left a route, whose clusters Envoy does not have as they are now, is not known;
        without the route its listener would go.
        """
        runs = self._observed.versions if self._observed is not None else {}
        if self.programmed.is_set() or LISTENERS_FILE not in runs or not self._inherited_looks:
            return False

        self._inherited_looks -= 1
        return not all(self._may_write(plan) for plan in self._plans.values())

    def _write(self, file: str, document: Manifest) -> None:
        if self._files.write(file, document):
            self._unseen.add(file)

    def _is_pending(self, name: str, plan: RoutePlan) -> bool:
        """Return whether the route, as it is planned, is another than the one that Envoy runs."""
        return not _is_same(plan, self._running.get(name))

    def _may_write(self, plan: RoutePlan) -> bool:
        """A cluster takes its first request only when Envoy has its newest endpoints.

        A cluster that already carries requests is never waited for: a weight can always be lowered.
        """
        if not plan.needed.is_known or not self._quarantine.may_write(plan.route):
            return False
        if self._observed is None:  # Envoy is not there: it will read all files together
            return True

        running = self._running.get(plan.route.name)
        carrying = running.route.clusters if running else frozenset()
        return self._has_endpoints(plan.route.clusters - carrying, self._observed)

    def _judge_look(self) -> None:
        """Find refusals in a new look, and what runs to go back to."""
        observed = self._observed
        if observed is None:
            return
        if not self._files.versions:  # refusals of what an agent before this one wrote
            self._refused_updates.settle(observed)
            return

        state, files = self._judge_files(observed)
        self._quarantine.count_look()
        if state is FileState.PENDING:
            return

        if state is FileState.IN_FORCE:
            self._quarantine.end_recovery()
            self._running |= {
                name: written
                for name, written in self._written.items()
                if self._has_endpoints(written.route.clusters, observed)
            }
        elif not self._quarantine.is_recovering:
            self._restore_running(files)
        self._refused_updates.settle(observed)
        self._is_overwritten = False

    def _judge_files(self, observed: Observed) -> tuple[FileState, list[str]]:
        return judge_files(
            self._files.versions,
            observed,
            self._refused_updates,
            listeners=any(written.route.has_listener for written in self._written.values()),
        )

    def _restore_running(self, files: list[str]) -> None:
        """Go back to what runs, and blame the route that changed; of several, each is a suspect."""
        changed = {
            name: written.route
            for name, written in self._written.items()
            if self._is_pending(name, written)
        }
        log.error("Envoy refused %s after a change of %s", files, list(changed))

        culprit = self._quarantine.blame(changed, is_certain=not self._is_overwritten)
        if culprit is not None and culprit in self._desired:
            text = f"Envoy refused {', '.join(files)}; its log names the field"
            self._reporter.report_error(culprit, self._written[culprit].generation, text)

        for name in changed:
            del self._written[name]
            if name in self._running:
                self._written[name] = self._running[name]
        self._changed.set()

    def _acknowledge(self) -> None:
        """Accept what is written now, if the last look came after the writing and saw it run."""
        observed = self._observed
        if observed is None or not self._unseen.isdisjoint(self._files.versions):
            self.acknowledged.clear()
            return

        state, _ = self._judge_files(observed)
        if state is FileState.IN_FORCE:
            self._accept(observed)
        else:
            self.acknowledged.clear()

    def _accept(self, observed: Observed) -> None:
        """Report each route whose clusters have their endpoints too: it is in force."""
        refused = self._quarantine.refused
        complete = self._written.keys() >= self._plans.keys() - refused
        self._running = {name: self._running[name] for name in self._written.keys() & self._running}

        for name, written in self._written.items():
            if not self._has_endpoints(written.route.clusters, observed):
                complete = False
                continue
            self._running[name] = written
            current = self._plans.get(name)
            if current is None or current.route != written.route:
                complete = complete and name in refused
                continue
            self._quarantine.acquit(name)
            self._running[name] = current
            asleep = self._holding.report(name) if current.asleep is not None else None
            self._reporter.report(name, _effective_state(current, asleep))

        if complete and not self._quarantine.has_suspects:
            self.acknowledged.set()
        else:
            self.acknowledged.clear()

    def _has_endpoints(self, clusters: Iterable[ClusterKey], observed: Observed) -> bool:
        """Return whether Envoy was seen with the newest endpoints of all of them."""
        return all(
            key.name not in self._unseen
            and self._discovery.is_in_force(key.name, observed.endpoints.get(key.name))
            for key in clusters
        )


def _is_same(plan: RoutePlan, other: RoutePlan | None) -> bool:
    return other is not None and plan.route == other.route


def _effective_state(running: RoutePlan, asleep: ProxyAsleep | None) -> EffectiveState:
    error = None if running.standing.admitted else "waiting for endpoints of its revisions"
    return EffectiveState(
        running.generation,
        running.route.hash,
        dict(running.effective),
        error,
        running.needed.statuses,
        asleep,
    )
