"""Metrics of the machinery: queue, cache, watches, sweep, election, events."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from slipway.engine.cache import Cache
from slipway.engine.elector import Elector
from slipway.engine.queue import WorkQueue
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep
from slipway.manager.feed import Feed
from slipway.manager.heartbeats import Heartbeats, LoopLag
from slipway.manager.metrics import Collected, Frozen

NORMAL = (
    *("Action", "CheckPassed", "HookPassed", "Promoted", "RolloutStarted", "Scaled"),
    *("RollingBack", "Superseded", "WeightAcknowledged"),
)
WARNING = (
    *("Aborted", "Action", "BakeAlarm", "FailedToStart", "RejectedByGoldenSet"),
    *("RejectedBySignature", "RolledBack", "RollingBack"),
)
EXPECTED = {
    **{("Normal", reason): 0 for reason in NORMAL},
    **{("Warning", reason): 0 for reason in WARNING},
}
"""Events that are shown before the first of them: a counter that begins at 1 has no increase."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The parts that are looked at."""

    queue: WorkQueue
    cache: Cache
    feed: Feed
    sweep: Sweep
    elector: Elector
    events: EventRecorder
    pulses: Heartbeats
    lag: LoopLag

    @property
    def waited(self) -> float:
        """Seconds for which a key has waited while this replica led."""
        return min(self.queue.longest_wait, self.elector.leading_for)


class MachineMetrics:
    """Fits `slipway.manager.metrics.Source`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def freeze(self) -> Frozen:
        """Return the metrics as they are now."""
        return functools.partial(generate_latest, Collected(tuple(self._all())))

    def _all(self) -> Iterator[Metric]:
        yield from self._queue()
        yield from self._watches()
        yield from self._sweep()
        yield from self._events()
        machine = self._machine
        yield _gauge("is_leader", "1: this replica writes.", machine.elector.may_write())
        yield _gauge("event_loop_lag_seconds", "How late the loop is.", machine.lag.seconds)

    def _queue(self) -> Iterator[Metric]:
        queue = self._machine.queue
        yield _gauge("queue_ready", "Keys that want a pass now.", len(queue))
        yield _gauge("queue_waiting", "Keys that want a pass later.", queue.waiting)
        yield _gauge(
            "queue_oldest_seconds",
            "How long the key that waits longest has waited under this leader.",
            self._machine.waited,
        )

    def _watches(self) -> Iterator[Metric]:
        machine = self._machine
        yield _gauge("cache_objects", "Objects that the cache knows.", len(machine.cache))
        yield _counter("watch_events", "Events that the watches brought.", machine.feed.events)
        silent = GaugeMetricFamily(
            "slipway_watch_silent_seconds",
            "Since a watch of this kind gave a sign of life, were it only a bookmark.",
            labels=["kind"],
        )
        for kind, seconds in sorted(machine.pulses.silence().items()):
            silent.add_metric([kind], seconds)
        yield silent

    def _sweep(self) -> Iterator[Metric]:
        sweep = self._machine.sweep
        yield _gauge("synced", "1: the cache was filled.", sweep.synced.is_set())
        yield _gauge(
            "sweep_age_seconds", "Since the last sweep in which nothing failed.", sweep.age
        )
        failures = GaugeMetricFamily(
            "slipway_sweep_failures",
            "1: this kind could not be listed in this namespace; empty: in all.",
            labels=["kind", "namespace"],
        )
        for kind, namespace in sweep.failures:
            failures.add_metric([kind.kind, namespace or ""], 1)
        yield failures
        yield _gauge("watch_behind", "Objects that the watches had not shown.", sweep.behind)
        yield _counter("ghosts_removed", "Deletions that no watch told.", sweep.ghosts_removed)

    def _events(self) -> Iterator[Metric]:
        events = self._machine.events
        happened = CounterMetricFamily(
            "slipway_events",
            "What happened to objects, by type and reason of the Kubernetes event.",
            labels=["type", "reason"],
        )
        for (type_, reason), count in sorted((EXPECTED | events.recorded).items()):
            happened.add_metric([type_, reason], count)
        yield happened
        yield _counter("events_dropped", "Events not written: too many.", events.dropped)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"slipway_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"slipway_{name}", text, value=value)
