"""From the proxies' counters to what each revision answered since the last stored look.

`CounterBase` is what status remembers: the counters that all evidence so far includes. Every look
goes on where it ends, so a restart loses nothing, nothing counts twice, and what a proxy counted
before it was first seen never counts. A proxy that is away for a while delivers later; one that
restarted, or appears and was born after the base, delivers all that it has.

Requests count where they begin, so that being counted does not depend on the outcome: what is in
flight when a step begins belongs to it from the first.
"""

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from operator import add, mul
from typing import Any

from slipway.api.counters import Counters, Latency, RouteCounters, latency_edges
from slipway.api.modeldeployment import AnalysisMode
from slipway.api.times import from_wire, to_wire
from slipway.policy.analysis.metric_memory import (
    MOST_PARSED,
    RawState,
    decode_state,
    read_floats,
)
from slipway.policy.analysis.plan import Plan
from slipway.records import record, replace

SLOW_FLOOR_MILLIS = 25.0
"""Answers below it are never slow, whatever stable does."""
EDGE_SAMPLES = 100
"""Requests of stable that its quantiles must rest on before edges are chosen."""
QUANTILES = (0.9, 0.99)
FAR_SAMPLES = 10_000
"""Requests of stable that its p99.9 must rest on."""
FAR_QUANTILE = 0.999
LOST_AFTER = timedelta(seconds=60)
"""Into a step there is a memory, if none was lost."""
ROOM = 1450
"""Characters for the base: what is stored together with it has the rest of 2 KiB."""
FAILED, LOG_MILLIS, REFUSED, BEGUN, SENT, CAME_BACK, TIMED = 1, 2, 3, 4, 5, 6, 7
"""Columns of a row, behind the requests. `SENT` and `CAME_BACK` are messages of gRPC streams.
`TIMED` are the requests in the histogram, which Envoy fills once a second: it lags behind."""
FIXED = 8
"""Columns of a row before the slow ones."""
EARLIEST, BEFORE_TIMED = 3, 7
"""Columns that were there from the first version on, and before the requests in the histogram."""
ROWS = "h"
"""The key of the rows in a state."""
EARLIER_ROWS = {"r": BEFORE_TIMED, "n": EARLIEST}
"""Keys of earlier versions, with the columns that their rows had before the slow ones."""
UNKNOWN = -1
"""A column that an earlier version did not store: it begins to count now."""
MILLI = 1000
HISTOGRAM_END_MILLIS = float(latency_edges()[-1])
"""A p99 there is not known: it may be anything above."""
MOST_COUNT = 10**15
"""More is no count of requests; so much a float holds exactly."""

Row = tuple[int, ...]
"""Requests answered, errors, sum of the logarithm of milliseconds (in thousandths), requests that
the server refused, requests begun, messages sent and come back on streams, requests in the
histogram, slow by edge, slow by far edge."""
ProxyRows = tuple[int, Mapping[str, Row]]
"""Of one proxy: which life of Envoy, and the counters by revision."""


@record
class CounterBase:
    """Where the stored evidence ends."""

    candidate: str
    step: str
    at: datetime
    since: datetime
    """When the step's samples began to count."""
    born: datetime
    """The candidate's first look."""
    is_warm: bool = False
    edges: tuple[float, ...] = ()
    """Milliseconds; empty until stable has shown its quantiles."""
    p99: float = 0.0
    """Of stable, in milliseconds."""
    far: tuple[float, ...] | None = None
    """Milliseconds, around stable's p99.9; None until stable has shown it."""
    seen: Mapping[str, ProxyRows] = field(default_factory=dict)
    """By proxy."""
    active: tuple[int, int] = (0, 0)
    """In flight at that moment: of the candidate, of stable."""
    lost: int = 0
    """How often the memory was lost and restarted."""

    def dump(self) -> dict[str, object]:
        """Return the value for status; proxies beyond its size are new at each look."""
        raw: dict[str, object] = {
            "c": self.candidate,
            "s": self.step,
            "a": to_wire(self.at),
            "f": to_wire(self.since),
            "b": to_wire(self.born),
            "w": int(self.is_warm),
            "e": self.edges,
            "q": self.p99,
            "g": self.far,
            "i": self.active,
            "x": self.lost,
        }

        seen = {}
        room = ROOM - len(json.dumps(raw, separators=(",", ":")))
        for proxy, counted in self.seen.items():
            room -= len(json.dumps({proxy: counted}, separators=(",", ":")))
            if room > 0:
                seen[proxy] = counted
        return {**raw, ROWS: seen}


@lru_cache(MOST_PARSED)
def load_base(text: str | None) -> CounterBase | None:
    """Read a base; None where there is none, or it is unreadable."""
    raw = decode_state(text)
    try:
        at, since, born = (_read_moment(raw[key]) for key in ("a", "f", "b"))
        stored = _stored_rows(raw)
        seen = {
            proxy: (int(life), {name: _to_row(row) for name, row in rows.items()})
            for proxy, (life, rows) in stored.items()
        }
        of_candidate, of_stable = _to_row(raw["i"])  # type: ignore[arg-type]
        edges = read_floats(raw["e"])
        (p99,) = read_floats([raw["q"]])

        return CounterBase(
            candidate=str(raw["c"]),
            step=str(raw["s"]),
            at=at,
            since=since,
            born=born,
            is_warm=bool(raw["w"]),
            edges=edges,
            p99=p99,
            far=_to_edges(raw.get("g")),
            seen=seen,
            active=(of_candidate, of_stable),
            lost=int(raw["x"]),  # type: ignore[call-overload]
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _stored_rows(raw: RawState) -> dict[str, Any]:
    """Return the rows; those of an earlier version had fewer columns, and get the present form."""
    known = next((key for key in (ROWS, *EARLIER_ROWS) if key in raw), ROWS)
    rows: Any = raw[known]
    columns = EARLIER_ROWS.get(known, FIXED)
    unknown = [UNKNOWN] * (FIXED - columns)
    return {
        proxy: (
            life,
            {name: [*row[:columns], *unknown, *row[columns:]] for name, row in by_name.items()},
        )
        for proxy, (life, by_name) in rows.items()
    }


def _read_moment(text: object) -> datetime:
    """Read a moment in time; one without its zone is none."""
    moment = from_wire(str(text))
    if moment is None or moment.tzinfo is None:
        raise ValueError(text)
    return moment


def _to_edges(values: Any) -> tuple[float, ...] | None:
    return None if values is None else read_floats(values)


def _to_row(values: Iterable[int]) -> Row:
    return tuple(int(value) for value in read_floats(list(values)))


@record
class Flow:
    """What went into a revision and what came out of it, between the base and now."""

    answered: int = 0
    begun: int = 0
    sent: int = 0
    """Messages on its gRPC streams."""
    came_back: int = 0
    in_flight: int = 0
    """Now."""
    waiting: int = 0
    """In flight without any answer yet."""


@record
class CounterDelta:
    """What was begun and answered between the base and now."""

    candidate: Row
    stable: Row
    seconds: float
    is_new_step: bool
    """The step began: evidence of a step is empty."""
    active: tuple[int, int] = (0, 0)
    """In flight now: of the candidate, of stable."""
    is_gap: bool = False
    """The operator or its node stood still, or the clock was set: nobody knows how much time
    passed, and `seconds` are no more than a look may stand for."""
    waiting: tuple[int, int] = (0, 0)
    """Those in flight that got no answer yet, not even a stream's first message."""
    active_before: tuple[int, int] = (0, 0)
    """In flight at the base."""

    def flows(self) -> tuple[Flow, Flow]:
        """Return what went in and what came out: of the candidate, of stable."""
        of_candidate, of_stable = (
            Flow(row[0], row[BEGUN], row[SENT], row[CAME_BACK], active, waiting)
            for row, active, waiting in zip(
                (self.candidate, self.stable), self.active, self.waiting, strict=True
            )
        )
        return of_candidate, of_stable


def load_or_begin_base(text: str | None, plan: Plan, now: datetime) -> CounterBase:
    """Return the stored base of this candidate, or a new one; a lost one is counted."""
    known = load_base(text)
    if known is not None and known.candidate == plan.candidate:
        return known
    try:
        is_late = now - _read_moment(plan.step) > LOST_AFTER
    except ValueError:
        is_late = False
    lost = 1 if plan.number > 1 or is_late else 0
    return CounterBase(plan.candidate, "", now, now, now, lost=lost)


def advance_base(
    base: CounterBase, ticks: Sequence[Counters], plan: Plan, now: datetime
) -> tuple[CounterBase, CounterDelta]:
    """Return the base as of now, and what was counted since; nothing counts while it warms up."""
    # A proxy that answered twice would be counted twice.
    ticks = list({tick.proxy: tick for tick in ticks}.values())
    elapsed = (now - base.at).total_seconds()
    seconds = min(max(0.0, elapsed), plan.longest_look_seconds)
    is_gap = seconds != elapsed

    # Edges are chosen once: histograms with other edges could not be added up.
    edges, p99 = base.edges, base.p99
    if not edges:
        edges, p99 = slow_edges(ticks, plan)
    far = base.far
    if far is None and base.edges:
        far = far_edges(ticks, plan, above=edges[-1])
    counted = (*edges, *(far or ()))
    judged = [tick.judged_entries(plan.route) for tick in ticks]
    rows = {
        tick.proxy: (life_of_envoy(tick), _rows_of(entries, plan, counted))
        for tick, entries in zip(ticks, judged, strict=True)
    }

    # A look that begins a step, or ends the warm-up, only takes the counters down: what they show
    # was answered at the weight before, or while the candidate was cold.
    born = base.born
    if is_gap and not base.is_warm:
        warmed = (base.at - base.born).total_seconds()
        born = now - timedelta(seconds=min(max(0.0, warmed), plan.warm_up_seconds))
    is_warm = base.is_warm or (now - born).total_seconds() >= plan.warm_up_seconds
    is_new_step = base.step != plan.step
    restarts = is_new_step or (is_warm and not base.is_warm)
    of_candidate, of_stable = (
        [entry for entries in judged for entry in entries if entry.revision == name]
        for name in (plan.candidate, plan.stable)
    )
    active = (_in_flight(of_candidate), _in_flight(of_stable))
    waiting = (_without_answer(of_candidate), _without_answer(of_stable))
    width = FIXED + len(counted)
    candidate = stable = (0,) * width
    if restarts:
        candidate, stable = _in_flight_row(active[0], width), _in_flight_row(active[1], width)
    if is_warm and not restarts:
        for tick in ticks:
            gained = _gained_by_revision(base, tick, rows[tick.proxy])
            candidate = _add_rows(candidate, gained.get(plan.candidate, ()))
            stable = _add_rows(stable, gained.get(plan.stable, ()))

    after = replace(
        base,
        step=plan.step,
        at=now,
        since=now if restarts else min(base.since, now),
        born=min(born, now),
        is_warm=is_warm,
        edges=edges,
        p99=p99,
        far=far,
        seen=rows if restarts else {**base.seen, **_newest_rows(base, rows)},
        active=active,
    )
    return after, CounterDelta(
        candidate, stable, seconds, restarts, active, is_gap, waiting, base.active
    )


def life_of_envoy(tick: Counters) -> int:
    """Return which life of Envoy the counters are of: those of another begin anew."""
    return zlib.crc32(tick.envoy_start.encode(errors="replace"))


def _rows_of(
    entries: Iterable[RouteCounters], plan: Plan, edges: tuple[float, ...]
) -> dict[str, Row]:
    return {
        entry.revision: (
            to_count(entry.requests),
            to_count(entry.errors),
            log_millis(entry.latency),
            to_count(entry.client_errors if entry.refused is None else entry.refused),
            to_count(entry.requests_begun),
            to_count(entry.stream_requests),
            to_count(entry.stream_responses),
            to_count(sum(entry.latency.counts)),
            *(to_count(slow_requests(entry.latency, edge)) for edge in edges),
        )
        for entry in entries
        if entry.revision in {plan.candidate, plan.stable}
    }


def to_count(number: int) -> int:
    """Return the number as a count that can be calculated with, 0 to `MOST_COUNT`."""
    if 0 <= number <= MOST_COUNT:
        return number
    return MOST_COUNT if number > 0 else 0


def _newest_rows(base: CounterBase, rows: Mapping[str, ProxyRows]) -> dict[str, ProxyRows]:
    """Return the rows to go on from: an answer that is older than the last one moves nothing."""
    newest: dict[str, ProxyRows] = {}
    for proxy, (life, now) in rows.items():
        life_before, before = base.seen.get(proxy, (life, {}))
        known = before if life_before == life else {}
        newest[proxy] = (
            life,
            {
                name: known[name] if _is_stale(row, known.get(name, ())) else row
                for name, row in now.items()
            },
        )
    return newest


def _is_stale(now: Row, before: Row) -> bool:
    return bool(before) and is_older(now[0], before[0])


def is_older(now: int, before: int) -> bool:
    """Return whether a counter is older than the one before; one that was reset is far below."""
    return before // 2 < now < before


def _gained_by_revision(base: CounterBase, tick: Counters, now: ProxyRows) -> Mapping[str, Row]:
    life, rows = now
    before = base.seen.get(tick.proxy)
    if before is None:
        return rows if base.seen and _is_younger(tick, base.at) else {}
    if before[0] != life:
        return rows
    return {name: _subtract_rows(row, before[1].get(name, ())) for name, row in rows.items()}


def _is_younger(tick: Counters, moment: datetime) -> bool:
    try:
        return datetime.fromisoformat(tick.envoy_start) > moment
    except (ValueError, TypeError):
        return False


def _in_flight(entries: Iterable[RouteCounters]) -> int:
    return to_count(sum(entry.active for entry in entries))


def _without_answer(entries: Iterable[RouteCounters]) -> int:
    """Return at most how many in flight got no answer yet.

    A stream is answered with its first message, and stays in flight until its last. Requests that
    clients gave up were not answered either, so no more is known than the smaller number.
    """
    return to_count(
        sum(min(entry.active, max(0, entry.requests_begun - entry.requests)) for entry in entries)
    )


def _in_flight_row(active: int, width: int) -> Row:
    """Return the row of requests that have begun, and nothing more is known of them."""
    return (*(active if column == BEGUN else 0 for column in range(width)),)


def _add_rows(left: Row, right: Row) -> Row:
    return (*map(add, left, right), *left[len(right) :])


def _subtract_rows(now: Row, before: Row) -> Row:
    """Return what was added; a counter that went back far was reset, so all of it is new.

    A column that is new, like an edge just chosen, begins to count now.
    """
    if _is_stale(now, before):
        return (0,) * len(now)
    if not before or now[0] < before[0]:
        return now
    old = before[: len(now)] + now[len(before) :]
    return (
        now[0] - old[0],
        max(0, now[FAILED] - old[FAILED]),
        now[LOG_MILLIS] - old[LOG_MILLIS],
        *[
            a - b if b != UNKNOWN and a > b else 0
            for a, b in zip(now[EARLIEST:], old[EARLIEST:], strict=True)
        ],
    )


def slow_requests(latency: Latency, edge: float) -> int:
    """Return how many requests took longer than `edge` milliseconds."""
    return sum(latency.counts[bisect_right(latency.edges_millis, edge) :])


def log_millis(latency: Latency) -> int:
    """Return the sum of the logarithm of milliseconds, in thousandths, by the buckets' middles.

    Envoy's admin interface has buckets and no sums. Buckets grow by a quarter, so a middle is
    wrong by 11% at most, in both arms alike.
    """
    edges = latency.edges_millis
    try:
        total: float = sum(map(mul, latency.counts, _log_middles(tuple(edges))))
    except OverflowError:
        return 0
    return round(MILLI * max(-MOST_COUNT, min(total, MOST_COUNT)))


@lru_cache(64)
def _are_sound(edges: tuple[float, ...]) -> bool:
    """Return whether these are edges of a histogram: some, ascending, above 0."""
    return (
        edges[:1] > (0.0,)
        and edges[-1] <= MOST_COUNT
        and all(low < high for low, high in pairwise(edges))
    )


@lru_cache(64)
def _log_middles(edges: tuple[float, ...]) -> tuple[float, ...]:
    """Return the logarithm of each bucket's middle; routers share one list of edges."""
    if not _are_sound(edges):
        return ()
    logs = [math.log(edge) for edge in edges]
    between = ((low + high) / 2 for low, high in pairwise(logs))
    return (logs[0] - math.log(2), *between, logs[-1] + math.log(1.25))


def slow_edges(ticks: Iterable[Counters], plan: Plan) -> tuple[tuple[float, ...], float]:
    """Return the edges above which a request is slow, and stable's p99; none on few requests.

    They are stable's p90 and p99, rounded up to the histogram's edges and to 25 ms at least; where
    both are the same there is one. In mode Threshold it is the user's number.
    """
    if plan.recorded is not None and plan.recorded.slow_millis is not None:
        return (plan.recorded.slow_millis,), plan.recorded.slow_millis
    edges, totals = _stable_histogram(ticks, plan)
    if sum(totals) < EDGE_SAMPLES:
        return (), 0.0

    wanted = [_quantile_edge(edges, totals, share) for share in QUANTILES]
    tail = wanted[-1]
    floor = SLOW_FLOOR_MILLIS
    if plan.mode is AnalysisMode.THRESHOLD:
        wanted, floor = [0.0], plan.threshold.slow_millis

    chosen = [_edge_from(edges, max(value, floor)) for value in wanted]
    return tuple(sorted(set(chosen))), tail


def far_edges(ticks: Sequence[Counters], plan: Plan, *, above: float) -> tuple[float, ...] | None:
    """Return the edges of the bucket that holds stable's p99.9; None on too few requests.

    Above the lower one are the answers that are as slow as stable's slowest thousandth, above the
    upper one those that are slower than that. Edges that are not above `above` tell nothing new.
    """
    if plan.mode is AnalysisMode.THRESHOLD or plan.recorded is not None:
        return ()
    stable = (
        entry.requests
        for tick in ticks
        for entry in tick.judged_entries(plan.route)
        if entry.revision == plan.stable
    )
    if sum(stable) < FAR_SAMPLES:
        return None

    edges, totals = _stable_histogram(ticks, plan)
    if sum(totals) < FAR_SAMPLES:
        return None
    upper = _quantile_edge(edges, totals, FAR_QUANTILE)
    lower = edges[max(0, edges.index(upper) - 1)]
    return tuple(edge for edge in (lower, upper) if edge > above)


def _stable_histogram(ticks: Iterable[Counters], plan: Plan) -> tuple[list[float], list[int]]:
    """Return the edges and counts of stable's latencies, over all proxies with the same edges."""
    edges: list[float] = []
    totals: list[int] = []
    for tick in ticks:
        for entry in tick.judged_entries(plan.route):
            if entry.revision != plan.stable or not _are_sound(tuple(entry.latency.edges_millis)):
                continue
            edges = edges or list(entry.latency.edges_millis)
            totals = totals or [0] * len(entry.latency.counts)
            if len(totals) == len(entry.latency.counts):
                totals = [
                    a + to_count(b) for a, b in zip(totals, entry.latency.counts, strict=True)
                ]
    return edges, totals


def _quantile_edge(edges: Sequence[float], totals: Sequence[int], share: float) -> float:
    below = 0
    for edge, count in zip(edges, totals, strict=False):
        below += count
        if below >= share * sum(totals):
            return edge
    return edges[-1]


def _edge_from(edges: Sequence[float], millis: float) -> float:
    return next((edge for edge in edges if edge >= millis), edges[-1])
