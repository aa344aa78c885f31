"""Evidence from pairs: E[e] <= 1 counted out, what Ville promises counted out, and the bound."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from slipway.policy.statistics.pairs import (
    PairTable,
    bound_excess,
    clean_pairs_for,
    log_above,
    log_against,
    log_below,
    log_for,
    log_mostly,
)

ROUNDING = 1e-9
SURE = math.log(20)
TOLERANCES = [(1.0, 0.0), (1.0, 0.05), (1.25, 0.001), (1.25, 0.1), (2.0, 0.02)]
RATES = [0.0, 0.01, 0.1, 0.4]
OVERLAPS = [0.0, 0.5, 1.0]
"""How much of stable's events the candidate shares: none, half, all that it can."""
Chances = tuple[float, float, float]
"""Of an event of the candidate alone, of stable alone, of both."""


def chances_of(candidate: float, stable: float, overlap: float) -> Chances | None:
    """Return the chances of the kinds of pair; None: no pair can be like this."""
    both = overlap * min(candidate, stable)
    only_candidate, only_stable = candidate - both, stable - both
    if candidate > 1 or both + only_candidate + only_stable > 1:
        return None
    return only_candidate, only_stable, both


def tables(size: int, chances: Chances) -> Iterator[tuple[float, PairTable]]:
    """Yield every table of so many pairs, with its chance."""
    neither = max(0.0, 1 - sum(chances))
    for one in range(size + 1):
        for other in range(size + 1 - one):
            for both in range(size + 1 - one - other):
                left = size - one - other - both
                ways = math.factorial(size) // math.prod(
                    math.factorial(count) for count in (one, other, both, left)
                )
                chance = chances[0] ** one * chances[1] ** other * chances[2] ** both
                yield ways * chance * neither**left, PairTable(size, one, other, both)


def expected(size: int, chances: Chances, log_e: Callable[[PairTable], float]) -> float:
    return sum(chance * math.exp(log_e(table)) for chance, table in tables(size, chances))


def ever(size: int, chances: Chances, crosses: Callable[[PairTable], bool]) -> float:
    """Return the chance that it crosses at any of so many looks, one after each pair."""
    kinds = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0))
    weights = (*chances, max(0.0, 1 - sum(chances)))
    paths: dict[tuple[int, int, int], float] = {(0, 0, 0): 1.0}
    crossed = 0.0
    for number in range(1, size + 1):
        after: dict[tuple[int, int, int], float] = defaultdict(float)
        for (one, other, both), chance in paths.items():
            for (more, further, common), weight in zip(kinds, weights, strict=True):
                if weight:
                    after[one + more, other + further, both + common] += chance * weight
        paths = {}
        for counts, chance in after.items():
            if crosses(PairTable(number, *counts)):
                crossed += chance
            else:
                paths[counts] = chance
    return crossed


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_a_candidate_at_the_limit_wins_nothing_against_itself(
    tolerance: tuple[float, float], overlap: float
) -> None:
    relative, absolute = tolerance
    for stable in RATES:
        chances = chances_of(relative * stable + absolute, stable, overlap)
        for size in (1, 2, 5, 9) if chances is not None else ():
            assert chances is not None
            found = expected(size, chances, lambda table: log_against(table, relative, absolute))
            assert found <= 1 + ROUNDING, (stable, size, found)


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_a_candidate_that_is_too_bad_wins_nothing_for_itself(
    tolerance: tuple[float, float], overlap: float
) -> None:
    relative, margin = tolerance
    for stable in RATES:
        chances = chances_of(relative * stable + margin, stable, overlap)
        for size in (1, 2, 5, 9) if chances is not None else ():
            assert chances is not None
            found = expected(size, chances, lambda table: log_for(table, relative, margin))
            assert found <= 1 + ROUNDING, (stable, size, found)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_looking_after_every_pair_refuses_no_more_good_versions(overlap: float) -> None:
    chances = chances_of(0.1, 0.1, overlap)
    assert chances is not None
    refused = ever(28, chances, lambda table: log_against(table, 1.0, 0.0) >= SURE)
    assert refused <= 1 / 20


@pytest.mark.parametrize("excess", [0.1, 0.3])
def test_the_bound_of_the_excess_is_wrong_once_in_twenty_rollouts_at_most(excess: float) -> None:
    chances = chances_of(0.05 + excess, 0.05, 0.5)
    assert chances is not None
    wrong = ever(28, chances, lambda table: log_for(table, 1.0, excess) >= SURE)
    assert 0 < wrong <= 1 / 20


def test_what_is_bounded_at_one_margin_is_bounded_at_every_larger_one() -> None:
    for table in (PairTable(100), PairTable(300, 3, 3, 1), PairTable(50, 0, 5)):
        grown = [log_for(table, 1.25, step / 50) for step in range(51)]
        assert grown == sorted(grown)


def test_the_bound_lies_where_the_evidence_begins_to_suffice() -> None:
    table = PairTable(400, 2, 3, 1)
    bound = bound_excess(table, 1.25, SURE)
    assert log_for(table, 1.25, bound) >= SURE > log_for(table, 1.25, bound - 2e-4)


def test_nothing_is_bounded_by_few_pairs() -> None:
    assert bound_excess(PairTable(2), 1.25, SURE) == 1.0


@pytest.mark.parametrize("margin", [0.2, 0.1, 0.04, 0.02, 0.01 / 0.95])
def test_clean_pairs_bound_the_excess_nearly_as_quickly_as_the_rule_of_three(
    margin: float,
) -> None:
    needed = clean_pairs_for(margin, SURE)
    assert needed is not None
    assert 3 / margin <= needed <= 1.5 * 3 / margin


def test_a_request_that_nobody_can_answer_says_next_to_nothing() -> None:
    alone, shared = PairTable(200, 20), PairTable(200, 0, 0, 20)
    assert log_against(alone, 1.25, 0.001) > SURE
    assert log_against(shared, 1.25, 0.001) <= 0
    assert bound_excess(shared, 1.25, SURE) < bound_excess(alone, 1.25, SURE)


@pytest.mark.parametrize("limit", [0.01, 0.2])
def test_a_share_at_its_limit_is_neither_above_nor_below_it(limit: float) -> None:
    for size in (1, 4, 12):
        above = below = 0.0
        for count in range(size + 1):
            chance = math.comb(size, count) * limit**count * (1 - limit) ** (size - count)
            above += chance * math.exp(log_above(count, size, limit))
            below += chance * math.exp(log_below(count, size, limit))
        assert above <= 1 + ROUNDING
        assert below <= 1 + ROUNDING


def test_five_percent_of_other_answers_are_found_in_a_few_hundred_pairs() -> None:
    assert log_above(10, 200, 0.01) > math.log(1000)
    assert log_above(2, 200, 0.01) < SURE


def test_half_of_the_pairs_is_not_most_of_them() -> None:
    for size in (1, 2, 7, 20):
        found = sum(
            math.comb(size, count) / 2**size * math.exp(log_mostly(count, size))
            for count in range(size + 1)
        )
        assert found <= 1 + ROUNDING
    assert log_mostly(30, 30) > math.log(2000)
    assert log_mostly(15, 30) < 0
