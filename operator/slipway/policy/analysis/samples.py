"""From the proxies' counters to what each revision answered since the step began.

The memory is a pair that belongs together: sums so far, and the counters that they include. It is
stored in status, so whoever reads it goes on where it ends: a restart loses nothing, and what a
proxy counted before it was first seen never counts.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from slipway.api.counters import Counters, Latency, RouteCounters

SLOWER = 1.25
SLOW_FLOOR_MILLIS = 25.0
EDGE_SAMPLES = 30
"""Requests of stable that its p99 must rest on before an edge is chosen."""

Triple = tuple[int, int, int]
"""Requests, errors, slow requests."""
NOTHING: Triple = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """Evidence of one step so far."""

    step: str
    """Names the step: other memory is thrown away."""
    edge: float | None = None
    """Requests above it are slow, in milliseconds; None until stable has shown its p99."""
    seen: dict[str, tuple[str, dict[str, Triple]]] = field(default_factory=dict)
    """By proxy: Envoy's start, and the counters by revision that `sums` include."""
    sums: dict[str, Triple] = field(default_factory=dict)

    def dump(self) -> str:
        """Return the text for status, below 2 KiB for two revisions behind eight proxies."""
        return json.dumps(
            {"step": self.step, "edge": self.edge, "seen": self.seen, "sums": self.sums},
            separators=(",", ":"),
        )


def load(text: str | None, step: str, edge: float | None = None) -> Memory:
    """Read the memory; of another step, or unreadable, it is empty. The edge outlives steps."""
    try:
        raw = json.loads(text or "{}")
        kept = raw.get("edge") if raw else edge
        if raw.get("step") != step:
            return Memory(step=step, edge=kept)
        seen = {
            proxy: (start, {name: _triple(counts) for name, counts in counters.items()})
            for proxy, (start, counters) in raw["seen"].items()
        }
        sums = {name: _triple(counts) for name, counts in raw["sums"].items()}
        return Memory(step=step, edge=kept, seen=seen, sums=sums)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Memory(step=step, edge=edge)


def _triple(counts: Sequence[int]) -> Triple:
    requests, errors, slow = counts
    return int(requests), int(errors), int(slow)


def advance(memory: Memory, ticks: Iterable[Counters], route: str, stable: str) -> Memory:
    """Return the memory with what the proxies counted since it was made."""
    ticks = tuple(ticks)
    edge = memory.edge or slow_edge(ticks, route, stable)
    if edge != memory.edge:
        memory = Memory(step=memory.step, edge=edge)
    seen, sums = dict(memory.seen), dict(memory.sums)
    for tick in ticks:
        counts = _counts(tick, route, edge)
        start, before = seen.get(tick.proxy, ("", {}))
        if start == tick.envoy_start:
            for name, now in counts.items():
                sums[name] = _add(sums.get(name, NOTHING), _less(now, before.get(name, NOTHING)))
        elif start:
            for name, now in counts.items():
                sums[name] = _add(sums.get(name, NOTHING), now)
        seen[tick.proxy] = (tick.envoy_start, counts)
    return Memory(step=memory.step, edge=edge, seen=seen, sums=sums)


def _counts(tick: Counters, route: str, edge: float | None) -> dict[str, Triple]:
    return {
        entry.revision: (entry.requests, entry.errors, slow_requests(entry.latency, edge))
        for entry in _judged(tick, route)
    }


def _judged(tick: Counters, route: str) -> list[RouteCounters]:
    return [entry for entry in tick.routes if entry.name == route and not entry.pinned]


def _add(left: Triple, right: Triple) -> Triple:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def _less(now: Triple, before: Triple) -> Triple:
    """Return what was added; a counter that went back was reset, so all of it is new."""
    if now[0] < before[0]:
        return now
    return now[0] - before[0], max(0, now[1] - before[1]), max(0, now[2] - before[2])


def slow_requests(latency: Latency, edge: float | None) -> int:
    """Return how many requests took longer than `edge` milliseconds."""
    if edge is None:
        return 0
    upper = [*latency.edges_millis, float("inf")]
    return sum(count for limit, count in zip(upper, latency.counts, strict=False) if limit > edge)


def slow_edge(ticks: Iterable[Counters], route: str, stable: str) -> float | None:
    """Return the smallest edge ≥ max(1.25 · stable's p99, 25 ms); None on too few requests."""
    edges: list[float] = []
    totals: list[int] = []
    for tick in ticks:
        for entry in _judged(tick, route):
            if entry.revision != stable:
                continue
            edges = edges or list(entry.latency.edges_millis)
            totals = totals or [0] * len(entry.latency.counts)
            totals = [a + b for a, b in zip(totals, entry.latency.counts, strict=True)]
    if sum(totals) < EDGE_SAMPLES:
        return None
    p99, below = edges[-1], 0
    for edge, count in zip(edges, totals, strict=False):
        below += count
        if below >= 0.99 * sum(totals):
            p99 = edge
            break
    bound = max(SLOWER * p99, SLOW_FLOOR_MILLIS)
    return next((edge for edge in edges if edge >= bound), edges[-1])
