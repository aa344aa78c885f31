"""Envoy's counters per route and revision, as `slipway.api.counters` defines them.

Each request counts once. Envoy's own sums would count some twice: a reset before the response is
also the 503 that the client got, or a retry that succeeded. So only the resets and timeouts beyond
such answers are added to the errors.

Envoy counts a request as completed when its response begins. What was begun is counted from the
other end: every attempt either got a connection, waits for one, failed to get one, was given up
while it waited, or found no endpoint; an attempt that is a retry is not a request of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from slipway.agent.admin import Stat
from slipway.agent.denials import read_denials, render_denials
from slipway.agent.pods import PodsByRevision
from slipway.api.counters import (
    GATEWAY_STATUS,
    JUDGED_GRPC_CODES,
    Counters,
    Latency,
    RouteCounters,
    latency_edges,
)
from slipway.api.protocol import Protocol
from slipway.api.times import to_wire
from slipway.render.envoy import CLIENTS_STAT, GRPC_SERVICE, GRPC_STREAM, ClusterKey

REFUSED_GRPC_CODES = frozenset({3, 5, 9, 11})
"""What a model server says of a request that it does not take."""
GRPC_OK = 0
_GRPC_DEADLINE, _GRPC_UNAVAILABLE = 4, 14
_ATTEMPTS = (
    "upstream_rq_total",
    "upstream_rq_pending_active",
    "upstream_rq_pending_failure_eject",
    "upstream_rq_cancelled",
    "upstream_cx_none_healthy",
)
"""One of these counts every attempt; an attempt that still waits is counted by a gauge."""
_STREAM = f"grpc.{GRPC_SERVICE}.{GRPC_STREAM}"


@dataclass(frozen=True, slots=True)
class ClusterTally:
    """One cluster's numbers."""

    requests: int
    errors: int
    resets: int
    timeouts: int
    client_errors: int
    refused: int
    active: int
    begun: int
    stream_requests: int
    stream_responses: int
    buckets: tuple[int, ...]

    def __add__(self, other: "ClusterTally") -> "ClusterTally":
        return ClusterTally(
            self.requests + other.requests,
            self.errors + other.errors,
            self.resets + other.resets,
            self.timeouts + other.timeouts,
            self.client_errors + other.client_errors,
            self.refused + other.refused,
            self.active + other.active,
            self.begun + other.begun,
            self.stream_requests + other.stream_requests,
            self.stream_responses + other.stream_responses,
            tuple(a + b for a, b in zip(self.buckets, other.buckets, strict=True)),
        )


def read_counters(
    proxy: str,
    start: str,
    at: datetime,
    clusters: Iterable[ClusterKey],
    stats: Sequence[Stat],
    *,
    pods: PodsByRevision,
) -> Counters:
    """Return the document that the agent serves."""
    values, histograms = _index_by_cluster(stats)
    tallies = [
        (key, _tally_cluster(key, values.get(key.name, {}), histograms)) for key in sorted(clusters)
    ]

    routes = []
    by_revision = groupby(
        sorted(tallies, key=lambda each: _group_key(each[0])), key=lambda each: _group_key(each[0])
    )
    for (route, revision, pinned), group in by_revision:
        tally = _sum_tallies(each for _, each in group)
        found = _route_counters(route, revision, tally, pinned=pinned)
        if not pinned and (route, revision) in pods:
            found = found.model_copy(update={"pods": pods[route, revision]})
        routes.append(found)

    return Counters(
        proxy=proxy,
        envoy_start=start,
        at=to_wire(at),
        routes=routes,
        clients=_to_latency(histograms.get(CLIENTS_STAT, _empty_buckets())),
        denied=read_denials(stats),
    )


def _group_key(key: ClusterKey) -> tuple[str, str, bool]:
    return key.route, key.revision, key.pinned


def _sum_tallies(tallies: Iterable[ClusterTally]) -> ClusterTally:
    total = ClusterTally(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, _empty_buckets())
    for each in tallies:
        total = total + each
    return total


def _route_counters(
    route: str, revision: str, tally: ClusterTally, *, pinned: bool
) -> RouteCounters:
    return RouteCounters(
        name=route,
        revision=revision,
        pinned=pinned,
        requests=tally.requests,
        errors=tally.errors,
        resets=tally.resets,
        timeouts=tally.timeouts,
        client_errors=tally.client_errors,
        refused=tally.refused,
        active=tally.active,
        begun=tally.begun,
        stream_requests=tally.stream_requests,
        stream_responses=tally.stream_responses,
        latency=_to_latency(tally.buckets),
    )


def _tally_cluster(
    key: ClusterKey, values: Mapping[str, int], histograms: Mapping[str, tuple[int, ...]]
) -> ClusterTally:
    def value(name: str) -> int:
        return values.get(name, 0)

    resets = value("upstream_rq_rx_reset") + value("upstream_cx_destroy_remote_with_active_rq")
    timeouts = value("upstream_rq_timeout")

    if key.protocol is Protocol.GRPC:
        codes = _count_grpc_codes(values)
        failed = sum(count for code, count in codes.items() if code in JUDGED_GRPC_CODES)
        by_client = sum(codes.values()) - failed - codes[GRPC_OK]
        refused = sum(count for code, count in codes.items() if code in REFUSED_GRPC_CODES)
        unreached, late = codes[_GRPC_UNAVAILABLE], codes[_GRPC_DEADLINE]
    else:
        failed, by_client = value("upstream_rq_5xx"), value("upstream_rq_4xx")
        refused = by_client - sum(value(f"upstream_rq_{status}") for status in GATEWAY_STATUS)
        unreached, late = value("upstream_rq_503"), value("upstream_rq_504")

    # Resets and timeouts that no answer has shown as an error yet.
    unseen = max(0, resets - unreached - value("upstream_rq_retry")) + max(0, timeouts - late)
    return ClusterTally(
        requests=value("upstream_rq_completed"),
        errors=failed + unseen,
        resets=resets,
        timeouts=timeouts,
        client_errors=by_client,
        refused=max(0, refused),
        active=value("upstream_rq_active") + value("upstream_rq_pending_active"),
        begun=max(0, sum(map(value, _ATTEMPTS)) - value("upstream_rq_retry")),
        stream_requests=value(f"{_STREAM}.request_message_count"),
        stream_responses=value(f"{_STREAM}.response_message_count"),
        buckets=histograms.get(f"cluster.{key.name}.upstream_rq_time", _empty_buckets()),
    )


def _count_grpc_codes(values: Mapping[str, int]) -> Counter[int]:
    """Sum over the methods of ``grpc.<service>.<method>.<status>``."""
    start = f"grpc.{GRPC_SERVICE}."
    codes: Counter[int] = Counter()
    for name, count in values.items():
        if name.startswith(start):
            last = name.rpartition(".")[2]
            if last.isdigit():
                codes[int(last)] += count
    return codes


def _index_by_cluster(
    stats: Sequence[Stat],
) -> tuple[dict[str, dict[str, int]], dict[str, tuple[int, ...]]]:
    """Return the values by cluster and name, and the histograms by their whole name."""
    values: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for stat in stats:
        if isinstance(stat.get("value"), int):
            kind, cluster, name = stat["name"].split(".", 2)
            if kind == "cluster":
                values[cluster][name] = stat["value"]

    histograms = {
        histogram["name"]: _read_buckets(histogram["buckets"])
        for stat in stats
        if isinstance(stat.get("histograms"), list)
        for histogram in stat["histograms"]
    }
    return values, histograms


def _read_buckets(found: Sequence[Mapping[str, int]]) -> tuple[int, ...]:
    """Envoy's last edge is far above ours: its bucket is our last one, which has no edge."""
    counts = {bucket["upper_bound"]: bucket["cumulative"] for bucket in found}
    inside = [counts.pop(edge, 0) for edge in latency_edges()]
    return (*inside, sum(counts.values()))


def _to_latency(buckets: Sequence[int]) -> Latency:
    edges = [float(edge) for edge in latency_edges()]
    return Latency(edges_millis=edges, counts=list(buckets))


def _empty_buckets() -> tuple[int, ...]:
    return (0,) * (len(latency_edges()) + 1)


def render_metrics(counters: Counters) -> str:
    """Return the same numbers in Prometheus' text format."""
    lines = []
    for name, help_text, kind in _METRICS:
        lines += [f"# HELP {_PREFIX}{name} {help_text}", f"# TYPE {_PREFIX}{name} {kind}"]
        for each in counters.routes:
            lines += _render_samples(name, each)
    if counters.clients is not None:
        lines += _render_clients(counters.clients)
    lines += render_denials(counters.denied, _PREFIX)
    return "\n".join(lines) + "\n"


_PREFIX = "slipway_router_"
_METRICS = (
    ("requests_total", "Answered requests.", "counter"),
    ("requests_begun_total", "Requests begun.", "counter"),
    ("errors_total", "Requests that failed by fault of the server.", "counter"),
    ("client_errors_total", "Requests that failed by fault of the client.", "counter"),
    ("refused_total", "Of these, requests that the model server did not take.", "counter"),
    ("resets_total", "Streams and connections that the server broke.", "counter"),
    ("timeouts_total", "Requests that took longer than the route allows.", "counter"),
    ("active_requests", "Requests in flight.", "gauge"),
    ("stream_requests_total", "Messages that clients sent on gRPC streams.", "counter"),
    ("stream_responses_total", "Messages that came back on gRPC streams.", "counter"),
    ("latency_seconds", "Time from the request to the end of the response.", "histogram"),
)


def _render_samples(name: str, route: RouteCounters) -> list[str]:
    pinned = str(route.pinned).lower()
    labels = f'route="{route.name}",revision="{route.revision}",pinned="{pinned}"'
    if name == "latency_seconds":
        return _render_histogram(name, labels, route.latency)

    value = {
        "requests_total": route.requests,
        "errors_total": route.errors,
        "client_errors_total": route.client_errors,
        "refused_total": route.refused or 0,
        "resets_total": route.resets,
        "timeouts_total": route.timeouts,
        "active_requests": route.active,
        "requests_begun_total": route.requests_begun,
        "stream_requests_total": route.stream_requests,
        "stream_responses_total": route.stream_responses,
    }[name]
    return [f"{_PREFIX}{name}{{{labels}}} {value}"]


def _render_clients(latency: Latency) -> list[str]:
    """Return how long clients waited: of no route, since Envoy counts it for all together."""
    name = "client_latency_seconds"
    help_text = "Time from the first byte of a request to the last of its answer, over all routes."
    return [
        f"# HELP {_PREFIX}{name} {help_text}",
        f"# TYPE {_PREFIX}{name} histogram",
        *_render_histogram(name, "", latency),
    ]


def _render_histogram(name: str, labels: str, latency: Latency) -> list[str]:
    lines, total = [], 0
    edges = [*(f"{edge / 1000:g}" for edge in latency.edges_millis), "+Inf"]
    before = f"{labels}," if labels else ""
    for edge, count in zip(edges, latency.counts, strict=True):
        total += count
        lines.append(f'{_PREFIX}{name}_bucket{{{before}le="{edge}"}} {total}')
    return [*lines, f"{_PREFIX}{name}_count{f'{{{labels}}}' if labels else ''} {total}"]
