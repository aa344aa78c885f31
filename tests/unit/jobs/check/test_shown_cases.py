"""Cases that disagree are shown by their first values: short, on one line, whatever they hold."""

from typing import Any

import numpy as np
import pytest
from slipway.answers.compare import compare_output
from slipway.answers.tensors import Tensor
from slipway.api.canonical_json import canonical_json
from slipway.api.golden import ArgMaxRule, Compare, EqualRule, Rule, ToleranceRule
from slipway.api.request import CheckRequest, GoldenRequest, SourceRequest
from slipway.api.result import MOST_DISAGREEMENTS, CaseDisagreement, CheckResult
from slipway.jobs.check.ask_cases import CaseTally
from slipway.jobs.check.check_candidate import check_candidate
from slipway.jobs.check.golden_set import Case, LoadedGoldenSet
from slipway.jobs.check.shown_cases import (
    MOST_BYTES,
    CaseProblem,
    choose_shown,
    describe_problem,
    show_case,
)

from tests.unit.jobs.check.test_what_pairs_need import PLAIN, serving

SAME = EqualRule(compare=Compare.EQUAL)
CLOSE = ToleranceRule(compare=Compare.TOLERANCE)
BEST = ArgMaxRule(compare=Compare.ARG_MAX)


def floats(*values: Any) -> Tensor:
    return Tensor("FP32", np.array(values, dtype=np.float32))


def texts(*values: bytes) -> Tensor:
    return Tensor("BYTES", np.array(values, dtype=object))


def seen(rule: Rule, expected: Tensor, found: Tensor | None, name: str = "y") -> CaseProblem:
    problem = compare_output(rule, expected, found)
    assert problem is not None
    return describe_problem(name, problem, expected, found)


def shown(problem: CaseProblem, name: str = "7", **inputs: Tensor) -> CaseDisagreement:
    return show_case(Case(name, inputs, {}), problem)


def test_a_short_case_is_shown_whole() -> None:
    label, other = Tensor("INT64", np.array([[3]])), Tensor("INT64", np.array([[1]]))
    case = shown(seen(SAME, label, other, "label"), image=floats(0, 0.5, 1))

    assert case == CaseDisagreement(
        name="7",
        text="output 'label' at [0, 0] is 1, expected 3",
        input="image [3]: 0, 0.5, 1",
        expected="label [1, 1]: 3",
        got="label [1, 1]: 1",
    )


def test_a_long_tensor_says_that_it_is_cut() -> None:
    case = shown(CaseProblem("-"), image=floats(*range(64)))
    assert case.input == "image [64]: 0, 1, 2, 3, 4, 5, 6, 7, …"


def test_an_output_is_shown_from_the_value_that_differs() -> None:
    expected, found = np.zeros((1, 100), np.float32), np.zeros((1, 100), np.float32)
    found[0, 95] = 2
    problem = seen(CLOSE, Tensor("FP32", expected), Tensor("FP32", found))

    assert problem.expected == "y [1, 100]: …, 0, 0, 0, 0, 0"
    assert problem.got == "y [1, 100]: …, 2, 0, 0, 0, 0"


def test_of_a_batch_of_scores_the_row_that_differs_is_shown() -> None:
    rows = np.tile(np.arange(4, dtype=np.float32), (5, 1))
    other = rows.copy()
    other[4] = [9, 0, 0, 0]
    problem = seen(BEST, Tensor("FP32", rows), Tensor("FP32", other))

    assert (problem.expected, problem.got) == ("y [5, 4]: …, 0, 1, 2, 3", "y [5, 4]: …, 9, 0, 0, 0")


@pytest.mark.parametrize(
    ("tensor", "preview"),
    [
        (Tensor("BOOL", np.array([True, False])), "x [2]: true, false"),
        (Tensor("INT8", np.array(5, np.int8)), "x []: 5"),
        (Tensor("FP16", np.array([np.inf, np.nan], np.float16)), "x [2]: inf, nan"),
        (Tensor("FP32", np.zeros((0, 3), np.float32)), "x [0, 3]: "),
        (texts("süß".encode(), b"\xff\x00"), "x [2]: 'süß', '�\\x00'"),
    ],
)
def test_every_datatype_has_a_preview(tensor: Tensor, preview: str) -> None:
    assert shown(CaseProblem("-"), x=tensor).input == preview


@pytest.mark.parametrize(
    "found", [None, floats(1, 2, 3), Tensor("FP64", np.array([1.0])), floats(np.nan)]
)
def test_an_answer_of_another_shape_is_shown_as_it_came(found: Tensor | None) -> None:
    problem = seen(CLOSE, floats(1), found)

    assert (problem.fatal, problem.expected) == (True, "y [1]: 1")
    assert problem.got == "" if found is None else problem.got.startswith("y [")


def test_what_a_terminal_would_obey_is_taken_out() -> None:
    evil = "\x1b[31m\u202e\ud800\n"
    label, image = texts(evil.encode(errors="replace")), floats(1)
    problem = CaseProblem(f"output '{evil}' is wrong")
    case = shown(problem, name=f"a{evil}b", **{f"x{evil}": image, "y": label})

    assert all(text.isprintable() for text in case.wire().values())
    canonical_json(case.wire()).encode()


def test_no_case_is_longer_than_its_limits() -> None:
    long = texts(b"\xf0\x9f\x98\x80" * 1_000_000, *(b"x" * 10_000 for _ in range(50)))
    inputs = {f"{'n' * 300}{number}": long for number in range(40)}
    case = shown(seen(SAME, long, texts(*(b"" for _ in range(51)))), name="i" * 5000, **inputs)

    assert len(canonical_json(case.wire())) < 640
    assert case.input.endswith("…")
    assert [case] == choose_shown([case])


def test_a_check_shows_a_few_cases_within_its_room() -> None:
    small = CaseDisagreement(name="1", text="-")
    large = CaseDisagreement(name="2", text="x" * 160, input="x" * 160, got="x" * 80)

    assert choose_shown([small] * 50) == [small] * MOST_DISAGREEMENTS
    chosen = choose_shown([large] * 5)
    assert 1 < len(chosen) < 5
    assert sum(len(canonical_json(it.wire())) for it in chosen) <= MOST_BYTES
    assert choose_shown([]) == []


def test_the_case_that_ended_the_check_is_shown_first() -> None:
    tally = CaseTally(total=50)
    for number in range(9):
        problem = CaseProblem("is missing", fatal=number == 8)
        tally.count(Case(str(number), {}, {}), problem)

    assert [case.name for case in tally.shown] == ["8", "0", "1", "2", "3"]


@pytest.mark.parametrize("needed", [0.0, 1.0], ids=["passes", "fails"])
@pytest.mark.parametrize("shows", [True, False], ids=["shown", "hidden"])
async def test_a_check_reports_what_it_may(*, shows: bool, needed: float) -> None:
    case = Case("seven", {"x": floats([1, 2, 3])}, {"y": floats([0.25, 0.5])})
    golden = LoadedGoldenSet({"y": CLOSE}, (case,))
    source = SourceRequest(uri="pvc://claim/golden")
    asked = GoldenRequest(source=source, min_agreement=needed, show_cases=shows)

    async with serving({"m": PLAIN}) as address:
        request = CheckRequest(http=address, model_name="m", golden=asked, timeout_seconds=10)
        result = await check_candidate(request, lambda: (golden, f"sha256:{'a' * 64}"))

    assert (result.cases, result.agreed) == (1, 0)
    assert result.disagreements == [
        CaseDisagreement(
            name="seven",
            text="output 'y' at [0, 1] is 0.75, expected 0.5 ± 0.00051",
            input="x [1, 3]: 1, 2, 3",
            expected="y [1, 2]: 0.25, 0.5",
            got="y [1, 2]: 0.25, 0.75",
        )
    ] * int(shows)


def test_a_request_of_an_older_operator_shows_cases_and_its_result_is_read() -> None:
    old = {"source": {"uri": "pvc://claim/golden"}}
    assert GoldenRequest.model_validate(old).show_cases
    assert CheckResult.model_validate({"verdict": "Fail", "cases": 50}).disagreements == []
