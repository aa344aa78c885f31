"""The golden set's figures, against the definition worked out in fractions."""

from fractions import Fraction
from itertools import product
from math import comb

import pytest
from slipway.policy.statistics.agreement import (
    PairedAgreement,
    compare_paired,
    lower_bound,
    mcnemar_p,
)


def at_least(count: int, total: int, share: Fraction) -> Fraction:
    """Return P(X ≥ count) exactly."""
    return sum(
        (comb(total, n) * share**n * (1 - share) ** (total - n) for n in range(count, total + 1)),
        start=Fraction(0),
    )


@pytest.mark.parametrize("total", range(1, 13))
def test_the_bound_is_where_the_tail_is_five_percent(total: int) -> None:
    for agreed in range(1, total + 1):
        bound = Fraction(lower_bound(agreed, total))
        off = Fraction(1, 10**9)
        assert at_least(agreed, total, bound - off) < Fraction(1, 20)
        assert at_least(agreed, total, bound + off) > Fraction(1, 20)


@pytest.mark.parametrize("total", [1, 5, 20])
@pytest.mark.parametrize("share", [Fraction(1, 10), Fraction(1, 2), Fraction(9, 10)])
def test_the_bound_is_above_the_truth_at_most_once_in_twenty(total: int, share: Fraction) -> None:
    wrong = sum(
        comb(total, n) * share**n * (1 - share) ** (total - n)
        for n in range(total + 1)
        if lower_bound(n, total) > share
    )
    assert wrong <= Fraction(1, 20)


@pytest.mark.parametrize(
    ("agreed", "total", "bound"),
    [
        (0, 10, 0.0),
        (10, 10, 0.05 ** (1 / 10)),
        (1, 1, 0.05),
        (50_000, 50_000, 0.05 ** (1 / 50_000)),
    ],
)
def test_the_ends_have_a_closed_form(agreed: int, total: int, bound: float) -> None:
    assert lower_bound(agreed, total) == pytest.approx(bound, rel=1e-9)


@pytest.mark.parametrize("discordant", range(13))
def test_the_p_value_counts_every_outcome_that_is_as_uneven(discordant: int) -> None:
    for worse in range(discordant + 1):
        better = discordant - worse
        as_uneven = sum(
            abs(2 * sum(sides) - discordant) >= abs(worse - better)
            for sides in product((0, 1), repeat=discordant)
        )
        assert mcnemar_p(worse, better) == as_uneven / 2**discordant


@pytest.mark.parametrize(
    ("worse", "better", "p", "has_regressed"),
    [
        (0, 0, 1.0, False),
        (3, 0, 0.25, False),
        (7, 0, 2 / 128, False),
        (8, 0, 2 / 256, True),
        (0, 8, 2 / 256, False),
        (20, 10, 0.0987, False),
        (30, 10, 0.00222, True),
    ],
)
def test_a_candidate_regresses_beyond_chance_and_to_the_worse_only(
    worse: int, better: int, p: float, has_regressed: bool
) -> None:
    found = PairedAgreement(agreed=40, worse=worse, better=better)
    assert found.p == pytest.approx(p, rel=0.01)
    assert found.has_regressed is has_regressed


def test_the_same_cases_are_compared_one_by_one() -> None:
    found = compare_paired([True, False, False, True, False], [True, True, True, False, False])
    assert found == PairedAgreement(agreed=3, worse=2, better=1)
    assert str(found) == "compared with stable: 2 worse, 1 better, p = 1"
