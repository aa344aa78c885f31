"""Whole rollouts of the peers: weights by the clock, stopped by failed checks. Errors only."""

from dataclasses import dataclass

import numpy as np

from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.rollouts.climb import Ending, Result

GIVE_UP = 2 * 3600


@dataclass(frozen=True, slots=True)
class Ratios:
    """A version that is rolled out, as peers see it."""

    rps: float
    stable: float
    candidate: float

    @property
    def name(self) -> str:
        return f"{self.rps:g} rps, {self.stable:.2g} → {self.candidate:.2g}"


def climb_flagger(rule: Flagger, case: Ratios, rng: np.random.Generator) -> Ending:
    """Raise the weight at every good check; a bad one counts, and too many bring it back."""
    traffic = _Traffic(case, rng)
    weight, failed, seconds = rule.step_weight, 0, 0
    while seconds < GIVE_UP:
        requests, errors = traffic.spend(rule.interval, weight / 100)
        seconds += rule.interval
        if failed >= rule.threshold:
            return traffic.ended(Result.ROLLED_BACK, seconds)
        if not rule.is_good(requests, errors):
            failed += 1
        elif weight >= rule.max_weight:
            return traffic.ended(Result.PROMOTED, seconds)
        else:
            weight = min(weight + rule.step_weight, rule.max_weight)
    return traffic.ended(Result.HELD, GIVE_UP)


def climb_argo(rule: Argo, case: Ratios, rng: np.random.Generator) -> Ending:
    """Raise the weight after every pause, while a background analysis measures."""
    traffic = _Traffic(case, rng)
    failed = 0
    end = rule.pause * len(rule.weights)
    sums: list[tuple[int, int]] = []
    step = min(rule.range, rule.interval)

    for seconds in range(step, end + 1, step):
        weight = rule.weights[(seconds - step) // rule.pause] / 100
        sums.append(traffic.spend(step, weight))
        if seconds % rule.interval:
            continue

        seen = sums[-(rule.range // step) :]
        requests, errors = (sum(parts) for parts in zip(*seen, strict=True))
        failed += not rule.is_good(requests, errors)
        if failed > rule.failure_limit:
            return traffic.ended(Result.ROLLED_BACK, seconds)
    return traffic.ended(Result.PROMOTED, end)


class _Traffic:
    """What the candidate answers, and what that cost."""

    def __init__(self, case: Ratios, rng: np.random.Generator) -> None:
        self._case, self._rng = case, rng
        self._harmed = 0.0

    def spend(self, seconds: int, weight: float) -> tuple[int, int]:
        """Return the candidate's requests and errors in a while."""
        requests = int(self._rng.poisson(self._case.rps * seconds * weight))
        self._harmed += requests * (self._case.candidate - self._case.stable)
        return requests, int(self._rng.binomial(requests, self._case.candidate))

    def ended(self, result: Result, seconds: int) -> Ending:
        """Return how the rollout ended."""
        is_back = result is Result.ROLLED_BACK
        full = seconds if result is Result.PROMOTED else -1
        return Ending(result, seconds, full, seconds if is_back else -1, self._harmed, "", "")
