"""Pairs of a router pod: what users were answered beside what the shadow answered to the same.

The document that its agent serves at ``/v1/pairs``. The comparer, a process of its own beside the
agent, counts; the agent hands its newest page on, with what Envoy counts of the copies.
"""

from typing import Annotated

from pydantic import FailFast, Field

from slipway.api.base import ApiModel, Name, Revision, Time
from slipway.api.counters import Latency

PATH = "/v1/pairs"
MOST_SAMPLES = 20
"""Of each entry."""
MOST_OUTPUTS = 64
SHORTEST_MILLIS = 2.0
"""A shorter time counts as this long in a ratio: below it network and queues decide, not the model.
A version that answers in one and waits half of one for a batch is no fault."""
STEPS_PER_DOUBLING = 8
MOST_DOUBLINGS = 4


def ratio_edges() -> tuple[float, ...]:
    """Return the edges of the ratio's histogram: from 1/16 to 16 by steps of 2^(1/8), or 9%."""
    most = STEPS_PER_DOUBLING * MOST_DOUBLINGS
    return tuple(2.0 ** (step / STEPS_PER_DOUBLING) for step in range(-most, most + 1))


class PairOutcomes(ApiModel):
    """Pairs by what became of the request at stable, then at the candidate.

    Ok: answered. Refused: an error of the client's, HTTP 4xx and the gRPC codes that no server is
    judged by. Failed: an error of the server's, or no whole answer in time.
    """

    ok_ok: int = 0
    ok_refused: int = 0
    ok_failed: int = 0
    refused_ok: int = 0
    refused_refused: int = 0
    refused_failed: int = 0
    failed_ok: int = 0
    failed_refused: int = 0
    failed_failed: int = 0

    @property
    def total(self) -> int:
        """All pairs."""
        return self.same + self.candidate_worse + self.stable_worse

    @property
    def same(self) -> int:
        """Pairs with the same outcome at both."""
        return self.ok_ok + self.refused_refused + self.failed_failed

    @property
    def candidate_worse(self) -> int:
        """Pairs of which the candidate alone made an error, or the worse one."""
        return self.ok_refused + self.ok_failed + self.refused_failed

    @property
    def stable_worse(self) -> int:
        """Pairs of which stable alone made an error, or the worse one."""
        return self.refused_ok + self.failed_ok + self.failed_refused


class OutputAgreement(ApiModel):
    """What the comparison of one output came to, of pairs that both answered."""

    name: Annotated[str, Field(max_length=256)]
    agreed: int
    disagreed: int


class DroppedCopies(ApiModel):
    """Copies that made no pair, by reason."""

    rate: int = 0
    """More came in a second than the order allows."""
    size: int = 0
    """The request or the answer was larger than the order allows."""
    queue: int = 0
    """The comparer held as many copies, or bytes, as it may."""
    age: int = 0
    """The copy had waited too long to be sent to the candidate."""
    stream: int = 0
    """A stream, which has no one answer, or a request that is no inference."""
    broken: int = 0
    """The user's own request or answer broke off, or was not handed over whole."""
    undecodable: int = 0
    """Both answered, and one of the answers is none that can be compared."""
    unreachable: int = 0
    """No pod of the candidate took the copy."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(getattr(self, name) for name in DroppedCopies.model_fields)


class DifferenceSample(ApiModel):
    """One pair that differs; never its payload."""

    input_digest: Annotated[str, Field(max_length=71)]
    """sha256 of the request's body as it was sent, without its content coding."""
    output: Annotated[str, Field(max_length=256)] | None = None
    """Name of the output; None: the outcomes differ."""
    text: Annotated[str, Field(max_length=256)]
    """What differs, in the words of the golden set's check; no value of a text output."""
    largest_difference: float | None = None
    """Largest absolute difference of two numbers at the same place; None where there are none."""
    at: Time


class RoutePairs(ApiModel):
    """What was counted of one candidate beside one stable revision, behind one ModelRoute."""

    name: Name
    """Name of the ModelRoute."""
    stable: Revision
    """The revision that answered the users."""
    candidate: Revision
    since: Time
    """When counting began: a new order begins anew."""
    outcomes: PairOutcomes = PairOutcomes()
    agreed: int = 0
    """Pairs that both answered, and of which every compared output agreed."""
    disagreed: int = 0
    """Pairs that both answered, and of which some output did not agree."""
    outputs: Annotated[list[OutputAgreement], Field(max_length=MOST_OUTPUTS), FailFast()] = []
    ratios: Annotated[list[int], Field(max_length=128), FailFast()] = []
    """Pairs that both answered, by candidate's time over stable's, with the edges of
    `ratio_edges`; one more than there are edges. Each time is at least `SHORTEST_MILLIS`, and is
    from the last byte sent to the server to the first of its answer, as Envoy took it."""
    stable_latency: Latency
    candidate_latency: Latency
    """Both in milliseconds, of the same pairs."""
    samples: Annotated[list[DifferenceSample], Field(max_length=MOST_SAMPLES), FailFast()] = []
    """The newest ones that differ."""


class RouteCopies(ApiModel):
    """What became of the copies of one route's requests."""

    name: Name
    """Name of the ModelRoute."""
    candidate: Revision
    since: Time
    """As in the entries of its pairs."""
    taken: int = 0
    """Copies that the comparer began to receive."""
    active: int = 0
    """Of these, copies that are neither a pair nor dropped yet."""
    dropped: DroppedCopies = DroppedCopies()


class Pairs(ApiModel):
    """The answer of one router pod."""

    proxy: Name
    """Name of the pod."""
    start: Annotated[str, Field(max_length=64)] = ""
    """Changes when the comparer restarts, which resets its counters; empty: it has not run yet."""
    at: Time | None = None
    """When the comparer last wrote; None: never. It writes each second while it runs."""
    copies: Annotated[list[RouteCopies], FailFast()] = []
    pairs: Annotated[list[RoutePairs], FailFast()] = []
    envoy_start: Annotated[str, Field(max_length=64)] = ""
    """Changes when Envoy restarts, which resets `offered` and `lost`."""
    offered: dict[str, int] = {}
    """Copies that Envoy began to hand over, by ModelRoute. Those that no comparer has in its
    `taken` were dropped on the way: it was busy, stopped, or gone."""
    lost: dict[str, int] = {}
    """Copies that Envoy could not hand over, or whose handing over broke off, by ModelRoute: the
    comparer was not there, or as many as may be were under way."""

    def entries(self, route: str) -> list[RoutePairs]:
        """Return the pairs of one route."""
        return [entry for entry in self.pairs if entry.name == route]
