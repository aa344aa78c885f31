"""Evidence that may be looked at at any time: e-processes on two pairs of counters.

A look finds `n` requests and `k` events (errors, slow answers) of the candidate (c) and of stable
(s). Against "the candidate is no worse", p_c <= r * p_s + d at every moment, a bet x >= 0 with
(n_c / n_s) * r * x < 1 that is fixed before the k are seen wins

    log e = k_c log(1 + x) + k_s log(1 - (n_c / n_s) r x) - d x n_c

because E[(1+x)^k_c] <= exp(x n_c p_c) and E[(1-cx)^k_s] <= exp(-c x n_s p_s), by 1 + u <= exp(u),
so E[e] <= 1: at any traffic, whatever p does from look to look, with any mix of requests. Products
over looks are supermartingales, and P(ever >= 1/alpha) <= alpha (Ville). The bets are a mixture
over ratios and over the look at which a fault began (finite-horizon Shiryaev-Roberts), so quiet
half hours do not bury a late one. The mirror image rejects "the candidate is worse than this".

Sources: the linear tolerance is our own; d = 0 is the conditional binomial test of M. Lindon and
A. Malek, Anytime-valid inference for multinomial count data (NeurIPS 2022). Mixtures: S. Howard et
al., Time-uniform Chernoff bounds (2020); starts: J. Shin, A. Ramdas, A. Rinaldo, E-detectors
(2022). `tests/unit/policy/statistics/test_eprocess.py` enumerates E[e] <= 1 for small counts.
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import add

from slipway.records import record

NEVER = -1e9
"""Log of nothing; finite, so that it can be stored."""
RATIOS = (1.4, 2.6, 5.0, 20.0, 150.0)
"""How much worse than allowed a candidate is bet to be."""
FINE_RATIOS = (5.0, 1.15, 1.6, 20.0, 150.0)
"""For shares that chance makes alike in both arms, so that a little more means something."""
RATIO_SHARES = (0.15, 0.3, 0.3, 0.15, 0.1)
BETTER_BETS = (0.25, 0.5, 0.95)
FINE_BETTER_BETS = (0.1, 0.5, 0.95)
"""For shares that may be large: a bet of a quarter loses where more than a fifth are events."""
BETTER_SHARES = (0.25, 0.5, 0.25)
"""Half on what is best for a version just as good as stable, a quarter on one without events."""
FIRST_SHARE = 0.7
"""Of the bets, placed on a fault that is there from the beginning."""
STEP_SHARE = 0.1
"""Of what is left, placed on one that appears with a new weight."""
HORIZON_SECONDS = 3600.0
"""The rest is placed evenly in time: in an hour 63% of it."""
BAKE_SECONDS = 600.0
"""In a bake half of it is placed within so long, since late faults are what a bake is there for."""
SMALLEST = 1e-12
RESERVE = 1e-6
MOST_TERMS = 256
"""Sets of bets that stay known: the shares of a look mostly have the same requests."""
_LOG_RATIO_SHARES = tuple(map(math.log, RATIO_SHARES))
_LOG_BETTER_SHARES = tuple(map(math.log, BETTER_SHARES))


@record
class Pair:
    """Requests and events of both revisions."""

    n_c: int = 0
    k_c: int = 0
    n_s: int = 0
    k_s: int = 0

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(
            self.n_c + other.n_c,
            self.k_c + other.k_c,
            self.n_s + other.n_s,
            self.k_s + other.k_s,
        )


NOTHING = Pair()


def log_sum(values: Iterable[float]) -> float:
    """Return log(sum(exp(value)))."""
    values = tuple(values)
    if not values:
        return NEVER
    top = max(values)
    return top + math.log(sum([math.exp(value - top) for value in values]))


def log_add(left: float, right: float) -> float:
    """Return log(exp(left) + exp(right))."""
    if left < right:
        left, right = right, left
    return left + math.log1p(math.exp(right - left))


def bet_on_worse(
    pair: Pair, relative: float, absolute: float, ratios: tuple[float, ...] = RATIOS
) -> list[float]:
    """Return log e of each bet against p_c <= relative * p_s + absolute; without stable 0."""
    if not pair.n_c or not pair.n_s:
        return [0.0] * len(ratios)
    k_c, n_c, k_s = pair.k_c, pair.n_c, pair.k_s
    return [
        k_c * won + k_s * lost - absolute * bet * n_c
        for bet, won, lost in _worse_bets(n_c / pair.n_s * relative, ratios)
    ]


@lru_cache(MOST_TERMS)
def _worse_bets(odds: float, ratios: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """Return each bet, and log e of an event of the candidate and of stable."""
    bets = [(ratio - 1) / (odds * ratio + 1) for ratio in ratios]
    return [(bet, math.log1p(bet), math.log(max(SMALLEST, 1 - odds * bet))) for bet in bets]


def bet_on_above(pair: Pair, limit: float) -> list[float]:
    """Return log e of each bet against p_c <= limit: exact for independent requests."""
    limit = max(0.0, limit)
    return [
        pair.k_c * math.log(ratio) - pair.n_c * math.log1p(limit * (ratio - 1)) for ratio in RATIOS
    ]


def bet_on_better(
    pair: Pair, relative: float, absolute: float, bets: tuple[float, ...] = BETTER_BETS
) -> list[float]:
    """Return log e of each bet against p_c >= relative * p_s + absolute."""
    k_c, n_c, k_s = pair.k_c, pair.n_c, pair.k_s
    return [
        k_c * lost + k_s * won + absolute * bet * n_c
        for bet, lost, won in _better_bets(n_c / pair.n_s * relative if pair.n_s else 0.0, bets)
    ]


@lru_cache(MOST_TERMS)
def _better_bets(odds: float, bets: tuple[float, ...]) -> list[tuple[float, float, float]]:
    """Return each bet, and log e of an event of the candidate and of stable."""
    return [(bet, math.log1p(-bet), math.log1p(odds * bet)) for bet in bets]


def bet_on_open(
    step: Pair,
    is_open: tuple[int, int],
    absolute: float,
    bets: Sequence[float] = BETTER_BETS,
) -> list[float]:
    """Return what to add to the log e of each bet of `bet_on_better` for open requests; 0 at most.

    `is_open` are the requests of the candidate and of stable, among those of `step`, that began and
    have no answer yet. None of the candidate's counts in its favour, and those beyond what stable's
    lead to expect count as events.
    """
    split = step.n_c / step.n_s if step.n_s else 0.0
    excess = max(0.0, is_open[0] - split * is_open[1])
    return [excess * math.log1p(-bet) - absolute * bet * is_open[0] for bet in bets]


def log_of(value: float) -> float:
    """Return the logarithm of a number that is not negative."""
    return math.log(value) if value > 0 else NEVER


def place_bets(kept: float, share: float) -> tuple[float, float]:
    """Return the part that is placed of what is kept, and what is left: no more than there was.

    `SMALLEST` is placed at least, so that a fault is still found after a week of looks; `RESERVE`
    pays for a million of these.
    """
    placed = min(kept, max(SMALLEST, share * (kept - RESERVE)))
    return placed, kept - placed


@record
class StartMixture:
    """Wealth of each bet, over all looks at which the fault may have begun."""

    wealth: tuple[float, ...] = (NEVER,) * len(RATIOS)
    """Log, by bet."""
    kept: float = 1.0
    """Not yet placed."""

    def after(self, won: Sequence[float], share: float) -> "StartMixture":
        """Place `share` of what is kept, then win or lose."""
        placed, kept = place_bets(self.kept, share)
        log_placed = log_of(placed)
        wealth = [
            log_add(before, log_placed) + gain
            for before, gain in zip(self.wealth, won, strict=True)
        ]
        if min(wealth) < NEVER:
            wealth = [max(value, NEVER) for value in wealth]
        return StartMixture(tuple(wealth), kept)

    @property
    def log_e(self) -> float:
        """The logarithm of the whole wealth."""
        parts = map(add, _LOG_RATIO_SHARES, self.wealth)
        return log_sum((*parts, log_of(self.kept)))


def share_begun_within(seconds: float) -> float:
    """Return which share of what is kept is placed on a fault that began in these seconds."""
    return -math.expm1(-max(0.0, seconds) / HORIZON_SECONDS)


def share_begun_in_bake(before: float, seconds: float) -> float:
    """Return the same within a bake that had lasted for `before` seconds.

    After t seconds 1 / (1 + t / `BAKE_SECONDS`) is left, so a bake of hours still has some.
    """
    seconds = max(0.0, seconds)
    return seconds / (BAKE_SECONDS + max(0.0, before) + seconds)


def log_mean(values: Sequence[float]) -> float:
    """Return the logarithm of the mean of e-values."""
    return log_sum(values) - math.log(len(values))


def log_better(wealth: Sequence[float]) -> float:
    """Return the logarithm of the evidence of all bets of `better`."""
    return log_sum(map(add, _LOG_BETTER_SHARES, wealth))


def needed_for_pass(
    pair: Pair,
    relative: float,
    absolute: float,
    missing: float,
    bets: Sequence[float] = BETTER_BETS,
) -> float | None:
    """Return about how many more requests of the candidate win `missing` nats; None: no number.

    At the present ratios, by the best single bet.
    """
    if not pair.n_c or not pair.n_s:
        return None

    stable = (pair.k_s + 0.5) / (pair.n_s + 1)
    candidate = (pair.k_c + stable) / (pair.n_c + 1)
    split = pair.n_c / pair.n_s

    speed = max(
        candidate * math.log1p(-bet)
        + stable / split * math.log1p(split * relative * bet)
        + absolute * bet
        for bet in bets
    )
    return max(0.0, missing) / speed if speed > SMALLEST else None
