"""What the documented defaults of others do on the same counters; neither looks at answers.

Flagger's second metric is the request duration: 500 ms at the 99th percentile. So an answer that
takes longer counts as one that failed, which says the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.climb import Ratios, climb_argo, climb_flagger
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.rollouts.climb import Ending, Result
from tests.contract.faults.trial import Measured
from tests.contract.faults.users import RATE

RUNS = 100
SEED = 11


@dataclass(frozen=True, slots=True)
class Peer:
    """A rule with its defaults."""

    name: str
    climb: Callable[[Ratios, np.random.Generator], Ending]
    counts_slow: bool
    """Whether the request duration is a metric of it."""
    full_seconds: float
    """Seconds of the whole traffic that a version gets before its promotion."""

    def promotes(self, measured: Measured) -> float:
        """Return in which share of the rollouts a version is promoted."""
        slow = measured.slow if self.counts_slow else 0.0
        return _share_promoted(self, max(measured.failed, slow))

    def count_wronged(self, measured: Measured) -> float:
        """Return how many users are answered wrongly before the promotion."""
        return self.full_seconds * RATE * measured.wrong


@cache
def _share_promoted(peer: Peer, bad: float) -> float:
    """Return the share for a version of which a share of requests is bad, and none of stable's."""
    rng = np.random.default_rng(SEED)
    ends = [peer.climb(Ratios(RATE, 0.0, bad), rng).result for _ in range(RUNS)]
    return sum(end is Result.PROMOTED for end in ends) / RUNS


def _flagger() -> Peer:
    rule = Flagger()
    weights = range(rule.step_weight, rule.max_weight + 1, rule.step_weight)
    return Peer(
        "Flagger",
        lambda ratios, rng: climb_flagger(rule, ratios, rng),
        counts_slow=True,
        full_seconds=rule.interval * sum(weights) / 100,
    )


def _argo() -> Peer:
    rule = Argo()
    return Peer(
        "Argo Rollouts",
        lambda ratios, rng: climb_argo(rule, ratios, rng),
        counts_slow=False,
        full_seconds=rule.pause * sum(rule.weights) / 100,
    )


FLAGGER, ARGO = _flagger(), _argo()
