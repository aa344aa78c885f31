"""The Wilson interval: known values, and what says nothing."""

import pytest
from slipway.policy.statistics.wilson import wilson_interval


@pytest.mark.parametrize(
    ("bad", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_is_the_published_one(
    bad: int, total: int, low: float, high: float
) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert list(wilson_interval(bad, total, 1.959964)) == pytest.approx([low, high], abs=1e-4)


def test_no_samples_say_nothing() -> None:
    assert wilson_interval(0, 0, 3) == (0, 1)
