from typing import Any

import numpy as np
import pytest
from slipway.answers.compare import Disagreement, compare_output
from slipway.answers.tensors import Tensor
from slipway.api.golden import ArgMaxRule, Compare, EqualRule, Rule, ToleranceRule

CLOSE = ToleranceRule(compare=Compare.TOLERANCE, rtol=0.01, atol=0.1)
BEST = ArgMaxRule(compare=Compare.ARG_MAX)
SAME = EqualRule(compare=Compare.EQUAL)


def floats(*values: Any) -> Tensor:
    return Tensor("FP32", np.array(values, dtype=np.float32))


def texts(*values: str) -> Tensor:
    return Tensor("BYTES", np.array([value.encode() for value in values], dtype=object))


@pytest.mark.parametrize(
    ("rule", "expected", "found"),
    [
        (CLOSE, floats(100, 0), floats(101.09, 0.09)),
        (CLOSE, floats(np.inf), floats(np.inf)),
        (BEST, floats(1, 5, 2), floats(0, 9, 8)),
        (BEST, floats([1, 2], [2, 1]), floats([0, 9], [9, 0])),
        (SAME, texts("a", "b"), texts("a", "b")),
        (SAME, floats(0.1), floats(0.1)),
    ],
)
def test_answers_within_the_rule_agree(rule: Rule, expected: Tensor, found: Tensor) -> None:
    assert compare_output(rule, expected, found) is None


@pytest.mark.parametrize(
    ("rule", "expected", "found", "text"),
    [
        (CLOSE, floats(0, 100), floats(0, 101.2), "at [1] is 101.2, expected 100 ± 1.1"),
        (BEST, floats(0, 9, 1), floats(5, 4, 1), "argmax 0, expected 1"),
        (BEST, floats([[0, 9]]), floats([[9, 0]]), "argmax 0, expected 1"),
        (BEST, floats([0, 9], [0, 9]), floats([0, 9], [9, 0]), "at [1] argmax 0, expected 1"),
        (SAME, texts("a", "b"), texts("a", "c"), "at [1] is 'c', expected 'b'"),
        (
            SAME,
            Tensor("BOOL", np.array(True)),
            Tensor("BOOL", np.array(False)),
            "is False, expected True",
        ),
    ],
)
def test_the_first_difference_is_named(
    rule: Rule, expected: Tensor, found: Tensor, text: str
) -> None:
    problem = compare_output(rule, expected, found)
    assert problem is not None
    assert (problem.text, problem.fatal) == (text, False)


@pytest.mark.parametrize(
    ("rule", "expected", "found", "place"),
    [
        (CLOSE, floats([0, 0], [0, 9]), floats([0, 0], [0, 1]), (1, 1)),
        (SAME, texts("a", "b"), texts("a", "c"), (1,)),
        (BEST, floats([0, 9], [0, 9]), floats([0, 9], [9, 0]), (1,)),
    ],
)
def test_the_place_of_the_first_difference_is_known(
    rule: Rule, expected: Tensor, found: Tensor, place: tuple[int, ...]
) -> None:
    problem = compare_output(rule, expected, found)
    assert problem is not None
    assert problem.place == place


@pytest.mark.parametrize("rule", [CLOSE, BEST, SAME])
@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "is missing"),
        (floats(1, np.nan), "contains NaN"),
        (floats(1), "has shape [1], expected [2]"),
        (floats([1, 2]), "has shape [1, 2], expected [2]"),
        (Tensor("FP64", np.array([1.0, 2.0])), "is FP64, expected FP32"),
    ],
)
def test_a_broken_answer_is_fatal_under_any_rule(
    rule: Rule, found: Tensor | None, text: str
) -> None:
    assert compare_output(rule, floats(1, 2), found) == Disagreement(text, fatal=True)
