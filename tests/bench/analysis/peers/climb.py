"""Whole rollouts of the peers: weights by the clock, stopped by failed checks. Errors only."""

import numpy as np

from tests.bench.analysis.climb import GIVE_UP, Case, Ending
from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.flagger import Flagger


def climb_flagger(rule: Flagger, case: Case, rng: np.random.Generator) -> Ending:
    """Raise the weight at every good check; a bad one counts, and too many bring it back."""
    traffic = _Traffic(case, rng)
    weight, failed, seconds = rule.step_weight, 0, 0
    while seconds < GIVE_UP:
        requests, errors = traffic.spend(rule.interval, weight / 100)
        seconds += rule.interval
        if failed >= rule.threshold:
            return Ending("RolledBack", -1, seconds, traffic.harmed)
        if not rule.is_good(requests, errors):
            failed += 1
        elif weight >= rule.max_weight:
            return Ending("Promoted", seconds, seconds, traffic.harmed)
        else:
            weight = min(weight + rule.step_weight, rule.max_weight)
    return Ending("Undecided", -1, GIVE_UP, traffic.harmed)


def climb_argo(rule: Argo, case: Case, rng: np.random.Generator) -> Ending:
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
            return Ending("RolledBack", -1, seconds, traffic.harmed)
    return Ending("Promoted", end, end, traffic.harmed)


class _Traffic:
    """What the candidate answers, and what that cost."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self._case, self._rng = case, rng
        self.harmed = 0.0

    def spend(self, seconds: int, weight: float) -> tuple[int, int]:
        """Return the candidate's requests and errors in a while."""
        requests = int(self._rng.poisson(self._case.rps * seconds * weight))
        self.harmed += requests * (self._case.candidate - self._case.stable)
        return requests, int(self._rng.binomial(requests, self._case.candidate))
