"""A service behind two router pods: requests begin, are in flight, and end; all of it is counted.

A tick is the time between two looks. What begins in it is drawn by revision, pod and router pod,
with the fate of every request; what ends in a later tick waits until then.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from slipway.api.counters import Counters, Latency, PodCounters, RouteCounters
from slipway.api.times import to_wire

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.rollouts.behaviour import (
    BUCKETS,
    EDGES,
    ENDS,
    Behaviour,
    End,
    Fates,
    fates,
)
from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.scenario import LOAD_MEMORY, LOAD_SIGMA

CANDIDATE, STABLE = 0, 1
PROXIES = 2
AHEAD = 64
"""Ticks that a request may be in flight before it ends."""
LOAD_GRID = np.log(1.05)
"""The load's factor on all latencies is rounded to this: fates are drawn from few tables."""
ROUTE = "digits"
P99 = 2.326
"""Standard deviations to the 99th percentile."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Pods of a revision that behave alike."""

    role: int
    share: float
    """Of the revision's requests."""
    is_bad: bool
    """As the case says of the candidate; else as stable."""


def arms_of(case: Case) -> tuple[Arm, ...]:
    """Return both revisions by pods that behave alike."""
    bad, pods = case.bad_pods or (1, 1)
    of_candidate = [Arm(CANDIDATE, 1 / pods, number < bad) for number in range(pods)]
    return (*of_candidate, *(Arm(STABLE, 1 / pods, False) for _ in range(pods)))


class Service:
    """The requests of one rollout."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.case, self.rng = case, rng
        self.arms = arms_of(case)
        shape = (len(self.arms), PROXIES)
        self.begun = np.zeros(shape, int)
        self.ended = np.zeros((*shape, len(ENDS), BUCKETS), int)
        self.open = np.zeros(shape, int)
        """Requests that never end."""
        self.streams = np.zeros(shape, int)
        """Streams that have begun, and are answered."""
        self.messages = np.zeros((*shape, 2))
        """On streams: from clients, and from servers."""
        self.harmed = 0.0
        self._ahead = np.zeros((AHEAD, *shape, len(ENDS), BUCKETS), int)
        self._shares = np.array([arm.share for arm in self.arms])
        self._born = ["1"] * PROXIES
        self._tick, self._load = 0, float(rng.standard_normal()) * LOAD_SIGMA
        self._coming = case.requests_per_tick(rng)
        self._first = 0
        self._told: deque[list[Counters]] = deque(maxlen=1 + case.lag // TICK)
        """Answers at the last looks, the oldest first: what is late is heard that much later."""
        self._asked: tuple[int, tuple[str, str]] | None = None
        self._heard: list[Counters | None] = []
        """What was answered when it was asked last: all of one look see the same."""

    def begin(self) -> None:
        """Let the first weight be in force: seconds count from here, and nothing is in flight."""
        self._first = self._tick

    def remember_past(self, seconds: int) -> None:
        """Count what stable answered before; a pod of the candidate has seen nothing."""
        done = fates(self.case.stable, 1.0, self.case.timeout)
        for index, arm in enumerate(self.arms):
            if arm.role == STABLE:
                whole = seconds * self.case.rps * arm.share / PROXIES
                counts = np.rint(whole * done.chances[:-1]).astype(int)
                for proxy in range(PROXIES):
                    _count(self.ended[index, proxy], (done.ends, done.buckets), counts)
                self.begun[index] += int(counts.sum())

    @property
    def at(self) -> float:
        """Seconds since the first weight."""
        return float((self._tick - self._first) * TICK)

    def pass_tick(self, weight: float, baking: float | None) -> bool:
        """Let requests come for one tick; return whether anything of the candidate changed.

        `weight` is the candidate's share, `baking` how many seconds ago the bake began.
        """
        case, at = self.case, self.at
        self._load = LOAD_MEMORY * self._load + float(
            self.rng.standard_normal() * LOAD_SIGMA * np.sqrt(1 - LOAD_MEMORY**2)
        )
        factor = float(np.exp(LOAD_GRID * round(self._load / LOAD_GRID)))

        is_stopped = case.stops is not None and case.stops[0] <= at < case.stops[1]
        coming = 0 if is_stopped else int(self._coming[self._tick % len(self._coming)])
        of_role = self.rng.multinomial(coming, [weight, 1 - weight])
        bad = case.behaviour_of_candidate(at, baking)
        slow = slow_millis(case)
        changed = False

        for index, arm in enumerate(self.arms):
            behaviour = bad if arm.is_bad else case.stable
            share = self._shares[index] / self._left(index)
            begun = self.rng.binomial(of_role[arm.role], min(1.0, share))
            of_role[arm.role] -= begun
            changed |= arm.role == CANDIDATE and begun > 0
            if arm.is_bad:
                self.harmed += begun * max(0.0, behaviour.harm(slow) - case.stable.harm(slow))
            self._begin_requests(index, begun, behaviour, factor)
        self._keep_one_open(at)

        now = self._ahead[self._tick % AHEAD]
        changed |= bool(now[: self._candidates].any())
        self.ended += now
        now[:] = 0
        self._exchange_messages()
        self._tick += 1
        if case.resets and self.at % case.resets < TICK:
            self._replace_proxy()
        return changed

    @property
    def _candidates(self) -> int:
        return sum(arm.role == CANDIDATE for arm in self.arms)

    def _left(self, index: int) -> float:
        """Return which share of a revision's requests the pods before this one leave."""
        role = self.arms[index].role
        before = (arm.share for arm in self.arms[:index] if arm.role == role)
        return max(1e-9, 1 - sum(before))

    def _begin_requests(self, index: int, count: int, behaviour: Behaviour, factor: float) -> None:
        by_proxy = self.rng.multinomial(count, [1 / PROXIES] * PROXIES)
        self.begun[index] += by_proxy
        outage = self.case.outage
        if outage is not None:
            during = self.rng.binomial(by_proxy, outage.share_of_tick(self.at))
            table = fates(outage.behaviour, factor, self.case.timeout)
            self._draw_fates(index, during, table)
            by_proxy = by_proxy - during
        self._draw_fates(index, by_proxy, fates(behaviour, factor, self.case.timeout))

    def _draw_fates(self, index: int, by_proxy: NDArray[np.int64], table: Fates) -> None:
        drawn = self.rng.multinomial(by_proxy, table.chances)
        self.open[index] += drawn[:, -1]
        self.streams[index] += drawn[:, :-1][:, table.ends == End.STREAMED].sum(1)
        later = self.rng.binomial(drawn[:, :-1], table.later)
        soon = drawn[:, :-1] - later

        for number, ticks in ((soon, table.ticks), (later, table.ticks + 1)):
            proxy, fate = np.nonzero(number)
            moment = (self._tick + np.minimum(ticks[fate], AHEAD - 1)) % AHEAD
            arm = np.full(len(fate), index)
            where = (moment, arm, proxy, table.ends[fate], table.buckets[fate])
            _count(self._ahead, where, number[proxy, fate])

    def _keep_one_open(self, at: float) -> None:
        if self.case.stops is None:
            return
        begin, end = self.case.stops
        self.begun[0, 0] += at == begin
        self.open[0, 0] = int(begin <= at < end)
        self.ended[0, 0, End.ANSWERED, -1] += at == end

    def _exchange_messages(self) -> None:
        rate = max(kind.messages for kind in self.case.stable.kinds)
        answered = self.streams - self.ended[:, :, End.STREAMED].sum(2)
        self.messages[:, :, 0] += TICK * rate * (answered + self.open)
        self.messages[:, :, 1] += TICK * rate * answered

    def _replace_proxy(self) -> None:
        """Another router pod comes for the first one: its counters and requests are gone."""
        self._born[0] = str(self._tick)
        for counts in (self.begun, self.open, self.streams, self.messages, self.ended):
            counts[:, 0] = 0
        self._ahead[:, :, 0] = 0

    # ── what the router counts ──

    def answers(
        self, names: tuple[str, ...], revisions: tuple[str, str], now: datetime
    ) -> list[Counters | None]:
        """Return the counters of every router pod; None: it does not answer.

        `revisions` are those of the candidate and of stable. A look reads once, however often it
        is asked.
        """
        silent = self.rng.random(PROXIES) < self.case.gaps
        asked = (self._tick, revisions)
        if asked != self._asked:
            told = [
                self._counters(number, name, revisions, now) for number, name in enumerate(names)
            ]
            self._told.append(told)
            late = enumerate(self._told[0])
            self._asked = asked
            self._heard = [None if silent[number] else item for number, item in late]
        return self._heard

    def _counters(
        self, proxy: int, name: str, revisions: tuple[str, str], now: datetime
    ) -> Counters:
        return Counters.model_construct(
            proxy=name,
            envoy_start=self._born[proxy],
            at=to_wire(now),
            routes=[
                self._route_counters(proxy, role, revisions[role]) for role in (CANDIDATE, STABLE)
            ],
        )

    def _route_counters(self, proxy: int, role: int, revision: str) -> RouteCounters:
        mine = slice(0, self._candidates) if role == CANDIDATE else slice(self._candidates, None)
        ended = self.ended[mine, proxy].sum(0)
        ends = ended.sum(1).tolist()
        begun, streams = int(self.begun[mine, proxy].sum()), int(self.streams[mine, proxy].sum())
        sent, answered = self.messages[mine, proxy].sum(0).astype(int).tolist()
        return RouteCounters.model_construct(
            name=ROUTE,
            revision=revision,
            pinned=False,
            requests=sum(ends) - ends[End.STREAMED] + streams,
            errors=ends[End.FAILED] + ends[End.TIMED_OUT],
            resets=0,
            timeouts=ends[End.TIMED_OUT],
            client_errors=ends[End.REFUSED],
            refused=ends[End.REFUSED],
            active=begun - sum(ends),
            begun=begun,
            stream_requests=sent,
            stream_responses=answered,
            latency=Latency.model_construct(edges_millis=EDGE_LIST, counts=ended.sum(0).tolist()),
            pods=self._pod_counters(proxy, role) if self.case.bad_pods else None,
        )

    def _pod_counters(self, proxy: int, role: int) -> list[PodCounters]:
        return [
            PodCounters.model_construct(
                address=f"10.0.{role}.{number}",
                requests=int(self.begun[number, proxy]),
                errors=int(self.ended[number, proxy, [End.FAILED, End.TIMED_OUT]].sum()),
            )
            for number, arm in enumerate(self.arms)
            if arm.role == role
        ]


EDGE_LIST = [float(edge) for edge in EDGES]


def _count(
    counts: NDArray[np.int64], where: tuple[NDArray[np.int64], ...], values: NDArray[np.int64]
) -> None:
    """Add values at places, of which one may be named several times; `counts` is contiguous."""
    np.add.at(counts.reshape(-1), np.ravel_multi_index(where, counts.shape), values)


def slow_millis(case: Case) -> float:
    """Return the p99 of stable's most frequent requests: what takes longer harms a client."""
    typical = max(case.stable.kinds, key=lambda kind: kind.share)
    return typical.median_millis * float(np.exp(P99 * typical.sigma))
