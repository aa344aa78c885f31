"""The limit for calls."""

import pytest
from slipway.engine.rate_limit import TokenBucket

from tests.unit.engine.fakes import FakeClock


def test_a_burst_passes_and_then_the_rate_counts() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=10, burst=3, now=clock)
    assert [bucket.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_what_was_not_used_comes_back_up_to_the_burst() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=10, burst=3, now=clock)
    for _ in range(3):
        bucket.reserve()
    clock.forward(100)

    assert [bucket.try_take() for _ in range(4)] == [True, True, True, False]


def test_a_pause_holds_everybody_up() -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate=10, burst=3, now=clock)
    bucket.pause(2)

    assert bucket.reserve() == pytest.approx(2.1)

    clock.forward(3)
    assert bucket.reserve() == 0
