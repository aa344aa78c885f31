"""A request rate out of two readings of counters that only grow."""

from datetime import timedelta

import pytest
from slipway.api.counters import Counters
from slipway.policy.measured_traffic import (
    MeasuredTraffic,
    TrafficTotals,
    measure_traffic,
    total_traffic,
)

from tests.builders import NOON, counted

STABLE, OLD = "5" * 8, "0" * 8


def totals(*answers: Counters | None, seconds: float = 0) -> TrafficTotals | None:
    return total_traffic(answers, "digits", STABLE, NOON + timedelta(seconds=seconds))


def measured(before: TrafficTotals | None, after: TrafficTotals | None) -> MeasuredTraffic | None:
    assert before is not None
    assert after is not None
    return measure_traffic(before, after)


def test_the_requests_of_all_revisions_at_all_proxies_make_the_rate() -> None:
    first = totals(counted("a", {STABLE: (100, 1, 0)}), counted("b", {STABLE: (100, 3, 0)}))
    then = totals(
        counted("a", {STABLE: (150, 1, 0), OLD: (10, 0, 0)}),
        counted("b", {STABLE: (240, 3, 0)}),
        seconds=20,
    )
    found = measured(first, then)

    assert found is not None
    assert (found.requests, found.seconds, found.per_second) == (200, 20, 10)
    assert found.error_ratio == pytest.approx(4 / 390)


def test_nothing_is_measured_where_a_proxy_does_not_answer_or_none_is_there() -> None:
    assert totals(counted("a", {STABLE: (100, 1, 0)}), None) is None
    assert totals() is None


def test_other_proxies_than_before_are_measured_anew() -> None:
    first = totals(counted("a", {STABLE: (100, 0, 0)}))
    other = totals(counted("b", {STABLE: (120, 0, 0)}), seconds=20)
    both = totals(
        counted("a", {STABLE: (110, 0, 0)}), counted("b", {STABLE: (5_000, 0, 0)}), seconds=20
    )
    assert measured(first, other) is None
    assert measured(first, both) is None


def test_counters_and_clocks_that_go_back_measure_nothing() -> None:
    first = totals(counted("a", {STABLE: (100, 0, 0)}))
    assert measured(first, totals(counted("a", {STABLE: (99, 0, 0)}), seconds=20)) is None
    assert measured(first, totals(counted("a", {STABLE: (200, 0, 0)}), seconds=-5)) is None
    assert measured(first, totals(counted("a", {STABLE: (100, 0, 0)}))) is None


@pytest.mark.parametrize(
    ("seconds", "requests", "is_telling"),
    [(9, 10_000, False), (10, 49, False), (10, 50, True), (29, 3, False), (30, 0, True)],
)
def test_few_requests_take_longer_to_tell_a_rate(
    seconds: float, requests: int, is_telling: bool
) -> None:
    assert MeasuredTraffic(seconds, requests).is_telling is is_telling
