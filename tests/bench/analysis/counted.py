"""What the proxies would answer at each look: cumulative counters, late, missing, or anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from slipway.api.counters import Counters, Latency, RouteCounters, latency_edges

from tests.bench.analysis.arrivals import TICK, Counts
from tests.bench.analysis.simulate import PROXIES, STABLE, Run, bucket_shares

ROUTE = "digits"
REVISIONS = ("bbbbbbbb", "aaaaaaaa")
"""Candidate and stable."""
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
CLIENT_PATIENCE = 12
"""Ticks after which a client of a request that hangs goes away."""
PAST = 600
"""Seconds for which stable has been counted before the first look."""
REPLACED_AFTER = 300
EDGES = [float(edge) for edge in latency_edges()]


@dataclass(frozen=True, slots=True)
class Look:
    """One look."""

    tick: int
    at: datetime
    answers: tuple[Counters | None, ...]


def looks(run: Run, rng: np.random.Generator) -> Iterator[Look]:
    """Yield what each look of a run reads; the first is the baseline, before any request."""
    proxies = [_Proxy(run, number) for number in range(PROXIES)]
    silent = rng.random((run.scenario.ticks + 1, PROXIES)) < run.scenario.gaps
    late = run.scenario.lag // TICK
    for tick in range(run.scenario.ticks + 1):
        at = START + timedelta(seconds=tick * TICK)
        answers = tuple(
            None if silent[tick, number] and tick else proxy.counters(max(0, tick - late))
            for number, proxy in enumerate(proxies)
        )
        yield Look(tick, at, answers)


class _Proxy:
    """One router pod, and who comes after it."""

    def __init__(self, run: Run, number: int) -> None:
        self._restart = run.scenario.restart if number == 0 else None
        self._number = number
        buckets = np.zeros((2, len(EDGES) + 1), int)
        shares = bucket_shares(np.ones(()))
        buckets[STABLE] = np.rint(PAST * run.scenario.rps / PROXIES * shares)
        errors = np.rint(buckets.sum(1) * run.scenario.stable).astype(int)
        self._requests = _cumulated(run.requests[:, :, number], buckets.sum(1))
        self._errors = _cumulated(run.errors[:, :, number], errors)
        self._latency = _cumulated(run.latency[:, :, number], buckets)
        hanging = run.begun[:, :, number] - run.requests[:, :, number]
        held = _cumulated(hanging, np.zeros(2, int))
        gone = np.concatenate([np.zeros((CLIENT_PATIENCE, 2), int), held[:-CLIENT_PATIENCE]])
        self._active = held - gone

    def counters(self, tick: int) -> Counters:
        """Return the document that its agent serves at the end of a tick."""
        name, since, born = f"router-{'ab'[self._number]}", 0, -PAST
        if self._restart is not None and tick * TICK > self._restart:
            born = self._restart
            if tick * TICK > self._restart + REPLACED_AFTER:
                name, born = "router-c", self._restart + REPLACED_AFTER
            since = born // TICK

        requests = (self._requests[tick] - self._requests[since]).tolist()
        errors = (self._errors[tick] - self._errors[since]).tolist()
        latency = (self._latency[tick] - self._latency[since]).tolist()
        active = self._active[tick].tolist()

        routes = [
            RouteCounters.model_construct(
                name=ROUTE,
                revision=revision,
                pinned=False,
                requests=requests[index],
                errors=errors[index],
                resets=0,
                timeouts=0,
                client_errors=0,
                active=active[index],
                latency=Latency.model_construct(edges_millis=EDGES, counts=latency[index]),
            )
            for index, revision in enumerate(REVISIONS)
        ]

        return Counters.model_construct(
            proxy=name, envoy_start=_stamp(born), at=_stamp(tick * TICK), routes=routes
        )


def _stamp(seconds: int) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def _cumulated(per_tick: Counts, before: Counts) -> Counts:
    """Return what was counted by the end of each tick; the first entry is what was before."""
    made: Counts = np.concatenate([before[None], before + np.cumsum(per_tick, 0)])
    return made
