"""Windows in which rollouts move: when they open, also on days on which clocks change."""

from datetime import UTC, datetime

import pytest
from slipway.api.modeldeployment import Window
from slipway.policy.windows import (
    NEVER,
    find_closing,
    find_next_opening,
    find_window_problem,
)


def window(schedule: str, minutes: int = 60, zone: str = "UTC") -> Window:
    return Window(schedule=schedule, duration_minutes=minutes, time_zone=zone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


OFFICE = window("0 9 * * MON-FRI", 8 * 60, "Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "opens_at"),
    [
        pytest.param("2026-07-24T06:59:59", "2026-07-24T07:00:00", id="a second before it opens"),
        pytest.param("2026-07-24T07:00:00", None, id="as it opens"),
        pytest.param("2026-07-24T14:59:59", None, id="its last second"),
        pytest.param("2026-07-24T15:00:00", "2026-07-27T07:00:00", id="over, for the weekend"),
        pytest.param("2026-01-02T07:30:00", "2026-01-02T08:00:00", id="an hour later in winter"),
    ],
)
def test_a_window_opens_by_the_clocks_of_its_zone(now: str, opens_at: str | None) -> None:
    found = find_next_opening((OFFICE,), at(now))
    assert found == (at(opens_at) if opens_at else None)


def test_a_window_over_midnight_is_open_on_the_next_day() -> None:
    assert find_next_opening((window("0 22 * * *", 180),), at("2026-07-24T00:59:00")) is None


def test_a_start_that_the_clocks_skip_comes_right_after() -> None:
    early = window("30 2 * * *", 10, "Europe/Berlin")
    found = find_next_opening((early,), at("2026-03-29T00:00:00"))
    assert found == at("2026-03-29T01:00:00")


def test_a_duration_counts_real_minutes_when_clocks_go_back() -> None:
    night = window("0 1 * * *", 120, "Europe/Berlin")
    assert find_next_opening((night,), at("2026-10-25T00:59:00")) is None
    assert find_next_opening((night,), at("2026-10-25T01:00:00")) is not None


def test_of_several_windows_the_first_to_open_counts() -> None:
    both = (window("0 20 * * *"), window("0 14 * * *"))
    assert find_next_opening(both, at("2026-07-24T12:00:00")) == at("2026-07-24T14:00:00")
    assert find_next_opening(both, at("2026-07-24T20:30:00")) is None


def test_without_windows_it_is_always_open() -> None:
    assert find_next_opening((), at("2026-07-24T12:00:00")) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (window("61 * * * *"), "windows[1].schedule: found '61 * * * *', expected five fields"),
        (window("0 0 30 2 *"), "windows[1].schedule: found '0 0 30 2 *'"),
        (window("0 9 * * *", zone="Mars/Base"), "windows[1].timeZone: found Mars/Base, expected"),
        (window("0 9 * * *", zone="Europe"), "windows[1].timeZone: found Europe"),
    ],
)
def test_what_nobody_can_read_is_named_and_never_opens(wrong: Window, said: str) -> None:
    problem = find_window_problem((OFFICE, wrong))
    assert problem is not None
    assert said in problem
    assert find_next_opening((wrong,), at("2026-07-24T12:00:00")) == NEVER


def test_good_windows_have_no_problem() -> None:
    assert find_window_problem((OFFICE, window("*/5 0-6 1,15 JAN FRI#1"))) is None


@pytest.mark.parametrize(
    ("windows", "now", "closes_at"),
    [
        pytest.param((OFFICE,), "2026-07-24T08:00:00", "2026-07-24T15:00:00", id="one"),
        pytest.param((OFFICE,), "2026-07-24T15:00:00", None, id="closed"),
        pytest.param(
            (window("0 9 * * *", 120), window("0 10 * * *", 180)),
            "2026-07-24T09:30:00",
            "2026-07-24T13:00:00",
            id="two that overlap",
        ),
        pytest.param((), "2026-07-24T08:00:00", None, id="none at all"),
    ],
)
def test_a_window_closes_with_the_last_that_overlaps(
    windows: tuple[Window, ...], now: str, closes_at: str | None
) -> None:
    assert find_closing(windows, at(now)) == (at(closes_at) if closes_at else None)


def test_windows_without_a_gap_never_close() -> None:
    assert find_closing((window("0 * * * *"),), at("2026-07-24T09:30:00")) == NEVER
