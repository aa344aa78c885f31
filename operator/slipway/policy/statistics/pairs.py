"""Evidence from pairs: the same request, answered by stable and by the candidate.

A pair says of either side whether an event (an error, a very slow answer) happened: C of the
candidate, S of stable. Against "the candidate is no worse", P(C) <= r P(S) + d given all earlier
pairs, a bet 0 <= x < 1 / (r + d) multiplies its wealth with every pair by

    1 + x (C - r S - d)

whose mean is 1 + x (P(C) - r P(S) - d) <= 1, however C and S of one pair depend on each other. So
the wealth is a supermartingale, and P(ever >= 1/alpha) <= alpha (Ville). The mirror image bets
against "the candidate is worse by more than h", P(C) >= r P(S) + h, with 1 + y (r S + h - C). With
bets that are fixed beforehand the wealth follows from four counts, in whatever order and portions
they are read: nothing else has to be remembered.

Pairs take out what both sides owe to the request, so that a request that nobody can answer says
next to nothing. Given that only one side failed and with r = 1, d = 0, this is McNemar's test.

Sources: I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting (2024);
Q. McNemar (1947). `tests/unit/policy/statistics/test_pairs.py` enumerates both sides exactly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.policy.statistics.eprocess import (
    RATIO_SHARES,
    Pair,
    bet_on_above,
    log_of,
    log_sum,
)

AGAINST_BETS = (0.3, 0.6, 0.9)
"""Parts of the largest bet that an event of stable alone cannot ruin."""
FOR_BETS = (0.2, 0.45, 0.95)
"""A pair without events wins the more, the higher the bet; where chance errors are frequent, a
small one is what wins."""
FOR_SHARES = (0.2, 0.4, 0.4)
SIGN_BETS = (0.2, 0.5, 0.9)
SMALLEST = 1e-12
FINEST = 1e-4
"""To which the bound of the excess is found: a hundredth of a percent."""


@dataclass(frozen=True, slots=True)
class PairTable:
    """Pairs, by the side on which an event happened; in the others it happened on neither."""

    pairs: int = 0
    only_candidate: int = 0
    only_stable: int = 0
    both: int = 0

    @property
    def neither(self) -> int:
        """Pairs without an event."""
        return self.pairs - self.only_candidate - self.only_stable - self.both

    @property
    def of_candidate(self) -> int:
        """Events of the candidate."""
        return self.only_candidate + self.both

    @property
    def of_stable(self) -> int:
        """Events of stable."""
        return self.only_stable + self.both


def log_against(table: PairTable, relative: float, absolute: float) -> float:
    """Return log e against P(C) <= relative * P(S) + absolute; `absolute` is a share of pairs."""
    largest = 1 / max(relative + absolute, SMALLEST)
    wealth = [_log_wealth(table, part * largest, relative, absolute) for part in AGAINST_BETS]
    return log_sum(wealth) - math.log(len(wealth))


def log_for(table: PairTable, relative: float, margin: float) -> float:
    """Return log e against P(C) >= relative * P(S) + margin; it grows with the margin."""
    wealth = [_log_wealth(table, -bet, relative, margin) for bet in FOR_BETS]
    return log_sum(log_of(share) + log for share, log in zip(FOR_SHARES, wealth, strict=True))


def bound_excess(table: PairTable, relative: float, needed: float) -> float:
    """Return what P(C) - relative * P(S) is less than, at any time; 1 where nothing is known.

    It is the smallest margin against which `log_for` has reached `needed`. As that grows with the
    margin, what is bounded at one margin is bounded at every larger one: the bound holds at all
    looks together with probability 1 - exp(-needed).
    """
    if log_for(table, relative, 1.0) < needed:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > FINEST:
        middle = (low + high) / 2
        low, high = (low, middle) if log_for(table, relative, middle) >= needed else (middle, high)
    return high


def log_above(count: int, total: int, limit: float) -> float:
    """Return log e against a share of events of at most `limit`, for one side alone."""
    bets = bet_on_above(Pair(total, count), limit)
    return log_sum(log_of(share) + bet for share, bet in zip(RATIO_SHARES, bets, strict=True))


def log_below(count: int, total: int, limit: float) -> float:
    """Return log e against a share of events of `limit` or more, for one side alone."""
    return log_for(PairTable(total, count), 1.0, limit)


def log_mostly(count: int, total: int) -> float:
    """Return log e against "at most every second pair": the sign test.

    With `total - count` in the place of `count` it is the evidence against "at least every second".
    """
    wealth = [count * math.log1p(bet) + (total - count) * math.log1p(-bet) for bet in SIGN_BETS]
    return log_sum(wealth) - math.log(len(wealth))


def clean_pairs_for(margin: float, needed: float, most: int = 100_000) -> int | None:
    """Return how many pairs without any event bound the excess by a margin; None: over `most`."""
    low, high = 0, most
    if log_for(PairTable(most), 1.0, margin) < needed:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = log_for(PairTable(middle), 1.0, margin) >= needed
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def _log_wealth(table: PairTable, bet: float, relative: float, offset: float) -> float:
    """Return the log wealth of one bet; a negative one bets that the candidate is better."""
    factors: Sequence[tuple[int, float]] = (
        (table.only_candidate, 1 - offset),
        (table.only_stable, -relative - offset),
        (table.both, 1 - relative - offset),
        (table.neither, -offset),
    )
    return sum(count * math.log(max(SMALLEST, 1 + bet * gain)) for count, gain in factors if count)
