"""Users at some requests a minute: who answers them, and what router pods count of it."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from slipway.answers.decode import Undecodable
from slipway.api.counters import Counters, Latency, RouteCounters
from slipway.api.modelroute import Shadow
from slipway.api.pairs import DifferenceSample, Pairs
from slipway.api.shadow_orders import ShadowOrder
from slipway.api.times import to_wire
from slipway.comparer.ledger import Drop, Ledger
from slipway.comparer.pair import Outcome, Verdict, judge_pair

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.rollouts.behaviour import EDGES
from tests.contract.faults.serving import Answered
from tests.contract.faults.tape import Tape
from tests.fakes.pairs import FakeComparer

ROUTE = "digits"
"""The world's own, whatever the model is."""
RATE = 0.5
"""Requests in a second: below one, `shadow.mode: Auto` compares whether or not stable fails."""
CANDIDATE, STABLE = 0, 1
ENDS = (Outcome.OK, Outcome.REFUSED, Outcome.FAILED)
DIGEST = "sha256:" + "0" * 64


class Comparer(FakeComparer):
    """A router pod's comparer: the real ledger, fed with pairs that were really answered."""

    def __init__(self, proxy: str, now: datetime) -> None:
        super().__init__(proxy, at=now)
        self._now = now
        self._ledger = Ledger(lambda: self._now)

    def follow(self, stable: str, shadow: Shadow | None, now: datetime) -> None:
        """Take the route's order; None: there is none."""
        self._now = self.at = now
        orders = [] if shadow is None else [ShadowOrder(route=ROUTE, stable=stable, shadow=shadow)]
        self._ledger.follow(orders)

    @property
    def is_ordered(self) -> bool:
        """Whether pairs are compared."""
        return not self._ledger.is_empty

    def count(self, expected: Answered, found: Answered, stable: str) -> None:
        """Count a pair, as `slipway.comparer.takes` does."""
        book = self._ledger.find(ROUTE)
        assert book is not None
        book.begin()
        try:
            verdict = judge_pair(expected.part, found.part, book.rules)
        except Undecodable:
            book.drop(Drop.UNDECODABLE)
            return

        tally = book.settle(stable, verdict)
        assert tally is not None
        if verdict.stable is verdict.candidate is Outcome.OK:
            tally.count_times(expected.micros, found.micros)
        tally.samples.extend(self._sample(verdict))

    def _sample(self, verdict: Verdict) -> list[DifferenceSample]:
        found = verdict.difference
        if found is None:
            return []
        sample = DifferenceSample(
            input_digest=DIGEST,
            output=found.output,
            text=found.text,
            largest_difference=found.largest,
            at=to_wire(self._now),
        )
        return [sample]

    def page(self) -> Pairs:
        return Pairs(
            proxy=self.proxy,
            start=self.start,
            at=to_wire(self._now),
            copies=self._ledger.copies(),
            pairs=self._ledger.pairs(),
        )


class Users:
    """The requests of one rollout, from the tape's first on."""

    def __init__(self, tape: Tape, comparers: Mapping[str, Comparer], seed: int) -> None:
        self._tape, self._comparers = tape, comparers
        self._rng = np.random.default_rng(seed)
        self._asked = 0
        shape = (len(comparers), 2)
        self._ends = np.zeros((*shape, len(ENDS)), int)
        self._latency = np.zeros((*shape, len(EDGES) + 1), int)
        self.served: list[int] = []
        """Numbers of the requests that the candidate answered."""

    def pass_tick(self, weight: float, stable: str) -> None:
        """Let requests come for one tick, of which the candidate answers a share of `weight`.

        What `stable` answers is compared, where a comparer has an order for that.
        """
        comparers = list(self._comparers.values())
        for _ in range(self._rng.poisson(RATE * TICK)):
            number, self._asked = self._asked, self._asked + 1
            proxy = int(self._rng.integers(len(comparers)))
            is_candidate = bool(self._rng.random() < weight)
            if not is_candidate and comparers[proxy].is_ordered:
                comparers[proxy].count(*self._tape.pair(number), stable)
            self._count(
                proxy,
                self._tape.answer(number, is_candidate=is_candidate),
                is_candidate=is_candidate,
            )
            if is_candidate:
                self.served.append(number)

    def _count(self, proxy: int, answered: Answered, *, is_candidate: bool) -> None:
        role = CANDIDATE if is_candidate else STABLE
        self._ends[proxy, role, ENDS.index(answered.outcome)] += 1
        self._latency[proxy, role, int(np.searchsorted(EDGES, answered.micros / 1000))] += 1

    def counters(self, revisions: tuple[str, str], now: datetime) -> list[Counters]:
        """Return what every router pod has counted; the revisions are candidate and stable."""
        return [
            Counters.model_construct(
                proxy=name,
                envoy_start="1",
                at=to_wire(now),
                routes=[self._route(proxy, role, revisions[role]) for role in (CANDIDATE, STABLE)],
            )
            for proxy, name in enumerate(self._comparers)
        ]

    def _route(self, proxy: int, role: int, revision: str) -> RouteCounters:
        answered, refused, failed = self._ends[proxy, role].tolist()
        total = answered + refused + failed
        counts = self._latency[proxy, role].tolist()
        return RouteCounters.model_construct(
            name=ROUTE,
            revision=revision,
            pinned=False,
            requests=total,
            errors=failed,
            resets=0,
            timeouts=0,
            client_errors=refused,
            refused=refused,
            active=0,
            begun=total,
            latency=Latency.model_construct(edges_millis=EDGES.tolist(), counts=counts),
        )
