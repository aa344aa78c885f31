"""What is counted of copies and pairs, by route; no I/O."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from slipway.api.counters import Latency, latency_edges
from slipway.api.modelroute import ShadowOutput
from slipway.api.pairs import (
    MOST_OUTPUTS,
    MOST_SAMPLES,
    SHORTEST_MILLIS,
    DifferenceSample,
    DroppedCopies,
    OutputAgreement,
    PairOutcomes,
    RouteCopies,
    RoutePairs,
    ratio_edges,
)
from slipway.api.shadow_orders import ShadowOrder
from slipway.api.times import to_wire
from slipway.comparer.pair import Verdict

RATIO_EDGES = ratio_edges()
LATENCY_EDGES = [float(edge) for edge in latency_edges()]
MOST_STABLES = 4
"""Stable revisions of one order that are told apart."""


class Drop(StrEnum):
    """Why a copy made no pair: the fields of `DroppedCopies`."""

    RATE = "rate"
    SIZE = "size"
    QUEUE = "queue"
    AGE = "age"
    STREAM = "stream"
    BROKEN = "broken"
    UNDECODABLE = "undecodable"
    UNREACHABLE = "unreachable"


@dataclass(slots=True)
class PairTally:
    """Pairs with one stable revision."""

    outcomes: dict[str, int] = field(default_factory=dict)
    agreed: int = 0
    disagreed: int = 0
    outputs: dict[str, list[int]] = field(default_factory=dict)
    ratios: list[int] = field(default_factory=lambda: [0] * (len(RATIO_EDGES) + 1))
    stable_latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES) + 1))
    candidate_latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_EDGES) + 1))
    samples: deque[DifferenceSample] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))

    def count(self, verdict: Verdict) -> None:
        """Count what a pair came to."""
        name = f"{verdict.stable}_{verdict.candidate}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        if verdict.agrees is None:
            return

        self.agreed += verdict.agrees
        self.disagreed += not verdict.agrees
        for output, agrees in verdict.agreement.items():
            if output in self.outputs or len(self.outputs) < MOST_OUTPUTS:
                self.outputs.setdefault(output, [0, 0])[not agrees] += 1

    def count_times(self, stable_micros: int, candidate_micros: int) -> None:
        """Count the times of a pair that both answered."""
        stable, candidate = stable_micros / 1000, candidate_micros / 1000
        self.stable_latency[bisect_left(LATENCY_EDGES, stable)] += 1
        self.candidate_latency[bisect_left(LATENCY_EDGES, candidate)] += 1
        ratio = max(candidate, SHORTEST_MILLIS) / max(stable, SHORTEST_MILLIS)
        self.ratios[bisect_left(RATIO_EDGES, ratio)] += 1


@dataclass(slots=True)
class RouteLedger:
    """One order's counts."""

    order: ShadowOrder
    since: str
    rules: Mapping[str, ShadowOutput]
    taken: int = 0
    active: int = 0
    dropped: dict[Drop, int] = field(default_factory=dict)
    tallies: dict[str, PairTally] = field(default_factory=dict)

    def begin(self) -> None:
        """Count a copy that begins."""
        self.taken += 1
        self.active += 1

    def drop(self, why: Drop) -> None:
        """Count a copy that makes no pair."""
        self.active -= 1
        self.dropped[why] = self.dropped.get(why, 0) + 1

    def settle(self, stable: str, verdict: Verdict) -> PairTally | None:
        """Count a pair, and return where its times and its sample belong."""
        if stable not in self.tallies and len(self.tallies) >= MOST_STABLES:
            self.drop(Drop.BROKEN)
            return None
        self.active -= 1
        tally = self.tallies.setdefault(stable, PairTally())
        tally.count(verdict)
        return tally

    def copies(self) -> RouteCopies:
        """Return the counts of copies as the page has them."""
        return RouteCopies(
            name=self.order.route,
            candidate=self.order.shadow.revision,
            since=self.since,
            taken=self.taken,
            active=self.active,
            dropped=DroppedCopies(**{str(why): count for why, count in self.dropped.items()}),
        )

    def pairs(self) -> list[RoutePairs]:
        """Return the counts of pairs as the page has them."""
        return [self._pairs_with(stable, tally) for stable, tally in sorted(self.tallies.items())]

    def _pairs_with(self, stable: str, tally: PairTally) -> RoutePairs:
        outputs = [
            OutputAgreement(name=name, agreed=agreed, disagreed=disagreed)
            for name, (agreed, disagreed) in tally.outputs.items()
        ]
        return RoutePairs(
            name=self.order.route,
            stable=stable,
            candidate=self.order.shadow.revision,
            since=self.since,
            outcomes=PairOutcomes(**tally.outcomes),
            agreed=tally.agreed,
            disagreed=tally.disagreed,
            outputs=outputs,
            ratios=tally.ratios,
            stable_latency=Latency(edges_millis=LATENCY_EDGES, counts=tally.stable_latency),
            candidate_latency=Latency(edges_millis=LATENCY_EDGES, counts=tally.candidate_latency),
            samples=list(tally.samples),
        )


class Ledger:
    """The counts of all orders."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._routes: dict[str, RouteLedger] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ordered."""
        return not self._routes

    def follow(self, orders: list[ShadowOrder]) -> None:
        """Take the newest orders: one for another candidate, or by other rules, begins anew."""
        before, self._routes = self._routes, {}
        for order in orders:
            known = before.get(order.route)
            if known is not None and _is_same_question(known.order, order):
                known.order = order
                self._routes[order.route] = known
                continue
            rules = {each.name: each for each in order.shadow.outputs}
            since = to_wire(self._now())
            self._routes[order.route] = RouteLedger(order, since, rules)

    def find(self, route: str) -> RouteLedger | None:
        """Return the counts of a route; None where nothing is ordered."""
        return self._routes.get(route)

    def copies(self) -> list[RouteCopies]:
        """Return all counts of copies."""
        return [each.copies() for each in self._routes.values()]

    def pairs(self) -> list[RoutePairs]:
        """Return all counts of pairs."""
        return [pairs for each in self._routes.values() for pairs in each.pairs()]


def _is_same_question(known: ShadowOrder, order: ShadowOrder) -> bool:
    one, other = known.shadow, order.shadow
    return (one.revision, one.outputs) == (other.revision, other.outputs)
