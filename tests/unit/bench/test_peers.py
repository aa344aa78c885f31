"""The peers against vectors made by hand, and against scipy where it computes the same."""

import itertools
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.peers.kayenta import Kayenta, classify, rank_z, score, shift_of
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.simulate import Run, simulate

MINUTE = 12
"""Ticks."""


def canary(minutes: list[tuple[int, int]], baseline: tuple[int, int] = (100, 1)) -> Run:
    """Return a run with so many requests and errors of the candidate in each minute."""
    scenario = Scenario("by hand", 10, seconds=60 * len(minutes))
    run = simulate(scenario, np.random.default_rng(1))
    requests, errors = np.zeros((2, len(minutes) * MINUTE), int)
    beside = np.zeros((2, len(minutes) * MINUTE), int)

    for number, (seen, bad) in enumerate(minutes):
        last = (number + 1) * MINUTE - 1
        requests[last], errors[last] = seen, bad
        beside[:, last] = baseline

    both = np.stack([requests, requests], 1)[:, :, None]
    return replace(
        run,
        requests=both,
        errors=np.stack([errors, errors], 1)[:, :, None],
        baseline=(beside[0], beside[1]),
        mean_millis=np.full((len(requests), 2), 40.0),
    )


GOOD, BAD, NOTHING = (100, 0), (100, 10), (0, 0)


def minute_of(tick: int) -> int:
    return (tick + 1) // MINUTE


def test_flagger_rolls_back_one_interval_after_the_fifth_failed_check() -> None:
    assert minute_of(Flagger().stops(canary([GOOD, *[BAD] * 9]))) == 7


def test_flagger_never_forgets_a_failed_check() -> None:
    assert minute_of(Flagger().stops(canary([BAD, GOOD] * 6))) == 10


def test_flagger_takes_no_traffic_for_a_failed_check() -> None:
    assert minute_of(Flagger().stops(canary([NOTHING] * 8))) == 6


def test_flagger_passes_what_is_exactly_at_its_limit() -> None:
    assert Flagger().stops(canary([(100, 1)] * 60)) == -1


def test_argo_aborts_at_the_fourth_failed_measurement() -> None:
    rule = Argo(interval=60, range=60)
    assert minute_of(rule.stops(canary([BAD, GOOD, BAD, BAD, BAD, GOOD]))) == 5
    assert rule.stops(canary([BAD, BAD, BAD, GOOD, GOOD])) == -1


def test_argo_fails_a_measurement_without_traffic() -> None:
    assert minute_of(Argo(interval=60, range=60).stops(canary([NOTHING] * 8))) == 4


def test_argos_sample_looks_at_the_last_two_scrapes_only() -> None:
    early = canary([GOOD] * 30)
    early.errors[:, 0, 0][MINUTE - 4 :: MINUTE] = 50
    early.requests[:, 0, 0][MINUTE - 4 :: MINUTE] = 100
    assert Argo(failure_limit=0).stops(early) == -1
    assert Argo(failure_limit=0, range=60).stops(early) >= 0


def test_the_rank_sum_by_hand() -> None:
    above, below = np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert rank_z(0, above, below) == pytest.approx((9 - 4.5 - 0.5) / (3 * 3 / 12 * 7) ** 0.5)


def test_the_rank_sum_with_ties_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        x, y = rng.integers(0, 6, 14).astype(float), rng.integers(1, 8, 11).astype(float)
        tested = mannwhitneyu(x, y, method="asymptotic", use_continuity=True)
        p = 2 * NormalDist().cdf(-abs(rank_z(0, x, y)))
        assert p == pytest.approx(min(1.0, tested.pvalue), abs=1e-9)


def test_the_shift_is_the_median_of_all_differences() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(12, 2, 30), rng.normal(10, 2, 30)
    by_hand = np.median([a - b for a, b in itertools.product(x, y)])
    shift = shift_of(x, y)
    assert shift.estimate == pytest.approx(by_hand, abs=0.05)
    assert shift.lower < shift.estimate < shift.upper


def test_the_interval_holds_what_the_test_does_not_reject() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(3, 1, 25), rng.normal(0, 1, 20)
    shift = shift_of(x, y, confidence=0.98)
    z = NormalDist().inv_cdf(0.99)
    assert abs(rank_z(shift.lower + 0.02, x, y)) <= z <= abs(rank_z(shift.lower - 0.02, x, y))


@pytest.mark.parametrize(
    ("experiment", "control", "label"),
    [
        ([20.5, 21, 22, 19, 23, 20, 21.5, 24], [10, 11, 9, 12, 10.5, 8, 11.5, 9.5], "High"),
        ([10, 11, 9, 12, 10.5, 8, 11.5, 9.5], [20.5, 21, 22, 19, 23, 20, 21.5, 24], "Low"),
        ([10, 11, 9, 12, 10.5, 8, 11.5, 9.5], [10.2, 11.1, 9.1, 11, 10.4, 8.5, 11, 9], "Pass"),
        ([1, 1, 1], [1, 1], "Pass"),
        ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1], "Pass"),
        ([0, 1, 1, 1, 1], [1, 1, 1, 1, 1], "Pass"),
        ([0, 1, 2, 1, 0, 0], [0, 0, 0, 0, 0, 0], "Pass"),
        ([], [1, 2, 3], "Nodata"),
        ([float("nan")], [1, 2, 3], "Nodata"),
    ],
    ids=["high", "low", "alike", "tied", "identical", "leading zero", "sparse", "empty", "nan"],
)
def test_labels(experiment: list[float], control: list[float], label: str) -> None:
    assert classify(np.array(experiment, float), np.array(control, float)) == label


def test_a_score_is_the_weighted_share_of_pass() -> None:
    labels = {"errors": ["Pass", "High"], "latency": ["Pass"], "none": ["Nodata"]}
    assert score(labels, {"errors": 50}) == pytest.approx(75)
    assert score({"errors": ["High"]}, {}) == 0


def test_kayenta_fails_a_canary_at_the_first_look_that_is_high() -> None:
    noisy = [(100, 8 + minute % 5) for minute in range(20)]
    assert minute_of(Kayenta(metrics=("errors",)).stops(canary(noisy))) == 10
    assert Kayenta().stops(canary([(100, minute % 3) for minute in range(20)])) == -1
