"""Measures the load of the ModelDeployments that Slipway scales, and of no other.

The counters of routers and servers are read once a second. Readings are remembered here and nowhere
else: a process that has just started changes no number until it has enough readings of its own.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise

from slipway.api.counters import Counters, Latency
from slipway.api.modeldeployment import ModelDeployment
from slipway.api.reasons import Why
from slipway.engine.queue import Key
from slipway.policy.facts import Facts, PodFact, WorkloadFact
from slipway.policy.scaling.recommend import ScalerMemory, bounds_of, recommend_replicas
from slipway.policy.scaling.signals import LoadCounters, ProxyLoad, ServerLoad, sample_load
from slipway.policy.scaling.sleep import is_asleep
from slipway.policy.sizing import BoundBy, Sizing
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import Clock, ServerSource
from slipway.reconcile.read_counters import FRESH, RouterCounters, in_flight_by_revision

READ_EVERY_SECONDS = 1.0
SHORTEST_SECONDS = 0.1
UNMEASURED = ScalerMemory()


@dataclass(frozen=True, slots=True)
class FollowedObject:
    """What is remembered of one object whose load is followed."""

    uid: str
    memory: ScalerMemory = UNMEASURED
    counters: LoadCounters | None = None
    """Of the last reading."""
    sizing: Sizing | None = None


class Scaler:
    """Sizes the ModelDeployments that Slipway scales by their measured load."""

    def __init__(
        self, counters: RouterCounters, servers: ServerSource, clock: Clock, guard: Guard
    ) -> None:
        self._counters = counters
        self._servers = servers
        self._clock = clock
        self._guard = guard
        self._followed: dict[Key, FollowedObject] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists, is not scaled by us any more, or is asleep."""
        self._followed.pop(key, None)

    def seconds_to_reading(self, key: Key) -> float | None:
        """Return when the next reading is due, a second after the last; None: none is."""
        known = self._followed.get(key)
        if known is None or known.counters is None:
            return None

        passed = (self._clock.now() - known.counters.at).total_seconds()
        return max(SHORTEST_SECONDS, READ_EVERY_SECONDS - passed)

    async def with_sizing(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with the size that the load needs, where Slipway scales the object.

        It never raises: what cannot be measured is missing, and replicas are kept.
        """
        stable = facts.workloads.get(facts.stable or "")
        if not is_followed(facts.md) or facts.autoscalers or stable is None or is_asleep(facts):
            self.forget(key)
            return facts

        # an object of the same name that was created again starts without a memory
        known = self._followed.get(key)
        if known is None or known.uid != facts.metadata.uid:
            known = FollowedObject(facts.metadata.uid)

        now = self._clock.now()
        if known.counters is None or now - known.counters.at >= FRESH:
            known = self._follow_load(known, facts, stable, await self._read_load(facts, now))
            self._followed[key] = known
        return replace(facts, sizing=known.sizing)

    def _follow_load(
        self, known: FollowedObject, facts: Facts, stable: WorkloadFact, counters: LoadCounters
    ) -> FollowedObject:
        name = f"{facts.metadata.namespace}/{facts.metadata.name}"
        followed = self._guard.compute(
            f"measure the load of {name}", lambda: _follow_load(known, facts, stable, counters)
        )
        if not isinstance(followed, Why):
            return followed

        # the counters that could not be understood are no base for the next reading
        sizing = known.sizing or Sizing(stable.replicas)
        sizing = replace(sizing, bound_by=BoundBy.SIGNALS_MISSING, missing=followed.message)
        return replace(known, counters=LoadCounters(counters.at), sizing=sizing)

    async def _read_load(self, facts: Facts, now: datetime) -> LoadCounters:
        proxies, servers = await asyncio.gather(
            self._read_proxies(facts), self._read_servers(facts)
        )
        return LoadCounters(now, proxies, servers)

    async def _read_proxies(self, facts: Facts) -> dict[str, ProxyLoad | None]:
        ready = [pod for pod in facts.proxies if pod.ready]
        answers = await self._counters.read_recent(ready)
        loads = {
            name: self._guard.compute(
                f"understand the counters of router pod {name}",
                partial(_load_of, answer, facts.metadata.name),
            )
            for name, answer in answers.items()
        }
        return {name: None if isinstance(load, Why) else load for name, load in loads.items()}

    async def _read_servers(self, facts: Facts) -> dict[str, ServerLoad | None]:
        model = facts.md.model_name
        pods = [
            pod
            for pods in facts.pods.values()
            for pod in pods
            if pod.ready and pod.address and not pod.meta.deleting
        ]
        answers = await asyncio.gather(*(self._read_server(pod, model) for pod in pods))
        return {pod.meta.uid: answer for pod, answer in zip(pods, answers, strict=True)}

    async def _read_server(self, pod: PodFact, model: str) -> ServerLoad | None:
        answer = await self._guard.ask(
            f"read the load of pod {pod.meta.name}",
            lambda: self._servers.read_load(pod.address or "", model),
        )
        return answer if isinstance(answer, ServerLoad) else None


def is_followed(md: ModelDeployment) -> bool:
    """Return whether the load of an object is followed: that costs requests, but no writes."""
    return md.spec.scaling.is_builtin


def _follow_load(
    known: FollowedObject, facts: Facts, stable: WorkloadFact, counters: LoadCounters
) -> FollowedObject:
    """Return what is remembered after one reading more."""
    scaling = facts.spec.scaling
    needs_queue = scaling.target.queue_millis is not None

    sizing, memory = recommend_replicas(
        known.memory,
        sample_load(counters, known.counters, needs_queue=needs_queue),
        bounds_of(scaling),
        current=stable.replicas,
        ready=stable.ready,
        unschedulable=_count_unschedulable(facts, stable.revision),
    )
    return FollowedObject(known.uid, memory, counters, sizing)


def _count_unschedulable(facts: Facts, revision: str) -> int:
    return sum(pod.unschedulable is not None for pod in facts.pods.get(revision, ()))


def _load_of(answer: Counters | None, route: str) -> ProxyLoad | None:
    if answer is None:
        return None
    entries = [entry for entry in answer.routes if entry.name == route]
    return ProxyLoad(
        in_flight=in_flight_by_revision([answer], route),
        requests=sum(entry.requests for entry in entries),
        took_millis=sum(_total_millis(entry.latency) for entry in entries),
        start=answer.envoy_start,
    )


def _total_millis(latency: Latency) -> float:
    """Return the milliseconds that all requests of a histogram took, by the middle of buckets."""
    edges = [0.0, *latency.edges_millis, latency.edges_millis[-1]]
    middles = ((low + high) / 2 for low, high in pairwise(edges))
    return sum(count * middle for count, middle in zip(latency.counts, middles, strict=True))
