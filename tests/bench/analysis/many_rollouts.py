"""Thousands of rollouts at once, by errors alone: what takes a thousand hours a cell.

`many_shares` stands for the judge; the status is stored every 30 s. The other metrics of the router
are taken to say nothing, so errors have the part of the budget that they have where none are added.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from slipway.policy.analysis.merge import BUDGET
from slipway.policy.analysis.metrics.assessment import BudgetGroup
from slipway.policy.statistics.dispersion import ENOUGH

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.many_shares import Floats, GuardPrior, ManyShares
from tests.bench.analysis.scenario import NOISE_MEMORY

FALSE_ROLLBACK, MAX_HARM = 0.01, 0.01
WARM_UP, STORED_EVERY, FEWEST = 10, 30, 50
NEED = -math.log(
    FALSE_ROLLBACK
    * BUDGET[BudgetGroup.ERRORS]
    / sum(part for group, part in BUDGET.items() if group is not BudgetGroup.REST)
)


@dataclass(frozen=True, slots=True)
class Part:
    """A weight of a rollout, and for how long it is held."""

    seconds: int
    weight: float
    is_bake: bool = False


HOUR = (Part(3600, 0.05),)
"""An hour in the first step."""
ROLLOUT = (
    *(Part(25, weight) for weight in (0.05, 0.1, 0.25, 0.5)),
    Part(480, 0.8, is_bake=True),
    Part(240, 0.95, is_bake=True),
)
"""The default steps as fast as a good version passes them at 100/s, and the bake, extended twice as
long at its end."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the candidate: error ratios, and from when on."""

    rps: float
    stable: float = 0.01
    candidate: float = 0.01
    onset: int = 0
    arm_noise: float = 0.0
    """As in `Scenario`: sigma of a log-normal AR(1), half of it on stable."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How the runs ended."""

    failed_at: Floats
    """Second of the roll back; -1: none."""
    requests: Floats
    """Of the candidate, from the onset to the roll back."""

    def share_failed(self) -> float:
        """Return the share of runs that were rolled back."""
        return float((self.failed_at >= 0).mean())


def play(
    fault: Fault,
    parts: tuple[Part, ...],
    runs: int,
    *,
    prior: GuardPrior | None = None,
    seed: int = 1,
    tick: int = TICK,
) -> Ends:
    """Roll out as many times, until the parts are over or the guard agrees to a Fail.

    `tick` are the seconds between two looks; noise of pods has its own pace at the default alone.
    """
    rng = np.random.default_rng([seed, round(fault.rps * 10), fault.onset])
    shares = ManyShares(runs, prior=prior or GuardPrior())
    noise = _Noise(fault.arm_noise, runs, rng)
    every, margin = np.ones(runs, bool), np.full(runs, MAX_HARM)
    failed_at, requests = np.full(runs, -1.0), np.zeros(runs)
    was_convinced = np.zeros(runs, bool)
    second = waited = 0

    for number, part in enumerate(parts):
        if number:
            shares.begin_step(every, is_bake=part.is_bake)
        for _ in range(part.seconds // tick):
            second += tick
            weight = np.full(runs, part.weight)
            pair = draw_counts(rng, fault, weight, second, noise.advance(), tick=tick)
            requests += np.where((failed_at < 0) & (second > fault.onset), pair[:, 0], 0.0)
            if second <= WARM_UP:
                continue

            shares.look(pair, tick, margin)
            convinced = (failed_at < 0) & (shares.most_log_e >= NEED)
            fails = convinced & (shares.guard_factors(convinced) >= ENOUGH)
            failed_at[fails] = second
            shares.store(convinced & ~was_convinced)  # the verdict has changed
            was_convinced = convinced
            waited += tick
            if waited >= STORED_EVERY:
                shares.store(every)
                waited = 0
        if second > WARM_UP:
            shares.store(every)
            waited = 0
    return Ends(failed_at, requests)


def wrong_passes(
    rps: float,
    weights: tuple[float, float, float],
    runs: int,
    *,
    seconds: int,
    later: int = 0,
    seed: int = 1,
) -> NDArray[np.bool_]:
    """Return in which runs a fault that comes with a weight passes there.

    The candidate is as good as stable at the first weight. At the second it is exactly as bad as a
    Pass for the third has to rule out, from `later` seconds on.
    """
    rng = np.random.default_rng([seed, int(rps * 10), int(weights[1] * 100), later])
    shares = ManyShares(runs)
    first, second, third = weights
    weight, entered = np.full(runs, first), np.full(runs, np.inf)
    bad = 1.25 * 0.01 + MAX_HARM / third
    passed, none = np.zeros(runs, bool), np.ones((runs, 2))

    for at in range(TICK, seconds + TICK, TICK):
        is_bad = at > entered + later
        pair = draw_counts(rng, Fault(rps), weight, at, none)
        pair[:, 1] = rng.binomial(pair[:, 0].astype(int), np.where(is_bad, bad, 0.01))
        shares.look(pair, TICK, MAX_HARM / np.where(weight == second, third, second))
        enough = shares.passes & (shares.samples >= FEWEST)
        shares.store(np.ones(runs, bool))

        passed |= enough & is_bad
        moves = enough & (weight == first)
        weight[moves], entered[moves] = second, at
        shares.begin_step(moves)
    return passed


def draw_counts(
    rng: np.random.Generator,
    fault: Fault,
    weight: Floats,
    second: int,
    noise: Floats,
    *,
    tick: int = TICK,
) -> Floats:
    """Draw what each run counts in the tick that ends at a second: runs x (n_c, k_c, n_s, k_s)."""
    total = fault.rps * tick
    n = rng.poisson(np.stack([weight, 1 - weight], 1) * total)
    candidate = fault.candidate if second > fault.onset else fault.stable
    k = rng.binomial(n, np.minimum(1.0, np.array([candidate, fault.stable]) * noise))
    return np.stack([n[:, 0], k[:, 0], n[:, 1], k[:, 1]], 1).astype(float)


class _Noise:
    """Factors of mean 1 on both arms' error ratios, by run."""

    def __init__(self, sigma: float, runs: int, rng: np.random.Generator) -> None:
        self._sigmas = np.array([sigma, sigma / 2])
        self._rng = rng
        self._levels = rng.standard_normal((runs, 2))

    def advance(self) -> Floats:
        """Return the factors of the next tick: runs x (candidate, stable)."""
        steps = self._rng.standard_normal(self._levels.shape) * math.sqrt(1 - NOISE_MEMORY**2)
        self._levels = NOISE_MEMORY * self._levels + steps
        found: Floats = np.exp(self._sigmas * self._levels - self._sigmas**2 / 2)
        return found
