from itertools import pairwise

import pytest
from slipway.api.pairs import DroppedCopies, PairOutcomes, ratio_edges


def test_each_outcome_of_a_pair_is_of_exactly_one_side() -> None:
    for name in PairOutcomes.model_fields:
        one = PairOutcomes(**{name: 1})

        assert one.total == one.same + one.candidate_worse + one.stable_worse == 1, name


def test_a_candidate_that_fails_where_stable_refuses_is_the_worse_one() -> None:
    assert PairOutcomes(refused_failed=2).candidate_worse == 2
    assert PairOutcomes(failed_refused=2).stable_worse == 2


def test_dropped_copies_add_up_over_all_reasons() -> None:
    assert DroppedCopies(rate=1, queue=2, unreachable=4).total == 7


def test_edges_of_the_ratio_double_in_equal_steps_around_one() -> None:
    edges = ratio_edges()

    assert 1.0 in edges
    assert edges[0] == pytest.approx(1 / edges[-1])
    assert {round(above / below, 9) for below, above in pairwise(edges)} == {round(2 ** (1 / 8), 9)}
