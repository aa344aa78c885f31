"""Drift: known values, healthy candidates that stay unsuspected, and shifts that are found."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from slipway.policy.statistics import drift
from slipway.policy.statistics.drift import (
    MOST_BINS,
    SHIFT,
    Shift,
    chi_square_quantile,
    measure_shift,
    stability_index,
)

STEP = "2026-11-21T12:00:00.000Z"
TEN = tuple(f"class-{n}" for n in range(10))
EVEN = (1.0,) * 10


def walk(
    candidate: tuple[float, ...],
    stable: tuple[float, ...],
    looks: tuple[int, ...],
    seed: int = 1,
    *,
    stored_every: int = 1,
) -> list[Shift]:
    """Look whenever the candidate has answered so many; stable answers 19 times as often."""
    source = np.random.default_rng(seed)
    arms = [np.array(shares) / sum(shares) for shares in (candidate, stable)]
    totals = [np.full(10, 7), np.arange(10) * 900]
    state: str | None = measure_shift(
        None, STEP, named(totals[0]), named(totals[1])
    ).memory.encode()
    found = []
    for number, (before, now) in enumerate(pairwise((0, *looks))):
        totals[0] = totals[0] + source.multinomial(now - before, arms[0])
        totals[1] = totals[1] + source.multinomial(19 * (now - before), arms[1])
        found.append(measure_shift(state, STEP, named(totals[0]), named(totals[1])))
        if number % stored_every == 0:
            state = found[-1].memory.encode()
    return found


def named(counts: Iterable[int]) -> dict[str, float]:
    return {name: float(count) for name, count in zip(TEN, counts, strict=True)}


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (((50, 50), (50, 50)), 0.0),
        (((30, 50), (70, 50)), 0.1695),
        (((10, 50), (90, 50)), 0.8789),
    ],
)
def test_the_index_is_the_textbooks(pairs: tuple[tuple[int, int], ...], expected: float) -> None:
    assert stability_index(pairs) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("freedom", "level", "expected"),
    [(1, 0.99, 6.635), (9, 0.99, 21.666), (9, 0.999, 27.877), (49, 0.995, 78.231)],
)
def test_the_quantiles_are_those_of_the_tables(freedom: int, level: float, expected: float) -> None:
    assert chi_square_quantile(freedom, level) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("looks", [(100,), tuple(range(20, 1601, 20))], ids=["one", "hundred"])
@pytest.mark.parametrize("stored_every", [1, 6])
def test_healthy_candidates_raise_no_alarm(looks: tuple[int, ...], stored_every: int) -> None:
    """Of 400 healthy candidates 1 % are 4; 10 would be beyond chance."""
    shares = (30.0, 20.0, 15.0, 10.0, 8.0, 6.0, 4.0, 3.0, 2.0, 2.0)
    alarms = [
        seed
        for seed in range(400)
        if any(
            shift.is_large for shift in walk(shares, shares, looks, seed, stored_every=stored_every)
        )
    ]
    assert len(alarms) < 10


def test_a_fixed_limit_would_suspect_a_third_of_them() -> None:
    over = [walk(EVEN, EVEN, (100,), seed)[-1].index or 0 for seed in range(200)]
    assert sum(index > 0.1 for index in over) > 40


def test_a_large_shift_is_found() -> None:
    moved = (10.0, 0.5, 0.5, *EVEN[3:])
    assert all(walk(moved, EVEN, (100, 200, 400), seed)[-1].is_large for seed in range(50))


def test_a_shift_that_matters_to_nobody_is_not_large() -> None:
    shift = walk((1.2, *EVEN[1:]), EVEN, (100, 200, 400, 800, 1600, 3200, 6400))[-1]
    assert shift.index is not None
    assert 0 < shift.index < SHIFT
    assert not shift.is_large


def test_nothing_is_said_before_the_first_sample() -> None:
    shift = walk(EVEN, EVEN, (99,))[-1]
    assert (shift.index, shift.samples) == (None, 99)
    assert not shift.is_large


def test_what_was_counted_before_the_step_does_not_count() -> None:
    old = {"a": 1e6, "b": 3.0}
    first = measure_shift(None, STEP, old, old)
    later = measure_shift(
        first.memory.encode(), STEP, {"a": 1e6 + 60, "b": 43.0}, {"a": 1e6 + 60, "b": 43.0}
    )
    assert (later.samples, later.baseline_samples) == (100, 100)


def test_a_counter_that_goes_back_begins_anew_and_accuses_nobody() -> None:
    state = measure_shift(None, STEP, {"a": 50.0}, {"a": 500.0}).memory.encode()
    again = measure_shift(state, STEP, {"a": 0.0, "b": 400.0}, {"a": 900.0})
    assert again.samples == 0
    assert not again.is_large


def test_another_step_begins_anew() -> None:
    state = walk(EVEN, EVEN, (100, 400))[-1].memory.encode()
    assert measure_shift(state, "another", {"a": 1.0}, {"a": 1.0}).samples == 0


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '["x",1,2,3]', '["x",1,2,3,{"a":[1]}]'])
def test_a_broken_memory_begins_anew(text: str) -> None:
    assert measure_shift(text, "x", {"a": 1.0}, {"a": 1.0}).samples == 0


def test_the_memory_of_all_bins_fits() -> None:
    counts = {f"a class with a rather long name, number {n}": 1e10 - n for n in range(MOST_BINS)}
    assert len(measure_shift(None, STEP, counts, counts).memory.encode()) <= 2048


def test_one_class_cannot_shift() -> None:
    assert drift.psi_and_limit(((200, 4000),), 0.01) == (0.0, SHIFT)
