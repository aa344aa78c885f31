"""Metrics beside the router's two: what an admin's providers would read, all of them alike."""

from collections.abc import Mapping

import numpy as np
from slipway.policy.analysis.inputs import Count, Counted, Reading, Sum, Summed, Valued
from slipway.policy.analysis.plan import MetricPlan

from tests.bench.analysis.simulate import CANDIDATE, STABLE, Run, mean_delay

SHARES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Of requests, each a counter pair."""
SUMS = 2
VALUES = 2
VALUE_NOISE = 0.1
INCREASE = 0.25


class Extras:
    """Series in which candidate and stable are the same."""

    def __init__(self, run: Run, rng: np.random.Generator) -> None:
        self.count = max(0, run.scenario.metrics - 2)
        requests = run.requests.sum(2)
        self._requests = np.cumsum(requests, 0)
        self._bad = [np.cumsum(rng.binomial(requests, share), 0) for share in SHARES]
        delay = np.ones(requests.shape)
        self._sums = [
            np.cumsum(np.nan_to_num(mean_delay(rng, requests, delay)) * requests, 0)
            for _ in range(SUMS)
        ]
        noise = rng.standard_normal((VALUES, *requests.shape))
        self._values = np.exp(VALUE_NOISE * noise)

    @property
    def metrics(self) -> tuple[MetricPlan, ...]:
        """What the plan names."""
        names = [f"share-{number}" for number in range(len(SHARES))]
        names += [f"sum-{number}" for number in range(SUMS)]
        names += [f"value-{number}" for number in range(VALUES)]
        return tuple(MetricPlan(name, max_increase=INCREASE) for name in names[: self.count])

    def readings(self, tick: int) -> Mapping[str, Reading]:
        """Return what is read at the end of a tick."""
        if not self.count or tick < 0:
            return {}

        read: dict[str, Reading] = {
            f"share-{number}": self._share(number, tick) for number in range(len(SHARES))
        }

        for number, sums in enumerate(self._sums):
            read[f"sum-{number}"] = Summed(
                *(
                    {"pod": Sum(int(self._requests[tick, role]), float(sums[tick, role]))}
                    for role in (CANDIDATE, STABLE)
                )
            )

        for number, values in enumerate(self._values):
            read[f"value-{number}"] = Valued(*values[tick].tolist())

        return {metric.name: read[metric.name] for metric in self.metrics}

    def _share(self, number: int, tick: int) -> Counted:
        bad = self._bad[number]
        return Counted(
            *(
                {"pod": Count(int(self._requests[tick, role]), int(bad[tick, role]))}
                for role in (CANDIDATE, STABLE)
            )
        )
