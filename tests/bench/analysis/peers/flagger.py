"""Flagger: every interval each metric is compared with a constant; failed checks are counted.

The count is over the whole analysis and never goes back; no data is a failed check; the count is
compared at the next interval, before the checks run, so a rollback comes one interval later.
"""

from dataclasses import dataclass

import numpy as np

from tests.bench.analysis.peers.windows import every, first, window
from tests.bench.analysis.simulate import CANDIDATE, Run


@dataclass(frozen=True, slots=True)
class Flagger:
    """The documented example, unless said otherwise: 99%, five failed checks, one minute."""

    name: str = "Flagger 99 %"
    min_success: float = 0.99
    threshold: int = 5
    interval: int = 60
    step_weight: int = 5
    max_weight: int = 50

    def is_good(self, requests: int, errors: int) -> bool:
        """Return whether one check passes; NaN is no success."""
        return requests > 0 and requests - errors >= self.min_success * requests

    def stops(self, run: Run) -> int:
        """Return the tick of the rollback at a fixed weight, -1 without one."""
        requests, errors = run.of(CANDIDATE)
        looks = every(self.interval, len(requests))
        seen, bad = window(requests, self.interval)[looks], window(errors, self.interval)[looks]
        failed = (seen == 0) | (seen - bad < self.min_success * seen)
        full = first(np.cumsum(failed) >= self.threshold)
        return int(looks[full + 1]) if 0 <= full < len(looks) - 1 else -1
