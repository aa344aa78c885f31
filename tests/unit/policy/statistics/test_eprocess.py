"""The e-processes: E[e] <= 1 counted out for small counts, and what Ville promises."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.policy.statistics.eprocess import (
    BETTER_BETS,
    FINE_BETTER_BETS,
    FINE_RATIOS,
    FIRST_SHARE,
    RATIO_SHARES,
    RATIOS,
    Pair,
    StartMixture,
    bet_on_above,
    bet_on_better,
    bet_on_open,
    bet_on_worse,
    log_sum,
    share_begun_within,
)

ROUNDING = 1e-9
SIZES = [(1, 1), (3, 7), (8, 2), (12, 12), (2, 30)]
RATES = [0.0, 0.004, 0.05, 0.3, 0.8]
Tolerance = tuple[float, float]
TOLERANCES: list[Tolerance] = [(1.0, 0.0), (1.25, 0.002), (1.25, 0.05), (2.0, 0.1)]


def binomial(count: int, total: int, rate: float) -> float:
    return math.comb(total, count) * rate**count * (1 - rate) ** (total - count)


def expected(
    size: tuple[int, int], rates: tuple[float, float], bets: Callable[[Pair], Sequence[float]]
) -> list[float]:
    """Return E[e] of every bet, over all outcomes."""
    n_c, n_s = size
    sums = [0.0] * len(bets(Pair(n_c, 0, n_s, 0)))
    for k_c, k_s in product(range(n_c + 1), range(n_s + 1)):
        chance = binomial(k_c, n_c, rates[0]) * binomial(k_s, n_s, rates[1])
        won = bets(Pair(n_c, k_c, n_s, k_s))
        sums = [old + chance * math.exp(log_e) for old, log_e in zip(sums, won, strict=True)]
    return sums


@pytest.mark.parametrize("ratios", [RATIOS, FINE_RATIOS])
@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("size", SIZES)
def test_a_candidate_that_is_no_worse_wins_nothing_against_itself(
    size: tuple[int, int], tolerance: Tolerance, ratios: tuple[float, ...]
) -> None:
    relative, absolute = tolerance
    for rate in RATES:
        worst = min(1.0, relative * rate + absolute)
        found = expected(
            size, (worst, rate), lambda pair: bet_on_worse(pair, relative, absolute, ratios)
        )
        assert max(found) <= 1 + ROUNDING, (rate, found)


@pytest.mark.parametrize("bets", [BETTER_BETS, FINE_BETTER_BETS])
@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("size", SIZES)
def test_a_candidate_that_is_too_bad_wins_nothing_for_its_promotion(
    size: tuple[int, int], tolerance: Tolerance, bets: tuple[float, ...]
) -> None:
    relative, margin = tolerance
    for rate in RATES:
        least = relative * rate + margin
        if least <= 1:
            found = expected(
                size, (least, rate), lambda pair: bet_on_better(pair, relative, margin, bets)
            )
            assert max(found) <= 1 + ROUNDING, (rate, found)


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("total", [1, 7, 40])
def test_a_candidate_at_its_absolute_limit_wins_nothing(total: int, limit: float) -> None:
    found = expected((total, 0), (limit, 0.0), lambda pair: bet_on_above(pair, limit))
    assert max(found) <= 1 + ROUNDING


def test_the_mixture_over_starts_is_worth_one_at_every_look() -> None:
    """All outcomes of three looks, with starts placed at each of them."""
    n_c, n_s, rate = 2, 3, 0.2
    outcomes = [
        (Pair(n_c, k_c, n_s, k_s), binomial(k_c, n_c, rate) * binomial(k_s, n_s, rate))
        for k_c, k_s in product(range(n_c + 1), range(n_s + 1))
    ]

    for looks in (1, 2, 3):
        total = 0.0
        for path in product(outcomes, repeat=looks):
            starts, chance = StartMixture(), 1.0
            for number, (pair, likely) in enumerate(path):
                share = FIRST_SHARE if not number else 0.25
                starts = starts.after(bet_on_worse(pair, 1.0, 0.0), share)
                chance *= likely
            total += chance * math.exp(starts.log_e)
        assert total <= 1 + ROUNDING, looks


def test_nothing_observed_is_worth_one() -> None:
    assert StartMixture().log_e == pytest.approx(0)
    assert StartMixture().after(
        bet_on_worse(Pair(), 1.25, 0.002), FIRST_SHARE
    ).log_e == pytest.approx(0)
    assert sum(RATIO_SHARES) == pytest.approx(1)


def test_without_stable_there_is_no_evidence() -> None:
    assert set(bet_on_worse(Pair(100, 100, 0, 0), 1.25, 0.002)) == {0.0}


@given(
    n_c=st.integers(0, 10**7),
    n_s=st.integers(0, 10**7),
    bad=st.floats(0, 1),
    stable_bad=st.floats(0, 1),
)
def test_every_count_gives_a_finite_number(
    n_c: int, n_s: int, bad: float, stable_bad: float
) -> None:
    pair = Pair(n_c, int(bad * n_c), n_s, int(stable_bad * n_s))
    starts = StartMixture().after(bet_on_worse(pair, 1.25, 0.002), FIRST_SHARE)
    assert math.isfinite(starts.log_e)
    assert all(map(math.isfinite, bet_on_better(pair, 1.25, 0.01)))


@given(st.lists(st.floats(-800, 800), min_size=1))
def test_the_sum_of_logarithms_is_between_its_greatest_and_all_of_them(
    values: list[float],
) -> None:
    assert max(values) <= log_sum(values) <= max(values) + math.log(len(values)) + ROUNDING


def test_a_good_candidate_that_is_looked_at_every_five_seconds_rarely_fails() -> None:
    """300 runs of half an hour; 1 % may reach 100, so more than 9 would be a surprise of 0.1 %."""
    failed = 0

    for seed in range(300):
        chance = random.Random(seed)
        starts = StartMixture()
        for look in range(120):
            pair = Pair(40, draw(chance, 40, 0.0145), 160, draw(chance, 160, 0.01))
            starts = starts.after(
                bet_on_worse(pair, 1.25, 0.002), share_begun_within(15) if look else FIRST_SHARE
            )
            if starts.log_e >= math.log(100):
                failed += 1
                break

    assert failed <= 9


def draw(chance: random.Random, total: int, rate: float) -> int:
    return sum(chance.random() < rate for _ in range(total))


@pytest.mark.parametrize("margin", [0.01, 0.1])
@pytest.mark.parametrize("size", [(3, 7), (8, 2), (6, 12)])
@pytest.mark.parametrize("hangs", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
def test_a_candidate_whose_failures_hang_wins_nothing_for_its_promotion(
    rate: float, hangs: float, size: tuple[int, int], margin: float
) -> None:
    """All outcomes: a part of the failures of both arms is known at once, the others hang."""
    n_c, n_s = size
    worst = rate + margin
    sums = [0.0] * 3

    for failed_c, failed_s in product(range(n_c + 1), range(n_s + 1)):
        likely = binomial(failed_c, n_c, worst) * binomial(failed_s, n_s, rate)
        for k_c, k_s in product(range(failed_c + 1), range(failed_s + 1)):
            seen = binomial(k_c, failed_c, 1 - hangs) * binomial(k_s, failed_s, 1 - hangs)
            pair = Pair(n_c, k_c, n_s, k_s)
            won = bet_on_better(pair, 1.0, margin)
            lost = bet_on_open(pair, (failed_c - k_c, failed_s - k_s), margin)
            sums = [
                old + likely * seen * math.exp(a + b)
                for old, a, b in zip(sums, won, lost, strict=True)
            ]
    assert max(sums) <= 1 + ROUNDING


def test_what_is_open_never_speaks_for_a_candidate() -> None:
    pair = Pair(100, 0, 1900, 0)
    assert max(bet_on_open(pair, (5, 1900), 0.01)) < 0
    assert bet_on_open(pair, (0, 50), 0.01) == [0.0] * 3
