"""What a promoted revision is watched by: its own rollout, and nothing else."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.api.counters import Counters
from slipway.api.modeldeployment import AfterPromotionStatus
from slipway.policy.promotion_watch import (
    LEAST_REQUESTS,
    PromotionWatch,
    begin_watch,
    find_limit,
    find_worsening,
    look_again,
    record_level,
)
from slipway.policy.served import Served, total_served

from tests.builders import NOON, counted

REVISION = "5" * 8
MINUTE = 60


def a_level(requests: int = 10_000, errors: int = 100, hours: int = 24) -> AfterPromotionStatus:
    answers = [counted("a", {REVISION: (requests, errors, 0)})]
    level = record_level(REVISION, total_served(answers, "digits", REVISION), hours, NOON)
    assert level is not None
    return level


class Watched:
    """A promoted revision, looked at once a minute."""

    def __init__(self, level: AfterPromotionStatus, per_second: float, seed: int = 1) -> None:
        self.level, self.per_second = level, per_second
        self.random = np.random.default_rng(seed)
        self.total = [50_000, 0]
        self.minutes = 0
        self.watch: PromotionWatch = begin_watch(level, self.answers(), "digits", NOON)

    def answers(self, proxy: str = "a") -> list[Counters | None]:
        return [counted(proxy, {REVISION: (self.total[0], self.total[1], 0)})]

    def look(self, errors: float, minutes: int = 1) -> str | None:
        """Let requests fail with a chance of `errors`; return what is found at last."""
        for _ in range(minutes):
            self.minutes += 1
            requests = self.random.poisson(self.per_second * MINUTE)
            self.total[0] += int(requests)
            self.total[1] += int(self.random.binomial(requests, errors))
            now = NOON + timedelta(minutes=self.minutes)
            self.watch = look_again(self.watch, self.level, self.answers(), "digits", now)
        return find_worsening(self.watch, self.level)

    def minutes_to_find(self, errors: float, most: int) -> int:
        began = self.minutes
        while self.minutes - began < most:
            if self.look(errors) is not None:
                return self.minutes - began
        raise AssertionError(f"nothing found in {most} minutes")


def test_the_level_is_what_the_rollout_counted() -> None:
    level = a_level()
    assert (level.requests, level.errors, level.revision) == (10_000, 100, REVISION)
    assert level.until == "2026-11-22T12:00:00.000Z"
    assert level.slow_millis is not None
    assert level.slow <= 100


@pytest.mark.parametrize("served", [None, Served(LEAST_REQUESTS - 1, 0)])
def test_too_few_requests_are_no_level(served: Served | None) -> None:
    assert record_level(REVISION, served, 24, NOON) is None


@pytest.mark.parametrize("per_second", [0.2, 1.0, 30.0])
def test_a_version_that_stays_as_it_was_is_never_reported(per_second: float) -> None:
    for seed in range(5):
        watched = Watched(a_level(), per_second, seed)
        for _ in range(24):
            assert watched.look(0.01, 60) is None


def test_nor_is_one_with_a_third_more_errors() -> None:
    watched = Watched(a_level(), 100.0)
    for _ in range(24):
        assert watched.look(0.0133, 60) is None


@pytest.mark.parametrize(("quiet_minutes", "errors"), [(0, 0.05), (600, 0.05), (1200, 0.5)])
def test_a_fault_is_found_soon_also_after_a_good_day(quiet_minutes: int, errors: float) -> None:
    watched = Watched(a_level(), 30.0)
    assert watched.look(0.01, quiet_minutes) is None
    assert 5 <= watched.minutes_to_find(errors, 60) <= 15


def test_what_is_found_is_one_line_with_both_numbers() -> None:
    watched = Watched(a_level(), 100.0)
    found = watched.look(1.0, 10)
    assert found is not None
    assert found.startswith("errors: 100.00% of ")
    assert found.endswith("in the last minutes, 1.00% of 10,000 before the promotion")


def test_an_outage_of_three_minutes_is_not_reported() -> None:
    watched = Watched(a_level(), 100.0)
    found = [watched.look(0.5, 1) for _ in range(3)] + [watched.look(0.01, 1) for _ in range(60)]
    assert set(found) == {None}


def test_a_level_of_few_requests_bounds_little() -> None:
    assert find_limit(0, 100) > 3 * find_limit(0, 10_000)
    assert find_limit(90, 100) == 0.9


def test_slow_answers_are_those_that_were_slow_in_the_rollout() -> None:
    level = a_level(10_000, 0).model_copy(update={"slow_millis": 20.0, "slow": 50})
    slow = [counted("a", {REVISION: (n, 0, n // 3)}) for n in (0, *range(3_000, 60_000, 3_000))]
    watch = begin_watch(level, slow[:1], "digits", NOON)
    for minute, answer in enumerate(slow[1:], 1):
        watch = look_again(watch, level, [answer], "digits", NOON + timedelta(minutes=minute))
    found = find_worsening(watch, level)
    assert found is not None
    assert found.startswith("answers over 20 ms: 33.33%")


def test_a_router_pod_that_is_new_or_silent_adds_nothing_of_its_past() -> None:
    level = a_level()
    one, other = (counted(name, {REVISION: (900_000, 900_000, 0)}) for name in ("a", "b"))
    watch = begin_watch(level, [None], "digits", NOON)
    heard: list[list[Counters | None]] = [[one], [one, other], [None], [other, one]]
    for minute, answers in enumerate(heard * 5, 1):
        watch = look_again(watch, level, answers, "digits", NOON + timedelta(minutes=minute))
    assert watch.now.requests == 0
    assert find_worsening(watch, level) is None


@settings(max_examples=60)
@given(
    level=st.tuples(st.integers(LEAST_REQUESTS, 10**12), st.floats(0, 1)),
    looks=st.lists(
        st.tuples(st.integers(0, 10**12), st.floats(0, 1), st.integers(-90_000, 900_000)),
        max_size=8,
    ),
)
def test_no_numbers_and_no_clock_stop_it(
    level: tuple[int, float], looks: list[tuple[int, float, int]]
) -> None:
    known = a_level(level[0], int(level[0] * level[1]))
    now, total = NOON, [0, 0]
    watch = begin_watch(known, [], "digits", now)
    for requests, share, seconds in looks:
        total = [total[0] + requests, total[1] + int(requests * share)]
        now += timedelta(seconds=seconds)
        answers = [counted("a", {REVISION: (total[0], total[1], 0)})]
        watch = look_again(watch, known, answers, "digits", now)
        find_worsening(watch, known)
    assert len(watch.starts) <= len(looks) + 1
