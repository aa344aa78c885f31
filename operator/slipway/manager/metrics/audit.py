"""Metrics of the audit trail: what each sink was sent, and what was dropped."""

import functools
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from slipway.adapters.audit_sinks import AuditSinks
from slipway.manager.metrics import Collected, Frozen


class AuditMetrics:
    """Fits `slipway.manager.metrics.SnapshotSource`."""

    def __init__(self, sinks: AuditSinks) -> None:
        self._sinks = sinks

    def freeze(self) -> Frozen:
        """Return the metrics as they are now."""
        return functools.partial(generate_latest, Collected(tuple(self._collect())))

    def _collect(self) -> Iterator[Metric]:
        if not self._sinks.is_on:
            return
        events = CounterMetricFamily(
            "slipway_audit_events",
            "Events for a sink by what became of them.",
            labels=["sink", "result"],
        )
        for sink, result, number in self._sinks.results():
            events.add_metric([sink, result], number)
        yield events

        waiting = GaugeMetricFamily(
            "slipway_audit_events_waiting", "Events that wait for a sink.", labels=["sink"]
        )
        for sink, number in self._sinks.waiting():
            waiting.add_metric([sink], number)
        yield waiting
