"""Argo Rollouts: a measurement per interval, aborted when more than `failureLimit` have failed."""

from dataclasses import dataclass

import numpy as np

from tests.bench.analysis.peers.windows import every, first, window
from tests.bench.analysis.simulate import CANDIDATE, Run


@dataclass(frozen=True, slots=True)
class Argo:
    """The documented sample, unless said otherwise: ``result[0] >= 0.95`` every five minutes."""

    name: str = "Argo docs"
    min_success: float = 0.95
    failure_limit: int = 3
    interval: int = 300
    range: int = 15
    """The sample's irate looks at two scrapes only: 15 s."""
    weights: tuple[int, ...] = (20, 40, 60, 80)
    pause: int = 600

    def is_good(self, requests: int, errors: int) -> bool:
        """Return what the success condition says; NaN >= x is false, and so Failed."""
        return requests > 0 and requests - errors >= self.min_success * requests

    def stops(self, run: Run) -> int:
        """Return the tick of the abort at a fixed weight, -1 without one."""
        requests, errors = run.of(CANDIDATE)
        looks = every(self.interval, len(requests))
        seen, bad = window(requests, self.range)[looks], window(errors, self.range)[looks]
        failed = (seen == 0) | (seen - bad < self.min_success * seen)
        full = first(np.cumsum(failed) > self.failure_limit)
        return int(looks[full]) if full >= 0 else -1
