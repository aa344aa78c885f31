"""The dispersion guard: could the difference be the noise of single pods?

Sticky connections, a busy node or one odd client make two arms of the same bytes differ for
minutes. An e-process takes that for a fault, because for these minutes it is one. The guard asks a
second question of the same counters, and a Fail needs both answers.

Time is cut into blocks of three minutes. In a block, of K events in both arms a binomial number is
the candidate's, at the odds n_c / n_s times a factor that the noise draws for the block: from a
gamma distribution with mean 1 and a variance that is the same in all blocks but unknown, nearly
none (0.02) or 0.7, which is more than a log-normal noise with sigma 0.6 in one arm and 0.3 in the
other gives to blocks. The Bayes factor compares "from some block on the candidate has g times the
events" with "never", both averaged over the variance: a shift that is steady from block to block
speaks for itself, one block alone only where no noise could explain it, and a run whose blocks
scatter is believed to scatter on. Few events decide nothing here, so at low traffic the guard costs
nothing.

Noise has dozens of chances in an hour, but only one in a rollout's first block. There the guard
believes more readily that arms are quiet: most bad versions are bad at once, and are brought back
within seconds for a small part of what noise may cost in all.

The Bayes factor is an e-value where blocks are independent and the prior is right; arms whose noise
lasts longer than a block break that, and `make bench-analysis` measures by how much. One bad node
that stays bad cannot be told from a bad version.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import mul

from slipway.policy.statistics.eprocess import (
    NEVER,
    NOTHING,
    Pair,
    log_of,
    log_sum,
    place_bets,
    share_begun_within,
)

BLOCK_SECONDS = 180.0
RATIOS = (2.0, 3.0, 5.0, 8.0, 20.0, 60.0)
RATIO_SHARES = (0.15, 0.3, 0.28, 0.14, 0.08, 0.05)
SPREADS = (0.02, 0.7)
SPREAD_SHARES = (0.3, 0.7)
EARLY_SPREAD_SHARES = (0.9, 0.1)
"""Of the rollout's first block."""
FIRST_SHARE = 0.98
"""Probability of a shift that is there from the beginning, among all shifts."""
ENOUGH = math.log(120.0)
"""The logarithm of the Bayes factor that a Fail needs."""
_CELLS = tuple(product(range(len(RATIOS)), range(len(SPREADS))))
_NODE = math.log(1.25)
_NODES = tuple(number * _NODE for number in range(-16, 33))
"""Logarithms of factors on the odds, over which a block is averaged."""


def _ratio_prior(ratio: float, spread: float) -> tuple[float, ...]:
    """Return the probabilities of the nodes: a gamma distribution, shifted by `ratio`."""
    shape = 1 / spread
    logs = [shape * (node - math.log(ratio) - math.exp(node) / ratio) for node in _NODES]
    top = max(logs)
    weights = [math.exp(max(value - top, -30.0)) for value in logs]
    whole = sum(weights)
    return tuple(weight / whole for weight in weights)


_SAME = tuple(_ratio_prior(1.0, spread) for spread in SPREADS)
_SHIFTED = tuple(_ratio_prior(RATIOS[ratio], SPREADS[spread]) for ratio, spread in _CELLS)


@dataclass(frozen=True, slots=True)
class DispersionGuard:
    """What the blocks said until the present one began, and what that one has counted."""

    shifted: tuple[float, ...] = (NEVER,) * len(_CELLS)
    """Log likelihood by ratio and spread, of a shift that has begun."""
    same: tuple[float, ...] = (0.0,) * len(SPREADS)
    """Log likelihood by spread, without a shift."""
    kept: float = 1.0
    """Probability that no shift has begun yet."""
    seconds: float = 0.0
    """Since the block began."""
    block: Pair = NOTHING

    def after(self, delta: Pair, seconds: float) -> "DispersionGuard":
        """Count on; a full block is closed and the next one begins empty."""
        block, spent = self.block + delta, self.seconds + seconds
        now = DispersionGuard(self.shifted, self.same, self.kept, spent, block)
        return now.closed() if now.seconds >= BLOCK_SECONDS else now

    def closed(self) -> "DispersionGuard":
        """Close the present block, as at a change of weight."""
        if not self.block.n_c or not self.block.n_s:
            return replace(self, block=NOTHING, seconds=0.0)
        shifted, same, kept = self._with_block()
        top = max(*shifted, *same)
        return DispersionGuard(
            tuple(max(NEVER, value - top) for value in shifted),
            tuple(max(NEVER, value - top) for value in same),
            kept,
        )

    @property
    def log_factor(self) -> float:
        """The logarithm of the Bayes factor for a shift."""
        shifted, same, kept = self._with_block()
        shares = EARLY_SPREAD_SHARES if self.kept >= 1.0 else SPREAD_SHARES
        numerator = log_sum(
            math.log(RATIO_SHARES[ratio] * shares[spread]) + shifted[number]
            for number, (ratio, spread) in enumerate(_CELLS)
        )
        denominator = log_sum(
            math.log(share) + value for share, value in zip(shares, same, strict=True)
        )
        return log_sum((numerator - denominator, log_of(kept)))

    def _with_block(self) -> tuple[tuple[float, ...], tuple[float, ...], float]:
        is_first = self.kept >= 1.0
        share = FIRST_SHARE if is_first else share_begun_within(BLOCK_SECONDS)
        share_placed, kept = place_bets(self.kept, share)
        placed = log_of(share_placed)
        begun = [
            log_sum((value, self.same[spread] + placed))
            for value, (_, spread) in zip(self.shifted, _CELLS, strict=True)
        ]

        # A block in which one arm had no request says nothing; a shift may have begun in it.
        block = self.block
        if not block.n_c or not block.n_s:
            return tuple(begun), self.same, kept

        likelihood, top = _block_likelihood(block)
        same = tuple(
            value + top + _log_mean(prior, likelihood)
            for value, prior in zip(self.same, _SAME, strict=True)
        )
        shifted = tuple(
            value + top + _log_mean(prior, likelihood)
            for value, prior in zip(begun, _SHIFTED, strict=True)
        )
        return shifted, same, kept


def _block_likelihood(block: Pair) -> tuple[list[float], float]:
    """Return the likelihood of a block's events at each node, and the logarithm of its scale."""
    events = block.k_c + block.k_s
    even = math.log(block.n_c / block.n_s)
    logs = [
        block.k_c * (even + node) - events * math.log1p(math.exp(even + node)) for node in _NODES
    ]
    top = max(logs)
    return [math.exp(max(value - top, -700.0)) for value in logs], top


def _log_mean(prior: Sequence[float], likelihood: Sequence[float]) -> float:
    return math.log(sum(map(mul, prior, likelihood)))
