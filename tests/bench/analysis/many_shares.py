"""The share test of thousands of rollouts at once, in arrays: what one look after the other says.

`policy.statistics` and `policy.analysis.metrics.share` again, without memories as text, for rates
of error of a percent: those take a thousand hours a cell. Every array has one entry per run first.
`tests/unit/bench/test_many_shares.py` keeps it at the real ones, look by look.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from slipway.api.modeldeployment import Tolerance
from slipway.policy.analysis.metrics.share import MOST_CREDIT, TAKEN_BACK_BELOW
from slipway.policy.analysis.plan import PASS_AT
from slipway.policy.statistics import dispersion, eprocess

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
NODE_LOGS = np.array(dispersion.NODES)


def log_sum(values: Floats) -> Floats:
    """Return log(sum(exp(value))) over the last axis."""
    top = values.max(-1)
    found: Floats = top + np.log(np.exp(values - top[..., None]).sum(-1))
    return found


def counted(pair: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return n_c, k_c, n_s and k_s, each with one column, of runs x 4."""
    n_c, k_c, n_s, k_s = (pair[:, column, None] for column in range(4))
    return n_c, k_c, n_s, k_s


@dataclass(frozen=True, slots=True)
class GuardPrior:
    """What the dispersion guard believes; the defaults are the ones of the operator."""

    steps: dispersion.Phase = dispersion.STEPS
    bake: dispersion.Phase = dispersion.BAKE
    first_share: float = dispersion.FIRST_SHARE
    early_spread_shares: tuple[float, ...] = dispersion.EARLY_SPREAD_SHARES
    busy_spread_shares: tuple[float, ...] = dispersion.BUSY_SPREAD_SHARES
    spreads: tuple[float, ...] = dispersion.SPREADS
    ratio_shares: tuple[float, ...] = dispersion.RATIO_SHARES

    def priors(self, ratios: tuple[float, ...]) -> Floats:
        """Return the probabilities of the nodes: ratios x spreads x nodes."""
        return np.array(
            [[dispersion.ratio_prior(ratio, spread) for spread in self.spreads] for ratio in ratios]
        )


class ManyGuards:
    """`dispersion.DispersionGuard` of many runs; changed in place."""

    def __init__(self, runs: int, prior: GuardPrior) -> None:
        self.prior = prior
        self.in_bake = np.zeros(runs, bool)
        self._same_prior = prior.priors((1.0,))[0]
        self._shifted_prior = prior.priors(dispersion.RATIOS)
        ratios, spreads = len(dispersion.RATIOS), len(prior.spreads)
        self.shifted = np.full((runs, ratios, spreads), eprocess.NEVER)
        self.over = np.full((runs, ratios, spreads), eprocess.NEVER)
        self.same = np.zeros((runs, spreads))
        self.kept = np.ones(runs)
        self.seconds = np.zeros(runs)
        self.block = np.zeros((runs, 4))

    def count(self, pair: Floats, seconds: Floats) -> None:
        """Count on; full blocks are closed."""
        self.block += pair
        self.seconds += seconds
        block_seconds = self._by_phase(lambda phase: phase.block_seconds)
        full = np.flatnonzero(self.seconds >= block_seconds)
        if not len(full):
            return

        self.seconds[full] = 0.0
        told = full[(self.block[full, 0] > 0) & (self.block[full, 2] > 0)]
        shifted, over, same, kept = self._with_block(told, self.block[told])
        top = np.maximum(np.maximum(shifted, over).max((1, 2)), same.max(1))
        self.shifted[told] = np.maximum(eprocess.NEVER, shifted - top[:, None, None])
        self.over[told] = np.maximum(eprocess.NEVER, over - top[:, None, None])
        self.same[told] = np.maximum(eprocess.NEVER, same - top[:, None])
        self.kept[told] = kept
        self.block[full] = 0.0

    def log_factor(self, which: NDArray[np.intp], more: Floats, seconds: Floats) -> Floats:
        """Return the log Bayes factor of some runs, after `more` counts than are stored."""
        shifted, over, same, kept = self._with_block(which, self.block[which] + more)
        is_first = self.kept[which] >= 1.0

        # Where the block is full, the next one has begun, and is empty.
        block_seconds = self._by_phase(lambda phase: phase.block_seconds)[which]
        full = self.seconds[which] + seconds >= block_seconds
        begun = self._by_phase(lambda phase: phase.begun_in_block)[which]
        later = np.where(full, begun, 0.0)
        placed = np.log(np.maximum(eprocess.SMALLEST * eprocess.SMALLEST, kept * later))
        shifted = np.logaddexp(shifted, (same + placed[:, None])[:, None, :])
        shifted = np.logaddexp(shifted, over)
        kept, is_first = kept * (1 - later), is_first & ~full

        shares = self._by_phase(lambda phase: phase.spread_shares)[which]
        shares[is_first] = self.prior.early_spread_shares
        block = self.block[which] + more
        passed = np.maximum(1.0, self.seconds[which] + seconds)
        is_busy = block[:, 1] + block[:, 3] >= dispersion.BUSY * passed
        shares[is_first & is_busy] = self.prior.busy_spread_shares

        ratio_logs = np.log(self.prior.ratio_shares)
        cells = shifted + ratio_logs[None, :, None] + np.log(shares)[:, None]
        numerator = log_sum(cells.reshape(len(which), -1))
        denominator = log_sum(np.log(shares) + same)
        last = np.log(np.maximum(eprocess.SMALLEST, kept))
        return log_sum(np.stack([numerator - denominator, last], -1))

    def _by_phase(self, read: Callable[[dispersion.Phase], object]) -> Floats:
        """Return what each run believes, where it stands: one entry per run, or one row."""
        of_phases = np.array([read(self.prior.steps), read(self.prior.bake)], float)
        found: Floats = of_phases[self.in_bake.astype(int)]
        return found

    def _with_block(
        self, which: NDArray[np.intp], block: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        before = self.kept[which]
        later = self._by_phase(lambda phase: phase.begun_in_block)[which]
        share = np.where(before >= 1.0, self.prior.first_share, later)
        placed = np.log(np.maximum(eprocess.SMALLEST, before * share))
        same = self.same[which]
        stays, ends, away, comes = self._changes(which)
        shifted, over = self.shifted[which], self.over[which]
        begun = np.logaddexp(shifted + stays, (same + placed[:, None])[:, None, :])
        begun = np.logaddexp(begun, over + comes)
        over = np.logaddexp(over + away, shifted + ends)
        kept = before * (1 - share)

        is_told = (block[:, 0] > 0) & (block[:, 2] > 0)
        n_c, k_c, n_s, k_s = counted(np.where(is_told[:, None], block, 1.0))
        even = np.log(n_c / n_s)
        logs = k_c * (even + NODE_LOGS) - (k_c + k_s) * np.logaddexp(0.0, even + NODE_LOGS)
        top = logs.max(1)
        likelihood = np.exp(np.maximum(logs - top[:, None], -700.0))
        of_same = np.log(likelihood @ self._same_prior.T) + top[:, None]
        flat = self._shifted_prior.reshape(-1, len(NODE_LOGS))
        of_shifted = (np.log(likelihood @ flat.T) + top[:, None]).reshape(begun.shape)
        told = is_told[:, None]
        trust = self._by_phase(lambda phase: phase.trust)[which]
        more = of_same[:, None, :] + (of_shifted - of_same[:, None, :]) * trust[:, None, :]
        over = over + (told * of_same)[:, None, :]
        return begun + told[:, None] * more, over, same + told * of_same, kept

    def _changes(self, which: NDArray[np.intp]) -> list[Floats]:
        """Return logarithms of the chances that a shift stays, ends, stays away, comes back."""
        ends = self._by_phase(lambda phase: phase.ended_in_block)[which]
        back = self._by_phase(lambda phase: phase.back_in_block)[which]
        smallest = math.exp(-700.0)
        return [
            np.log(np.maximum(smallest, chance))[:, None, None]
            for chance in (1 - ends, ends, 1 - back, back)
        ]


@dataclass
class ManyShares:
    """`assess_share` of one metric in many runs, with memories that are stored now and then."""

    runs: int
    relative: float = 1 + Tolerance().relative
    absolute: float = Tolerance().absolute
    prior: GuardPrior = field(default_factory=GuardPrior)
    ratio_shares: tuple[float, ...] = eprocess.RATIO_SHARES
    first_share: float = eprocess.FIRST_SHARE

    def __post_init__(self) -> None:
        bets = len(eprocess.RATIOS)
        self.wealth = np.full((self.runs, bets), eprocess.NEVER)
        self.peak = np.full(self.runs, eprocess.NEVER)
        """The most log e at any look of the bake."""
        self.stepped = np.zeros(self.runs)
        """Seconds of this step until the memory was stored."""
        self.kept = np.ones(self.runs)
        self.guard = ManyGuards(self.runs, self.prior)
        self.step = np.zeros((self.runs, 4))
        self.better = np.zeros((self.runs, len(eprocess.BETTER_BETS)))
        self.best = np.zeros(self.runs)
        self.pending = np.zeros((self.runs, 4))
        """Counted since the memory was stored."""
        self.waited = np.zeros(self.runs)
        """Seconds since then."""

    def look(self, pair: Floats, seconds: float, margin: Floats) -> None:
        """Count a look of every run: runs x (n_c, k_c, n_s, k_s), and max harm by next weight."""
        self.pending += pair
        self.waited += seconds
        in_bake = self.guard.in_bake
        later = np.where(in_bake, self._begun_in_bake(), _begun_within(self.waited))
        placed = np.where(self.kept >= 1, self.first_share, later)
        self._wealth, self._kept = self._starts_after(placed)
        self._peak = np.where(in_bake, np.maximum(self.peak, self.log_e), eprocess.NEVER)
        won = self.better + bet_on_better(self.pending, self.relative, margin)
        surplus = np.maximum(0.0, log_better(won) - MOST_CREDIT)
        self._better = won - surplus[:, None]

    def store(self, which: Mask) -> None:
        """Store the memories of some runs, as they are after the last look."""
        at, best = np.flatnonzero(which), self.best_now
        self.wealth[at], self.kept[at] = self._wealth[at], self._kept[at]
        self.peak[at] = self._peak[at]
        self.stepped[at] += self.waited[at]
        self.better[at] = self._better[at]
        self.best[at] = best[at]
        self.step[at] += self.pending[at]
        pair = np.where(which[:, None], self.pending, 0.0)
        self.guard.count(pair, np.where(which, self.waited, 0.0))
        self.pending[at], self.waited[at] = 0.0, 0.0

    def begin_step(self, which: Mask, *, is_bake: bool = False) -> None:
        """Begin another weight in some runs, right after a look whose memory is stored."""
        if not which.any():
            return
        at = np.flatnonzero(which)
        self.guard.in_bake[at] = is_bake
        self.guard.count(np.zeros((self.runs, 4)), np.zeros(self.runs))
        share = np.where(self.kept[at] >= 1, self.first_share, eprocess.STEP_SHARE)
        placed = np.log(np.maximum(eprocess.SMALLEST, self.kept[at] * share))
        self.wealth[at] = np.logaddexp(self.wealth[at], placed[:, None])
        self.kept[at] *= 1 - share
        self._wealth, self._kept = self.wealth.copy(), self.kept.copy()
        self.peak[at] = np.maximum(self.peak, self.log_e)[at] if is_bake else eprocess.NEVER
        self._peak = self.peak.copy()

        self.better[at], self.best[at] = 0.0, 0.0
        self.step[at], self.stepped[at] = 0.0, 0.0

    @property
    def most_log_e(self) -> Floats:
        """The most evidence that there was in the bake, or that there is now."""
        return np.maximum(self.log_e, self._peak)

    @property
    def log_e(self) -> Floats:
        """Evidence against the candidate, after the last look."""
        parts = self._wealth + np.log(self.ratio_shares)
        last = np.log(np.maximum(eprocess.SMALLEST, self._kept))
        return log_sum(np.concatenate([parts, last[:, None]], 1))

    @property
    def passes(self) -> Mask:
        """Whether harm at the next weight is ruled out, after the last look."""
        found: Mask = self.best_now >= PASS_AT
        return found

    @property
    def best_now(self) -> Floats:
        """The evidence that counts for a Pass, after the last look."""
        now = log_better(self._better)
        stands = (self.best >= PASS_AT) & (now >= TAKEN_BACK_BELOW)
        return np.where(stands, np.maximum(self.best, now), now)

    @property
    def samples(self) -> Floats:
        """Requests of the arm that has fewer of them in this step, after the last look."""
        found: Floats = (self.step + self.pending)[:, [0, 2]].min(1)
        return found

    def guard_factors(self, which: Mask) -> Floats:
        """Return the guard's log Bayes factor of some runs; infinite for the others."""
        found = np.full(self.runs, np.inf)
        at = np.flatnonzero(which)
        if len(at):
            found[at] = self.guard.log_factor(at, self.pending[at], self.waited[at])
        return found

    def _begun_in_bake(self) -> Floats:
        found: Floats = self.waited / (eprocess.BAKE_SECONDS + self.stepped + self.waited)
        return found

    def _starts_after(self, share: Floats) -> tuple[Floats, Floats]:
        placed = np.log(np.maximum(eprocess.SMALLEST, self.kept * share))
        won = bet_on_worse(self.pending, self.relative, self.absolute)
        wealth = np.maximum(eprocess.NEVER, np.logaddexp(self.wealth, placed[:, None]) + won)
        return wealth, self.kept * (1 - share)


def bet_on_worse(pair: Floats, relative: float, absolute: float) -> Floats:
    """Return `eprocess.bet_on_worse` of many pairs: runs x bets."""
    n_c, k_c, n_s, k_s = counted(pair)
    ratios = np.array(eprocess.RATIOS)
    split = relative * n_c / np.maximum(n_s, 1)
    bets = (ratios - 1) / (split * ratios + 1)
    lost = np.log(np.maximum(eprocess.SMALLEST, 1 - split * bets))
    won = k_c * np.log1p(bets) + k_s * lost - absolute * bets * n_c
    return np.where((n_c > 0) & (n_s > 0), won, 0.0)


def bet_on_better(pair: Floats, relative: float, margin: Floats) -> Floats:
    """Return `eprocess.bet_on_better` of many pairs: runs x bets."""
    n_c, k_c, n_s, k_s = counted(pair)
    bets = np.array(eprocess.BETTER_BETS)
    split = np.where(n_s > 0, n_c / np.maximum(n_s, 1), 0.0)
    won: Floats = (
        k_c * np.log1p(-bets)
        + k_s * np.log1p(split * relative * bets)
        + margin[:, None] * bets * n_c
    )
    return won


def log_better(won: Floats) -> Floats:
    """Return the logarithm of the evidence of all bets of `bet_on_better`."""
    return log_sum(won + np.log(eprocess.BETTER_SHARES))


def _begun_within(seconds: Floats) -> Floats:
    found: Floats = -np.expm1(-np.maximum(0.0, seconds) / eprocess.HORIZON_SECONDS)
    return found
