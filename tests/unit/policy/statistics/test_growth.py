"""What goes on growing, and what only warms up, is collected, or began anew."""

import math
import random
from collections.abc import Callable

import pytest
from slipway.policy.statistics.growth import FEWEST, MOST, SETTLING, GrowthSeries, steady_rate

Held = Callable[[float], float]
"""Megabytes by minutes."""


def series_of(held: Held, minutes: float, *, noise: float = 4.0, seed: int = 1) -> GrowthSeries:
    """Return what is kept of a sample every quarter of a minute."""
    chance, series = random.Random(seed), GrowthSeries()
    for quarter in range(round(4 * minutes)):
        megabytes = held(quarter / 4) + chance.gauss(0, noise)
        series = series.with_sample(1000 + quarter // 4, int(1e6 * max(0.0, megabytes)))
    return series


def leaking(rate: float) -> Held:
    return lambda minute: 300 + rate * minute


def warming_up(minutes: float) -> Held:
    """Half a gigabyte, of which all but a third is there after so many minutes."""
    return lambda minute: 300 + 500 * (1 - math.exp(-minute / minutes))


def collected(every: float) -> Held:
    return lambda minute: 300 + 200 * (minute % every) / every


def times_suspected(held: Held, minutes: float = 11, runs: int = 200) -> int:
    found = (steady_rate(series_of(held, minutes, seed=seed)) for seed in range(runs))
    return sum(rate is not None for rate in found)


@pytest.mark.parametrize("rate", [10, 40])
def test_a_leak_goes_on_and_its_rate_is_known(rate: float) -> None:
    assert times_suspected(leaking(rate)) >= 180
    found = steady_rate(series_of(leaking(rate), 11))
    assert found == pytest.approx(1e6 * rate, rel=0.2)


@pytest.mark.parametrize(
    "held", [leaking(0), warming_up(1), warming_up(2), warming_up(3), collected(3), collected(7)]
)
def test_what_warms_up_or_is_collected_is_no_leak(held: Held) -> None:
    assert times_suspected(held) == 0


def test_what_fills_slowly_is_no_leak_once_it_is_slower() -> None:
    early, late = (times_suspected(warming_up(10), minutes) for minutes in (11, 40))
    assert early > 50
    assert late < 20


def test_what_falls_and_rises_by_chance_is_rarely_taken_for_a_leak() -> None:
    found = 0
    for seed in range(200):
        chance, walk = random.Random(seed), [300.0]
        for _ in range(44):
            walk.append(walk[-1] + chance.gauss(0, 5))
        steps = iter(walk)
        found += steady_rate(series_of(lambda _: next(steps), 11, noise=0)) is not None  # noqa: B023
    assert found < 30


def test_the_first_minutes_and_the_one_under_way_do_not_count() -> None:
    enough = SETTLING + FEWEST + 1
    assert steady_rate(series_of(leaking(40), enough - 1)) is None
    assert steady_rate(series_of(leaking(40), enough)) is not None


def test_of_a_minute_the_least_counts_in_any_order() -> None:
    series = GrowthSeries().with_sample(5, 900).with_sample(5, 300).with_sample(5, 700)
    assert series.minutes == ((5, 300),)


def test_an_older_sample_is_known_already() -> None:
    series = GrowthSeries().with_sample(5, 300).with_sample(6, 310)
    assert series.with_sample(5, 100) == series


@pytest.mark.parametrize(("minute", "held"), [(1013, 100), (1016, 800)])
def test_a_container_or_a_silence_begins_anew(minute: int, held: int) -> None:
    series = series_of(leaking(40), 11).with_sample(minute, held * 10**6)
    assert (series.began, len(series.minutes)) == ((minute, 1) if minute == 1016 else (1013, 1))


def test_no_more_minutes_are_kept_than_are_needed() -> None:
    assert len(series_of(leaking(1), 100).minutes) == MOST
