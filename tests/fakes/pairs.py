"""Comparers of router pods in memory: they count what a test lets stable and candidate answer."""

from dataclasses import dataclass, field
from datetime import datetime

from slipway.api.counters import Latency
from slipway.api.pairs import (
    DifferenceSample,
    DroppedCopies,
    PairOutcomes,
    Pairs,
    RouteCopies,
    RoutePairs,
    ratio_edges,
)
from slipway.api.reasons import Reason, Why
from slipway.api.times import to_wire

NO_LATENCY = Latency(edges_millis=[1.0], counts=[0, 0])


@dataclass(frozen=True, slots=True)
class Order:
    """What a comparer compares."""

    route: str
    stable: str
    candidate: str
    since: str


@dataclass
class FakeComparer:
    """One router pod's comparer; another order, or a restart, counts anew."""

    proxy: str
    start: str = "1"
    order: Order | None = None
    is_running: bool = True
    at: datetime | None = None
    """When it wrote last."""
    outcomes: dict[str, int] = field(default_factory=dict)
    agreed: int = 0
    disagreed: int = 0
    ratios: list[int] = field(default_factory=lambda: [0] * (len(ratio_edges()) + 1))
    dropped: int = 0
    samples: list[DifferenceSample] = field(default_factory=list)

    def write(self, now: datetime) -> None:
        """Write its page, where it runs."""
        if self.is_running:
            self.at = now

    def give(self, order: Order | None) -> None:
        """Compare by this order from now on; the same one as before changes nothing."""
        if order is not None and self.order is not None and _same(order, self.order):
            return
        self.forget()
        self.order = order

    def forget(self) -> None:
        """Count from nothing."""
        self.outcomes, self.agreed, self.disagreed, self.dropped = {}, 0, 0, 0
        self.ratios = [0] * (len(ratio_edges()) + 1)
        self.samples = []

    def restart(self) -> None:
        """End, as where the process was killed, and begin anew."""
        self.start = str(int(self.start) + 1)
        self.forget()

    def compare(
        self,
        pairs: int,
        *,
        worse: int = 0,
        better: int = 0,
        both: int = 0,
        differing: int = 0,
        ratio: float = 1.0,
    ) -> None:
        """Count so many pairs, of which so many end like this; `ratio` is of their times."""
        if self.order is None or not self.is_running:
            return
        answered = pairs - worse - better - both
        ends = {"ok_ok": answered, "ok_failed": worse, "failed_ok": better, "failed_failed": both}
        for name, count in ends.items():
            self.outcomes[name] = self.outcomes.get(name, 0) + count
        self.agreed += answered - differing
        self.disagreed += differing
        place = next((at for at, edge in enumerate(ratio_edges()) if edge >= ratio), -1)
        self.ratios[place] += answered
        if differing and self.at is not None:
            text = "'probabilities' at [0, 3] is 0.9, expected 0.1 ± 1e-06"
            digest = "sha256:" + "0" * 64
            self.samples = [
                DifferenceSample(
                    input_digest=digest,
                    output="probabilities",
                    text=text,
                    largest_difference=0.8,
                    at=to_wire(self.at),
                )
            ]

    def page(self) -> Pairs:
        """Return its newest page."""
        at = to_wire(self.at) if self.at is not None else None
        if self.order is None:
            return Pairs(proxy=self.proxy, start=self.start, at=at)
        order = self.order
        entry = RoutePairs(
            name=order.route,
            stable=order.stable,
            candidate=order.candidate,
            since=order.since,
            outcomes=PairOutcomes(**self.outcomes),
            agreed=self.agreed,
            disagreed=self.disagreed,
            ratios=list(self.ratios),
            stable_latency=NO_LATENCY,
            candidate_latency=NO_LATENCY,
            samples=list(self.samples),
        )
        copies = RouteCopies(
            name=order.route,
            candidate=order.candidate,
            since=order.since,
            taken=entry.outcomes.total + self.dropped,
            dropped=DroppedCopies(queue=self.dropped),
        )
        return Pairs(proxy=self.proxy, start=self.start, at=at, copies=[copies], pairs=[entry])


@dataclass
class FakePairs:
    """Fits `slipway.reconcile.ports.PairSource`."""

    comparers: dict[str, FakeComparer] = field(default_factory=dict)
    """By the address of a pod; a pod without one is older than pairs are."""

    async def read(self, address: str) -> Pairs | Why:
        comparer = self.comparers.get(address)
        if comparer is None:
            return Why(Reason.SERVER_ERROR, "answered HTTP 404")
        return comparer.page()


def _same(one: Order, other: Order) -> bool:
    return (one.route, one.stable, one.candidate) == (other.route, other.stable, other.candidate)
