"""The operator's metrics in Prometheus' text format; docs/metrics.md has a line for each.

What exists is read at each scrape: nothing here polls, and what is gone is no longer shown. Here
are the counters of what happens; `machine` has the gauges of this process, `models` those of each
ModelDeployment, and `lines` writes the latter out fast.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

from slipway import __version__
from slipway.engine.worker import RESULTS
from slipway.manager.feed import MODEL_DEPLOYMENT, ROUTER

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
PASS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0)


Frozen = Callable[[], bytes]
"""Writes out the metrics of a moment; any thread may call it."""


class SnapshotSource(Protocol):
    """Has metrics of what exists at a moment."""

    def freeze(self) -> Frozen:
        """Copy what exists now, quickly: the event loop waits."""


@dataclass(frozen=True, slots=True)
class Collected:
    """Metrics in the form that the library writes out."""

    metrics: Sequence[Metric]

    def collect(self) -> Iterator[Metric]:
        """Return them."""
        return iter(self.metrics)


class Metrics:
    """Counts what happens, and exposes it with what the sources have."""

    def __init__(self, sources: Iterable[SnapshotSource] = ()) -> None:
        self._sources = tuple(sources)
        self._registry = CollectorRegistry()
        # `_created` series double the lines, and the age of a counter serves no purpose
        disable_created_metrics()  # type: ignore[no-untyped-call]

        self._passes = Counter(
            "slipway_passes", "Passes by result.", ["kind", "result"], registry=None
        )
        self._seconds = Histogram(
            "slipway_pass_seconds",
            "Duration of passes.",
            ["kind"],
            registry=None,
            buckets=PASS_BUCKETS,
        )

        self._requests = Counter(
            "slipway_api_requests",
            "Requests to the API server, except watches.",
            ["method", "code"],
            registry=None,
        )
        self._request_seconds = Histogram(
            "slipway_api_request_seconds",
            "Time until the API server answered.",
            ["method"],
            registry=None,
            buckets=REQUEST_BUCKETS,
        )

        info = Gauge("slipway_build_info", "Always 1.", ["version"], registry=None)
        info.labels(__version__).set(1)
        own = (self._passes, self._seconds, self._requests, self._request_seconds, info)
        for collector in own:
            self._registry.register(collector)
        for kind, result in itertools.product((MODEL_DEPLOYMENT, ROUTER), RESULTS):
            self._passes.labels(kind, result)  # a counter that begins at 1 has no increase
        ProcessCollector(registry=self._registry)

    def observe_pass(self, kind: str, result: str, seconds: float) -> None:
        """Count one pass; fits `slipway.engine.worker.PassObserver`."""
        self._passes.labels(kind, result).inc()
        self._seconds.labels(kind).observe(seconds)

    def answered(self, method: str, status: str, seconds: float) -> None:
        """Count one request to the API server."""
        self._requests.labels(method, status).inc()
        self._request_seconds.labels(method).observe(seconds)

    def expose(self) -> Callable[[], bytes]:
        """Return a function that writes out the metrics of this moment.

        The event loop calls this method, and another thread its result.
        """
        frozen = [source.freeze() for source in self._sources]
        return lambda: b"".join((generate_latest(self._registry), *(write() for write in frozen)))
