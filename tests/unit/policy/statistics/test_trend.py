"""The ranks of windows: E[e] = 1 counted out over all orders, and what Ville promises."""

import math
import random
from itertools import permutations

import pytest
from slipway.policy.statistics.trend import EXPONENTS, MOST_WINDOWS, Trend, log_paid


def ranked(values: list[float]) -> Trend:
    trend = Trend()
    for value in values:
        trend = trend.with_window(value)
    return trend


@pytest.mark.parametrize("number", range(1, 7))
def test_over_all_orders_every_bet_is_worth_one(number: int) -> None:
    orders = list(permutations(map(float, range(number))))
    wealth = [ranked(list(order)).wealth for order in orders]
    for bet in range(len(EXPONENTS)):
        mean = sum(math.exp(won[bet]) for won in wealth) / len(orders)
        assert mean == pytest.approx(1)


@pytest.mark.parametrize("number", range(2, 7))
def test_whatever_came_before_the_next_bet_is_worth_one(number: int) -> None:
    """So looks may stop the run where they like: the product is a martingale."""
    earlier = [float(2 * place) for place in range(1, number)]
    gaps = [float(2 * place + 1) for place in range(number)]
    for bet in range(len(EXPONENTS)):
        paid = [math.exp(log_paid([*earlier, newest])[bet]) for newest in gaps]
        assert sum(paid) / number == pytest.approx(1)


def test_windows_that_are_all_the_same_say_nothing() -> None:
    assert ranked([0.25] * 40).log_e == pytest.approx(0)


def test_a_number_that_grows_is_found_within_a_dozen_windows() -> None:
    assert ranked([0.05 * number for number in range(10)]).log_e > math.log(1000)


def test_a_number_that_falls_or_jumps_once_is_no_growth() -> None:
    assert ranked([-0.05 * number for number in range(30)]).log_e < 0
    chance = random.Random(3)
    jump = [chance.gauss(0.3 if number >= 4 else 0, 0.1) for number in range(30)]
    assert ranked(jump).log_e < math.log(100)


def test_of_windows_without_growth_hardly_one_run_in_a_hundred_ever_reaches_a_hundred() -> None:
    chance, reached, runs = random.Random(7), 0, 1500
    for _ in range(runs):
        trend, most = Trend(), 0.0
        for _ in range(80):
            trend = trend.with_window(chance.gauss(0, 1))
            most = max(most, trend.log_e)
        reached += most >= math.log(100)
    assert reached <= 0.01 * runs


def test_ranks_begin_anew_and_what_they_won_stays() -> None:
    full = ranked([float(number) for number in range(MOST_WINDOWS)])
    assert full.values == ()
    assert full.log_e > math.log(100)
    assert full.with_window(1.0).log_e == pytest.approx(full.log_e)
