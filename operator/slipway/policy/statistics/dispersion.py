"""The dispersion guard: could the difference be the noise of single pods?

Sticky connections, a busy node or one odd client make two arms of the same bytes differ for
minutes. An e-process takes that for a fault, because for these minutes it is one. The guard asks a
second question of the same counters, and a Fail needs both answers.

Time is cut into blocks of three minutes, in the bake of 45 seconds; one ends with the look that is
stored then. In a block, of K events in both arms a binomial number is the candidate's, at the odds
n_c / n_s times a factor that the noise draws for the block: from a gamma distribution with mean 1
and a variance that is the same in all blocks but unknown, nearly none (0.02) or 0.7, which is more
than a log-normal noise with sigma 0.6 in one arm and 0.3 in the other gives to blocks. The Bayes
factor compares "from some block on the candidate has g times the events" with "never", both
averaged over the variance: a shift that is steady from block to block speaks for itself, one block
alone only where no noise could explain it, and a run whose blocks scatter is believed to scatter
on. Few events decide nothing here, so at low traffic the guard costs nothing.

Noise has dozens of chances in an hour, but only one in a rollout's first block. There the guard
believes more readily that arms are quiet, unless requests are so many that waiting costs seconds:
most bad versions are bad at once, and are brought back within seconds for a small part of what
noise may cost in all. A block goes on over a change of weight, since noise does too.

In the steps a fault that comes later is not expected: a step is over soon, and what stays in one
for hours gives noise all those chances. The bake is there to find late faults, and is short. So it
has shorter blocks, and a part of the belief in a fault is kept for it. Noise lasts longer than its
blocks, so what they say against noise counts for a part. There a shift may also end and come back,
as a fault in one minute of five does. So the good minutes do not speak against it; they tell how
little the arms scatter, which a single bad minute cannot.

The Bayes factor is an e-value where blocks are independent and the prior is right; arms whose noise
lasts longer than a block break that, and `make bench-analysis` measures by how much. One bad node
that stays bad cannot be told from a bad version.
"""

import math
from collections.abc import Sequence
from itertools import product
from operator import add, mul

from slipway.policy.statistics.eprocess import (
    NEVER,
    NOTHING,
    Pair,
    log_add,
    log_of,
    log_sum,
    place_bets,
)
from slipway.records import record, replace

RATIOS = (2.0, 3.0, 5.0, 8.0, 20.0, 60.0)
RATIO_SHARES = (0.15, 0.3, 0.28, 0.14, 0.08, 0.05)
SPREADS = (0.02, 0.7)
EARLY_SPREAD_SHARES = (0.97, 0.03)
"""Of the rollout's first block."""
BUSY_SPREAD_SHARES = (0.9, 0.1)
"""Of the first block, where it has `BUSY` events a second or more."""
BUSY = 2.0
FIRST_SHARE = 0.7
"""Probability of a shift that is there from the beginning, among all shifts."""


@record
class Phase:
    """What is believed in a part of a rollout."""

    block_seconds: float
    horizon_seconds: float
    """A shift that has not begun is as likely to begin at every moment; in so long 63% do."""
    spread_shares: tuple[float, ...]
    trust: tuple[float, ...]
    """By spread, how far a block speaks for a shift: 1 where blocks are independent."""
    ended_in_block: float = 0.0
    """The probability that a shift which has begun is over in the next block."""
    back_in_block: float = 0.0
    """The probability that one which is over is back in the next block."""

    @property
    def begun_in_block(self) -> float:
        """The probability that a shift which has not begun yet begins in a block."""
        return -math.expm1(-self.block_seconds / self.horizon_seconds)


STEPS = Phase(180.0, 90_000.0, (0.3, 0.7), (1.0, 1.0))
BAKE = Phase(45.0, 600.0, (0.8, 0.2), (1.0, 0.35), 0.2, 0.2)
ENOUGH = math.log(120.0)
"""The logarithm of the Bayes factor that a Fail needs."""
_CELLS = tuple(product(range(len(RATIOS)), range(len(SPREADS))))
_NODE = math.log(1.25)
NODES = tuple(number * _NODE for number in range(-16, 33))
"""Logarithms of factors on the odds, over which a block is averaged."""


def ratio_prior(ratio: float, spread: float) -> tuple[float, ...]:
    """Return the probabilities of the `NODES`: a gamma distribution, shifted by `ratio`."""
    shape = 1 / spread
    logs = [shape * (node - math.log(ratio) - math.exp(node) / ratio) for node in NODES]
    top = max(logs)
    weights = [math.exp(max(value - top, -30.0)) for value in logs]
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


_SAME = tuple(ratio_prior(1.0, spread) for spread in SPREADS)
_SHIFTED = tuple(ratio_prior(RATIOS[ratio], SPREADS[spread]) for ratio, spread in _CELLS)


@record
class DispersionGuard:
    """What the blocks said until the present one began, and what that one has counted."""

    shifted: tuple[float, ...] = (NEVER,) * len(_CELLS)
    """Log likelihood by ratio and spread, of a shift that has begun."""
    over: tuple[float, ...] = (NEVER,) * len(_CELLS)
    """The same, of one that has begun and is over for now."""
    same: tuple[float, ...] = (0.0,) * len(SPREADS)
    """Log likelihood by spread, without a shift."""
    kept: float = 1.0
    """Probability that no shift has begun yet."""
    seconds: float = 0.0
    """Since the block began."""
    block: Pair = NOTHING
    phase: Phase = STEPS
    """Where the rollout stands; not remembered."""
    is_full: bool = False
    """The block is to be closed, which is dear and waits until somebody asks (`settled`): most
    looks are stored nowhere, and the next one counts the same block again."""

    def after(self, delta: Pair, seconds: float, phase: Phase | None = None) -> "DispersionGuard":
        """Count on, in a phase if one is told; after a full block the next begins empty."""
        last, phase = self.settled, phase or self.phase
        spent = last.seconds + seconds
        return DispersionGuard(
            last.shifted,
            last.over,
            last.same,
            last.kept,
            spent,
            last.block + delta,
            phase,
            is_full=spent >= phase.block_seconds,
        )

    @property
    def settled(self) -> "DispersionGuard":
        """The same with a full block closed, as it is remembered."""
        return self.closed() if self.is_full else self

    def closed(self) -> "DispersionGuard":
        """Close the present block, however full it is."""
        if not self.block.n_c or not self.block.n_s:
            return replace(self, block=NOTHING, seconds=0.0, is_full=False)
        likelihoods, kept = self._with_block()
        top = max(*likelihoods.shifted, *likelihoods.over, *likelihoods.same)
        shifted, over, same = (
            tuple([max(NEVER, value - top) for value in values])
            for values in (likelihoods.shifted, likelihoods.over, likelihoods.same)
        )
        return DispersionGuard(shifted, over, same, kept, phase=self.phase)

    @property
    def log_factor(self) -> float:
        """The logarithm of the Bayes factor for a shift, be it over or not."""
        if self.is_full:
            return self.closed().log_factor
        likelihoods, kept = self._with_block()
        shares = self._spread_shares()
        numerator = log_sum(
            math.log(RATIO_SHARES[ratio] * shares[spread]) + log_add(shifted, over)
            for shifted, over, (ratio, spread) in zip(
                likelihoods.shifted, likelihoods.over, _CELLS, strict=True
            )
        )
        denominator = log_sum(
            math.log(share) + value for share, value in zip(shares, likelihoods.same, strict=True)
        )
        return log_sum((numerator - denominator, log_of(kept)))

    def _spread_shares(self) -> tuple[float, ...]:
        if self.kept < 1.0:
            return self.phase.spread_shares
        events = self.block.k_c + self.block.k_s
        is_busy = events >= BUSY * max(1.0, self.seconds)
        return BUSY_SPREAD_SHARES if is_busy else EARLY_SPREAD_SHARES

    def _with_block(self) -> tuple["_Likelihoods", float]:
        """Return what is said with the present block, and the probability that is kept then."""
        begun, over, kept = self._with_changes()

        # A block in which one arm had no request says nothing; a shift may have begun in it.
        block = self.block
        if not block.n_c or not block.n_s:
            return _Likelihoods(begun, over, self.same), kept

        likelihood, top = _block_likelihood(block)
        of_same = [top + _log_mean(prior, likelihood) for prior in _SAME]
        shifted = tuple(
            value
            + of_same[spread]
            + self.phase.trust[spread] * (top + _log_mean(prior, likelihood) - of_same[spread])
            for value, prior, (_, spread) in zip(begun, _SHIFTED, _CELLS, strict=True)
        )
        over = tuple(
            value + of_same[spread] for value, (_, spread) in zip(over, _CELLS, strict=True)
        )
        return _Likelihoods(shifted, over, tuple(map(add, self.same, of_same))), kept

    def _with_changes(self) -> tuple[tuple[float, ...], tuple[float, ...], float]:
        """Return the shifts of the present block before it is counted: begun, over, not begun."""
        phase = self.phase
        share = FIRST_SHARE if self.kept >= 1.0 else phase.begun_in_block
        share_placed, kept = place_bets(self.kept, share)
        begun = [self.same[spread] + log_of(share_placed) for _, spread in _CELLS]
        ended, back = phase.ended_in_block, phase.back_in_block
        if not ended and not back:
            return tuple(map(log_add, self.shifted, begun)), self.over, kept

        stays, ends, away, comes = map(log_of, (1 - ended, ended, 1 - back, back))
        shifts = tuple(zip(self.shifted, self.over, begun, strict=True))
        now = tuple(log_sum((value + stays, over + comes, new)) for value, over, new in shifts)
        return now, tuple(log_add(over + away, value + ends) for value, over, _ in shifts), kept


@record
class _Likelihoods:
    """Logarithms, as `DispersionGuard` has them."""

    shifted: tuple[float, ...]
    over: tuple[float, ...]
    same: tuple[float, ...]


def _block_likelihood(block: Pair) -> tuple[list[float], float]:
    """Return the likelihood of a block's events at each node, and the logarithm of its scale."""
    events = block.k_c + block.k_s
    even = math.log(block.n_c / block.n_s)
    logs = [
        block.k_c * (even + node) - events * math.log1p(math.exp(even + node)) for node in NODES
    ]
    top = max(logs)
    return [math.exp(max(value - top, -700.0)) for value in logs], top


def _log_mean(prior: Sequence[float], likelihood: Sequence[float]) -> float:
    return math.log(sum(map(mul, prior, likelihood)))
