"""Measures the requests of models whose rollout has just begun, and of no other.

The first reading is remembered here and nowhere else: a process that has just started measures
anew, which takes half a minute at most.
"""

from dataclasses import replace

from slipway.api.reasons import Why
from slipway.engine.queue import Key
from slipway.policy.facts import Facts
from slipway.policy.measured_traffic import TrafficTotals, measure_traffic, total_traffic
from slipway.policy.rollout.scheduling import awaits_measurement
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import Clock
from slipway.reconcile.read_counters import RouterCounters


class TrafficMeter:
    """Reads the routers' counters twice and more, until the rollout has its schedule."""

    def __init__(self, counters: RouterCounters, clock: Clock, guard: Guard) -> None:
        self._counters = counters
        self._clock = clock
        self._guard = guard
        self._first: dict[Key, TrafficTotals] = {}

    def forget(self, key: Key) -> None:
        """Forget an object that no longer exists, or has its schedule."""
        self._first.pop(key, None)

    async def with_measured_traffic(self, key: Key, facts: Facts) -> Facts:
        """Return the facts with the requests since the first reading, where a rollout needs them.

        It never raises: what cannot be read is not measured, and the defaults count.
        """
        if facts.stable is None or not awaits_measurement(facts, self._clock.now()):
            self.forget(key)
            return facts

        totals = await self._read_totals(facts, facts.stable)
        first = self._first.setdefault(key, totals) if totals is not None else None
        if totals is None or first is None:
            return facts

        measured = measure_traffic(first, totals)
        if measured is None:  # an Envoy started anew, or it is the first reading itself
            self._first[key] = totals
            return facts
        return replace(facts, measured=measured)

    async def _read_totals(self, facts: Facts, stable: str) -> TrafficTotals | None:
        """Return what the Ready router pods have counted; None where one does not say."""
        name = facts.metadata.name
        ready = [pod for pod in facts.proxies if pod.ready]
        answers = await self._counters.read_recent(ready)
        at = self._clock.now()

        totals = self._guard.compute(
            f"count the requests of {facts.metadata.namespace}/{name}",
            lambda: total_traffic(answers.values(), name, stable, at),
        )
        return None if isinstance(totals, Why) else totals
