"""Where the milliseconds of an answer go, from two readings of the routers and the servers. Pure.

Pages of metrics count since their process started, and what was slow last week says nothing of
today: so what came between two readings counts. Where nothing came, it is all since the start.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TypeVar

from slipway.api.counters import Counters, Latency
from slipway.api.triton_metrics import (
    COMPUTE_MICROS,
    QUEUE_MICROS,
    SUCCESS,
    Sample,
    sum_by_name,
)
from slipway.cli.latency_report import LatencyParts, LatencyReport
from slipway.policy.measured_traffic import merge_latencies, subtract_latency

SERVER_METRICS = (SUCCESS, QUEUE_MICROS, *COMPUTE_MICROS)
MEDIAN, FAR = 0.5, 0.99
MICROS_PER_MILLI = 1000

Router = tuple[str, str]
"""Name of the pod, and when its Envoy started, which resets what it counts."""
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class ServerTimes:
    """What servers have counted of a model: answered requests, and microseconds of all of them."""

    requests: float = 0.0
    queue: float = 0.0
    compute: float = 0.0


@dataclass(frozen=True, slots=True)
class LatencyReading:
    """What the pods have counted of a model until a moment; who did not answer is absent."""

    at: float
    """Seconds of a monotonic clock."""
    answers: Mapping[tuple[str, Router], Latency] = field(default_factory=dict)
    """Of the model, by revision and router: from the request sent on to the end of the answer."""
    all_answers: Mapping[Router, Latency] = field(default_factory=dict)
    """The same of all models of a router, which only together compare with `clients`."""
    clients: Mapping[Router, Latency] = field(default_factory=dict)
    """From a request's first byte to the last of its answer, of all models."""
    servers: Mapping[tuple[str, str], ServerTimes] = field(default_factory=dict)
    """By revision and the name of the pod."""
    left_out: int = 0
    """Server pods that were not asked, because there are many."""


def compare_readings(before: LatencyReading, after: LatencyReading) -> LatencyReport | None:
    """Return where the time of a model's answers went; None: it has answered no request."""
    grown = _subtract_readings(before, after)
    seconds = after.at - before.at
    return _report(grown, seconds) or _report(after, None)


def read_routers(documents: Iterable[Counters], route: str, at: float) -> LatencyReading:
    """Return what router pods have counted of a model, with the requests by header."""
    answers: dict[tuple[str, Router], Latency] = {}
    all_answers: dict[Router, Latency] = {}
    clients: dict[Router, Latency] = {}

    for document in documents:
        router = (document.proxy, document.envoy_start)
        ours = [entry for entry in document.routes if entry.name == route]
        for revision in {entry.revision for entry in ours}:
            found = merge_latencies([it.latency for it in ours if it.revision == revision])
            if found is not None:
                answers[revision, router] = found

        merged = merge_latencies([entry.latency for entry in document.routes])
        if merged is not None and document.clients is not None:
            all_answers[router], clients[router] = merged, document.clients

    return LatencyReading(at, answers, all_answers, clients)


def read_server(samples: Sequence[Sample]) -> ServerTimes:
    """Return what a server's page says of a model."""
    sums = sum_by_name(samples)
    return ServerTimes(
        requests=sums.get(SUCCESS, 0.0),
        queue=sums.get(QUEUE_MICROS, 0.0),
        compute=sum(sums.get(name, 0.0) for name in COMPUTE_MICROS),
    )


def _subtract_readings(before: LatencyReading, after: LatencyReading) -> LatencyReading:
    """Return what came between two, of those who are in both."""
    return LatencyReading(
        after.at,
        _subtract_latencies(before.answers, after.answers),
        _subtract_latencies(before.all_answers, after.all_answers),
        _subtract_latencies(before.clients, after.clients),
        {
            key: _subtract_times(before.servers[key], late)
            for key, late in after.servers.items()
            if key in before.servers
        },
        after.left_out,
    )


def _subtract_latencies(
    before: Mapping[Key, Latency], after: Mapping[Key, Latency]
) -> dict[Key, Latency]:
    grown = {key: subtract_latency(late, before.get(key)) for key, late in after.items()}
    return {key: latency for key, latency in grown.items() if latency is not None}


def _subtract_times(early: ServerTimes, late: ServerTimes) -> ServerTimes:
    """A server that restarted meanwhile counts from 0 again, and then says nothing."""
    if late.requests < early.requests:
        return ServerTimes()
    return ServerTimes(
        late.requests - early.requests, late.queue - early.queue, late.compute - early.compute
    )


def _report(counted: LatencyReading, seconds: float | None) -> LatencyReport | None:
    parts = {}
    for revision in sorted({revision for revision, _ in counted.answers}):
        latency = merge_latencies([it for key, it in counted.answers.items() if key[0] == revision])
        servers = [it for key, it in counted.servers.items() if key[0] == revision]
        if latency is not None and any(latency.counts):
            parts[revision] = _find_parts(latency, servers)

    if not parts:
        return None
    return LatencyReport(seconds, parts, _find_outside(counted), counted.left_out)


def _find_parts(latency: Latency, servers: Sequence[ServerTimes]) -> LatencyParts:
    requests = sum(server.requests for server in servers)

    def mean_millis(micros: Iterable[float]) -> float | None:
        return sum(micros) / requests / MICROS_PER_MILLI if requests else None

    queue = mean_millis(server.queue for server in servers)
    compute = mean_millis(server.compute for server in servers)
    return LatencyParts(
        requests=sum(latency.counts),
        mean=max(_mean_millis(latency), (queue or 0.0) + (compute or 0.0)),
        median=_quantile_edge(latency, MEDIAN),
        far=_quantile_edge(latency, FAR),
        queue=queue,
        compute=compute,
    )


def _find_outside(counted: LatencyReading) -> float | None:
    """Return what clients wait beside the models, by both means: buckets tell none by itself."""
    clients = merge_latencies(list(counted.clients.values()))
    answers = merge_latencies(list(counted.all_answers.values()))
    if clients is None or answers is None or not any(clients.counts) or not any(answers.counts):
        return None
    return max(0.0, _mean_millis(clients) - _mean_millis(answers))


def _mean_millis(latency: Latency) -> float:
    """Return the mean, each answer taken for the middle of its bucket; the last has none."""
    edges = [0.0, *latency.edges_millis, latency.edges_millis[-1]]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    weighed = sum(middle * count for middle, count in zip(middles, latency.counts, strict=True))
    return weighed / sum(latency.counts)


def _quantile_edge(latency: Latency, share: float) -> float:
    """Return the upper edge of the bucket in which a share of the answers is reached."""
    wanted = share * sum(latency.counts)
    edges = [*latency.edges_millis, float("inf")]
    sums = accumulate(latency.counts)
    return next(edge for edge, seen in zip(edges, sums, strict=True) if seen >= wanted)
