"""The traffic of a model as its routers counted it, between two readings of a rollout's start.

The counters are cumulative, so one reading says nothing of the present: it takes two, some seconds
apart. Few requests take longer to tell a rate, and none takes longer than `LONGEST_SECONDS`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.api.counters import Counters, Latency

ENOUGH_SECONDS = 10
"""Shorter ones may be a burst, or the pause after one."""
ENOUGH_REQUESTS = 50
"""The rate is then known to a seventh."""
LONGEST_SECONDS = 30


@dataclass(frozen=True, slots=True)
class TrafficTotals:
    """What all router pods have counted of a model until a moment."""

    at: datetime
    requests: int
    """Of all revisions, without those that the candidate header sent."""
    error_ratio: float
    """Of stable."""
    latency: Latency | None
    """Of stable."""
    runs: frozenset[tuple[str, str]]
    """The pods with the starts of their Envoys, which reset the counters."""
    of_stable: tuple[int, int] = (0, 0)
    """Requests of stable, and those that failed."""


@dataclass(frozen=True, slots=True)
class MeasuredTraffic:
    """The requests between two readings."""

    seconds: float
    requests: int
    error_ratio: float = 0.0
    latency: Latency | None = None
    of_stable: tuple[int, int] = (0, 0)
    """Requests of stable between the readings, and those that failed."""
    latency_of_stable: Latency | None = None
    """Between the readings."""
    total_of_stable: tuple[int, int] = (0, 0)
    """As `of_stable`, since the routers started; `latency` is too."""

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def is_telling(self) -> bool:
        """Whether the rate is known well enough to choose steps by it."""
        is_frequent = self.requests >= ENOUGH_REQUESTS and self.seconds >= ENOUGH_SECONDS
        return is_frequent or self.seconds >= LONGEST_SECONDS


def total_traffic(
    answers: Iterable[Counters | None], route: str, stable: str, at: datetime
) -> TrafficTotals | None:
    """Return what the router pods have counted; None where one of them did not answer."""
    documents = list(answers)
    answered = [document for document in documents if document is not None]
    if not answered or len(answered) < len(documents):
        return None

    entries = [entry for document in answered for entry in document.judged_entries(route)]
    of_stable = [entry for entry in entries if entry.revision == stable]
    requests = sum(entry.requests for entry in of_stable)
    errors = sum(entry.errors for entry in of_stable)

    return TrafficTotals(
        at=at,
        requests=sum(entry.requests for entry in entries),
        error_ratio=min(1.0, errors / requests) if requests > 0 else 0.0,
        latency=merge_latencies([entry.latency for entry in of_stable]),
        runs=frozenset((document.proxy, document.envoy_start) for document in answered),
        of_stable=(requests, errors),
    )


def measure_traffic(before: TrafficTotals, after: TrafficTotals) -> MeasuredTraffic | None:
    """Return what came between two readings; None where they cannot be compared."""
    seconds = (after.at - before.at).total_seconds()
    if before.runs != after.runs or seconds <= 0 or after.requests < before.requests:
        return None
    answered, failed = (
        max(0, late - early) for early, late in zip(before.of_stable, after.of_stable, strict=True)
    )
    return MeasuredTraffic(
        seconds,
        after.requests - before.requests,
        after.error_ratio,
        after.latency,
        of_stable=(answered, min(failed, answered)),
        total_of_stable=after.of_stable,
        latency_of_stable=subtract_latency(after.latency, before.latency),
    )


def subtract_latency(after: Latency | None, before: Latency | None) -> Latency | None:
    """Return the histogram of what came between two; None where they cannot be compared."""
    if after is None or before is None or after.edges_millis != before.edges_millis:
        return None
    counts = [max(0, late - early) for early, late in zip(before.counts, after.counts, strict=True)]
    return Latency(edges_millis=after.edges_millis, counts=counts)


def merge_latencies(latencies: Sequence[Latency]) -> Latency | None:
    """Return one histogram of several; None where there is none, or their edges differ."""
    if not latencies or any(it.edges_millis != latencies[0].edges_millis for it in latencies):
        return None
    counts = [sum(column) for column in zip(*(item.counts for item in latencies), strict=True)]
    return Latency(edges_millis=latencies[0].edges_millis, counts=counts)
