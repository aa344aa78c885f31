"""Measures the load of the ModelDeployments that Slipway scales, and of no other.

One look per second at the counters of routers and servers. What was seen is remembered here and
nowhere else: a process that has just started holds every number until it has seen enough of its
own.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from slipway.api.counters import Counters, Latency
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.queue import Key
from slipway.policy.facts import Facts
from slipway.policy.scaling.recommend import Memory, bounds_of, recommend
from slipway.policy.scaling.signals import Look, ProxyLoad, ServerLoad, reading
from slipway.policy.sizing import Sizing
from slipway.reconcile.ports import Clock, ServerSource
from slipway.reconcile.read_counters import FRESH, RouterCounters, in_flight_by_revision

LOOK_SECONDS = 1.0
SOON_SECONDS = 0.1
NOTHING = Memory()


@dataclass(frozen=True, slots=True)
class Followed:
    """What is remembered of one object."""

    uid: str
    memory: Memory = NOTHING
    look: Look | None = None
    sizing: Sizing | None = None


class Scaler:
    """Says what the measured load needs."""

    def __init__(self, counters: RouterCounters, servers: ServerSource, clock: Clock) -> None:
        self._counters = counters
        self._servers = servers
        self._clock = clock
        self._followed: dict[Key, Followed] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that exists no more, or is not scaled by us."""
        self._followed.pop(key, None)

    def next_look(self, key: Key, seconds: float | None) -> float | None:
        """Return when to look again: a second after the last look, else as the pass says."""
        known = self._followed.get(key)
        if known is None or known.look is None:
            return seconds
        passed = (self._clock.now() - known.look.at).total_seconds()
        soon = max(SOON_SECONDS, LOOK_SECONDS - passed)
        return min(soon, seconds) if seconds is not None else soon

    async def sized(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with what the load needs, where Slipway scales the object."""
        stable = facts.workloads.get(facts.stable or "")
        if not is_followed(facts.md) or facts.autoscalers or stable is None:
            self.forget(key)
            return facts
        known = self._followed.get(key)
        uid = facts.metadata.uid
        if known is None or known.uid != uid:
            known = Followed(uid)
        now = self._clock.now()
        if known.look is None or now - known.look.at >= FRESH:
            look = await self._look(facts, now)
            scaling = facts.spec.scaling
            needs_queue = scaling.target.queue_millis is not None
            new = reading(look, known.look, needs_queue=needs_queue)
            sizing, memory = recommend(
                known.memory,
                new,
                bounds_of(scaling),
                current=stable.replicas,
                ready=stable.ready,
                homeless=_homeless(facts, stable.revision),
            )
            known = Followed(uid, memory, look, sizing)
            self._followed[key] = known
        return replace(facts, sizing=known.sizing)

    async def _look(self, facts: Facts, now: datetime) -> Look:
        proxies, servers = await asyncio.gather(self._ask_proxies(facts), self._ask_servers(facts))
        return Look(now, proxies, servers)

    async def _ask_proxies(self, facts: Facts) -> dict[str, ProxyLoad | None]:
        answers = await self._counters.read_recent(facts.proxies)
        return {name: _load(answer, facts.metadata.name) for name, answer in answers.items()}

    async def _ask_servers(self, facts: Facts) -> dict[str, ServerLoad | None]:
        model = facts.md.model_name
        pods = [
            pod
            for pods in facts.pods.values()
            for pod in pods
            if pod.ready and pod.address and not pod.meta.deleting
        ]
        answers = await asyncio.gather(
            *(self._servers.read_load(pod.address or "", model) for pod in pods)
        )
        return {pod.meta.uid: answer for pod, answer in zip(pods, answers, strict=True)}


def is_followed(object_: ModelDeployment) -> bool:
    """Return whether the load of an object is looked at: it costs requests, but no writes."""
    return object_.spec.scaling.is_builtin


def _homeless(facts: Facts, revision: str) -> int:
    return sum(pod.unschedulable is not None for pod in facts.pods.get(revision, ()))


def _load(answer: Counters | None, route: str) -> ProxyLoad | None:
    if answer is None:
        return None
    entries = [entry for entry in answer.routes if entry.name == route]
    return ProxyLoad(
        in_flight=in_flight_by_revision([answer], route),
        requests=sum(entry.requests for entry in entries),
        took_millis=sum(_took(entry.latency) for entry in entries),
        start=answer.envoy_start,
    )


def _took(latency: Latency) -> float:
    """Return the milliseconds that the requests of a histogram took, by the middle of buckets."""
    edges = [0.0, *latency.edges_millis, latency.edges_millis[-1]]
    middles = ((low + high) / 2 for low, high in pairwise(edges))
    return sum(count * middle for count, middle in zip(latency.counts, middles, strict=True))
