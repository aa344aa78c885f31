"""Metrics of the machinery: queue, cache, watches, sweep, election and events."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from slipway.api.reasons import Reason
from slipway.engine.cache import Cache
from slipway.engine.elector import Elector
from slipway.engine.queue import WorkQueue
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep
from slipway.manager.feed import Feed
from slipway.manager.heartbeats import Heartbeats, LoopLag
from slipway.manager.metrics import Collected, Frozen

NORMAL = (
    Reason.ACTION,
    Reason.AWAITING_APPROVAL,
    Reason.CHECK_PASSED,
    Reason.GAP_ENDED,
    Reason.HOOK_PASSED,
    Reason.NEW_BYTES,
    Reason.PROMOTED,
    Reason.ROLLOUT_STARTED,
    Reason.SCALED,
    Reason.ROLLING_BACK,
    Reason.SHADOW_ENDED,
    Reason.SHADOW_PASSED,
    Reason.SUPERSEDED,
    Reason.SWAPPING,
    Reason.WEIGHT_ACKNOWLEDGED,
)
WARNING = (
    Reason.ABORTED,
    Reason.ACTION,
    Reason.BAKE_ALARM,
    Reason.FAILED_TO_START,
    Reason.RECREATING,
    Reason.REFRESH_FAILED,
    Reason.REJECTED_BY_GOLDEN_SET,
    Reason.REJECTED_BY_SHADOW,
    Reason.REJECTED_BY_SIGNATURE,
    Reason.REVISION_REJECTED,
    Reason.ROLLED_BACK,
    Reason.ROLLING_BACK,
    Reason.WORSE_AFTER_PROMOTION,
)
EXPECTED: dict[tuple[str, str], int] = {
    **{("Normal", reason.value): 0 for reason in NORMAL},
    **{("Warning", reason.value): 0 for reason in WARNING},
}
"""Events that are exposed at 0 before the first: a counter that begins at 1 has no increase."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machinery of one replica."""

    queue: WorkQueue
    cache: Cache
    feed: Feed
    sweep: Sweep
    elector: Elector
    events: EventRecorder
    heartbeats: Heartbeats
    lag: LoopLag

    @property
    def longest_wait(self) -> float:
        """Seconds for which a key has waited while this replica was the leader."""
        return min(self.queue.longest_wait, self.elector.leading_for)


class MachineMetrics:
    """Fits `slipway.manager.metrics.SnapshotSource`."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def freeze(self) -> Frozen:
        """Return the metrics as they are now."""
        return functools.partial(generate_latest, Collected(tuple(self._collect())))

    def _collect(self) -> Iterator[Metric]:
        yield from self._queue()
        yield from self._watches()
        yield from self._sweep()
        yield from self._events()
        machine = self._machine
        yield _make_gauge(
            "is_leader", "1: this replica is the leader and writes.", machine.elector.may_write()
        )
        yield _make_gauge(
            "event_loop_lag_seconds",
            "How late the event loop runs what is due.",
            machine.lag.seconds,
        )

    def _queue(self) -> Iterator[Metric]:
        queue = self._machine.queue
        yield _make_gauge("queue_ready", "Keys that are ready for a pass.", len(queue))
        yield _make_gauge("queue_waiting", "Keys that are delayed.", queue.waiting)
        yield _make_gauge(
            "queue_oldest_seconds",
            "How long the key that waits longest has waited under this leader.",
            self._machine.longest_wait,
        )

    def _watches(self) -> Iterator[Metric]:
        machine = self._machine
        yield _make_gauge("cache_objects", "Objects in the cache.", len(machine.cache))
        yield _make_counter("watch_events", "Events of the watches.", machine.feed.events)
        silent = GaugeMetricFamily(
            "slipway_watch_silent_seconds",
            "Since a watch of this kind gave a sign of life, if only a bookmark.",
            labels=["kind"],
        )
        for kind, seconds in sorted(machine.heartbeats.seconds_silent().items()):
            silent.add_metric([kind], seconds)
        yield silent

    def _sweep(self) -> Iterator[Metric]:
        sweep = self._machine.sweep
        yield _make_gauge("synced", "1: the cache is filled.", sweep.synced.is_set())
        yield _make_gauge(
            "sweep_age_seconds", "Since the last sweep in which nothing failed.", sweep.age
        )
        failures = GaugeMetricFamily(
            "slipway_sweep_failures",
            "1: this kind could not be listed in this namespace; empty: in all of them.",
            labels=["kind", "namespace"],
        )
        for kind, namespace in sweep.failures:
            failures.add_metric([kind.kind, namespace or ""], 1)
        yield failures

        yield _make_gauge(
            "watch_behind", "Objects that the watches did not show at the last sweep.", sweep.behind
        )
        yield _make_counter(
            "ghosts_removed", "Deletions that the watches missed.", sweep.ghosts_removed
        )

    def _events(self) -> Iterator[Metric]:
        events = self._machine.events
        recorded = CounterMetricFamily(
            "slipway_events",
            "Kubernetes events by type and reason.",
            labels=["type", "reason"],
        )
        for (event_type, reason), count in sorted((EXPECTED | events.recorded).items()):
            recorded.add_metric([event_type, reason], count)
        yield recorded
        yield _make_counter(
            "events_dropped",
            "Events that were not written, because their object had too many.",
            events.dropped,
        )


def _make_gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"slipway_{name}", text, value=value)


def _make_counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"slipway_{name}", text, value=value)
