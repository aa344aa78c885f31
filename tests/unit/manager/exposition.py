"""The operator's exposition, made of the real parts around a world in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from slipway.adapters.audit_sinks import AuditSinks
from slipway.api import kinds
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.recorder import EventRecorder
from slipway.engine.sweep import Sweep
from slipway.manager.heartbeats import Heartbeats, LoopLag
from slipway.manager.metrics import Metrics
from slipway.manager.metrics.audit import AuditMetrics
from slipway.manager.metrics.durations import DurationMetrics
from slipway.manager.metrics.machine import Machine, MachineMetrics
from slipway.manager.metrics.models import ModelMetrics
from slipway.manager.watch import watch_names
from slipway.settings import AuditSettings, AuditSink

from tests.unit.engine.fakes import FakeClock, FakeEvents, FakeLeases, FakeLister
from tests.unit.reconcile.world import OperatorWorld


@dataclass
class Exposed:
    """An operator's metrics, and the parts that a test may change."""

    machine: Machine
    metrics: Metrics
    clock: FakeClock

    def families(self) -> list[Metric]:
        text = self.metrics.expose()().decode()
        return list(text_string_to_metric_families(text))

    def values(self, series: str, /, **labels: str) -> list[float]:
        return [
            sample.value
            for family in self.families()
            for sample in family.samples
            if sample.name == series and labels.items() <= sample.labels.items()
        ]

    def series_of(self, name: str) -> int:
        """Return how many series an object has."""
        return sum(
            sample.labels.get("name") == name
            for family in self.families()
            for sample in family.samples
        )


def expose(world: OperatorWorld, *, namespaces: Sequence[str] = ()) -> Exposed:
    clock = FakeClock()
    cache, queue, feed = world.operator.cache, world.operator.queue, world.operator.feed
    machine = Machine(
        queue=queue,
        cache=cache,
        feed=feed,
        sweep=Sweep(
            cache,
            FakeLister(),
            kinds.WATCHED,
            namespaces=namespaces,
            on_ghost=feed.forget,
            now=clock,
        ),
        elector=Elector(
            FakeLeases(), identity="only", times=LeaseTimes(), now=clock, wall=clock.wall
        ),
        events=EventRecorder(FakeEvents(), now=clock),
        heartbeats=Heartbeats(watch_names(namespaces), now=clock),
        lag=LoopLag(),
    )

    leads = machine.elector.leading.is_set
    sinks = AuditSinks(AuditSettings(sinks=[AuditSink(name="audit", url="http://audit")]))
    durations = DurationMetrics()
    for seen in world.durations.seen:
        durations.observe_duration(seen)
    metrics = Metrics(
        (MachineMetrics(machine), ModelMetrics(cache, leads), AuditMetrics(sinks), durations)
    )
    return Exposed(machine, metrics, clock)
