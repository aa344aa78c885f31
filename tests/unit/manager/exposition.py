"""The operator's exposition, made of the real parts around a world in memory, and a router's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from slipway.adapters.audit_sinks import AuditSinks
from slipway.agent.counters import render_metrics
from slipway.agent.holding import TOO_MANY, Gate, Holding
from slipway.agent.holding_metrics import render_holding
from slipway.agent.shadow_metrics import render_shadow_metrics
from slipway.api import kinds
from slipway.api.counters import Counters, Denied, Latency, RouteCounters, latency_edges
from slipway.api.modelroute import Asleep
from slipway.api.pairs import Pairs, RouteCopies, RoutePairs
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


def router_page(times: int = 1) -> str:
    """Return the exposition of a router pod that has counted everything there is so many times."""
    edges = [float(edge) for edge in latency_edges()]
    latency = Latency(edges_millis=edges, counts=[times, *([0] * (len(edges) - 1)), times])
    route = RouteCounters(
        name="digits",
        revision="0badcafe",
        pinned=False,
        requests=2 * times,
        errors=times,
        resets=0,
        timeouts=0,
        client_errors=0,
        active=1,
        latency=latency,
    )

    at = datetime.now(UTC).isoformat()
    denied = [Denied(name="digits", status=401, requests=3 * times)]
    counters = Counters(
        proxy="router-a",
        envoy_start="1",
        at=at,
        routes=[route],
        clients=latency,
        denied=denied,
    )
    parts = (
        render_metrics(counters),
        render_shadow_metrics(_page_of_pairs(latency, times)),
        render_holding(_line_of_requests(times)),
    )
    return "".join(parts)


def _line_of_requests(times: int) -> Holding:
    """Return what waits for a model that is asleep, after some requests too many."""
    holding = Holding(lambda _route, _at: None)
    holding.follow({"digits": Gate(Asleep(hold_seconds=60), is_open=False)})
    holding.held["digits"] = times
    holding.refused["digits", TOO_MANY] = times
    return holding


def _page_of_pairs(latency: Latency, times: int) -> Pairs:
    since = "2026-11-29T09:00:00Z"
    copies = RouteCopies(name="digits", candidate="0badcafe", since=since)
    pairs = RoutePairs(
        name="digits",
        stable="0cafe000",
        candidate="0badcafe",
        since=since,
        stable_latency=latency,
        candidate_latency=latency,
    )
    counted = {"digits": times}
    return Pairs(proxy="router-a", copies=[copies], pairs=[pairs], offered=counted, lost=counted)
