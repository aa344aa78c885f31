"""The limits of the study, and what follows from the definition."""

import pytest

from tests.bench.analysis.limits import known_baseline, limit

STUDY = {
    (0.01, 1.0): (1.0, 1.3, None, 1.4),
    (0.01, 0.2): (11, 13, 40, 15),
    (0.001, 0.05): (31, 41, 148, 57),
    (0.01, 0.05): (112, 123, 308, 186),
    (0.001, 0.01): (327, 375, 1073, 1063),
    (0.01, 0.02): (1177, 1257, 2671, 5173),
}
"""Stable and candidate: baseline known; unknown at 5% and 50%; with the tolerance at 5%."""


@pytest.mark.parametrize("fault", STUDY)
def test_the_limits_of_the_study(fault: tuple[float, float]) -> None:
    known, at_5, at_50, tolerated = STUDY[fault]

    def is_near(value: float) -> object:
        return pytest.approx(value, rel=0.001, abs=0.05 if value < 2 else 0.6)

    assert known_baseline(*fault) == is_near(known)
    assert limit(*fault, 0.05) == is_near(at_5)
    assert limit(*fault, 0.05, relative=0.25, absolute=0.002) == is_near(tolerated)
    if at_50 is not None:
        assert limit(*fault, 0.5) == is_near(at_50)


def test_a_baseline_that_must_be_learnt_costs_more_than_one_that_is_known() -> None:
    small = limit(0.01, 0.05, 0.001)
    assert known_baseline(0.01, 0.05) < small < limit(0.01, 0.05, 0.5)
    assert small == pytest.approx(known_baseline(0.01, 0.05), rel=0.01)
