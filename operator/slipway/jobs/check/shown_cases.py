"""Cases that disagree, cut to what people look at: first values, on one line each; pure."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from slipway.answers.compare import Disagreement
from slipway.answers.tensors import Tensor, Tensors
from slipway.api.canonical_json import canonical_json
from slipway.api.plain_text import printable
from slipway.api.reasons import CUT, shortened
from slipway.api.result import (
    LONGEST_CASE_INPUT,
    LONGEST_CASE_NAME,
    LONGEST_CASE_OUTPUT,
    LONGEST_CASE_TEXT,
    MOST_DISAGREEMENTS,
    CaseDisagreement,
)
from slipway.jobs.check.golden_set import Case

SHOWN_VALUES = 8
"""Of a tensor."""
LONGEST_NAME = 24
"""Of a tensor, in a preview."""
LONGEST_VALUE = 40
"""Characters of one text among the values."""
MOST_BYTES = 1_600
"""JSON of all cases of a check; the first one stays whatever it takes."""


@dataclass(frozen=True, slots=True)
class CaseProblem:
    """Why the answer to a case disagrees."""

    text: str
    fatal: bool = False
    """True when the model is broken and not just different."""
    expected: str = ""
    """Preview of the output that disagrees, as it was recorded; empty without an answer."""
    got: str = ""
    """The same, as it was answered; empty where it is missing."""


def describe_problem(
    name: str, problem: Disagreement, expected: Tensor, found: Tensor | None
) -> CaseProblem:
    """Return why an output disagrees, with both values from the first one that does."""
    start = _find_start(problem.place, expected)
    return CaseProblem(
        f"output '{name}' {problem.text}",
        fatal=problem.fatal,
        expected=_preview(name, expected, LONGEST_CASE_OUTPUT, start),
        got=_preview(name, found, LONGEST_CASE_OUTPUT, start) if found is not None else "",
    )


def show_case(case: Case, problem: CaseProblem) -> CaseDisagreement:
    """Return a case as it is reported."""
    return CaseDisagreement(
        name=printable(shortened(case.name, LONGEST_CASE_NAME)),
        text=printable(shortened(problem.text, LONGEST_CASE_TEXT)),
        input=_preview_all(case.inputs, LONGEST_CASE_INPUT),
        expected=problem.expected,
        got=problem.got,
    )


def choose_shown(cases: list[CaseDisagreement]) -> list[CaseDisagreement]:
    """Return the first cases, as many as there is room for in the result of a check."""
    chosen: list[CaseDisagreement] = []
    room = MOST_BYTES
    for case in cases[:MOST_DISAGREEMENTS]:
        room -= len(canonical_json(case.wire()).encode())
        if chosen and room < 0:
            break
        chosen.append(case)
    return chosen


def _preview_all(tensors: Tensors, length: int) -> str:
    room = max(LONGEST_VALUE, length // max(1, len(tensors)) - len("; "))
    previews = (_preview(name, tensor, room) for name, tensor in tensors.items())
    return shortened("; ".join(previews), length)


def _preview(name: str, tensor: Tensor, length: int, start: int = 0) -> str:
    """Return name, shape and some values, for example ``image [1, 64]: 0, 0.5, …``."""
    values = ", ".join(_list_values(tensor, start))
    head = f"{shortened(name, LONGEST_NAME)} {list(tensor.shape)}: "
    return shortened(printable(head + values), length)


def _list_values(tensor: Tensor, start: int) -> Iterator[str]:
    """Yield the values from `start` on, with an ellipsis where others are left out."""
    if start:
        yield CUT
    for item in tensor.array.flat[start : start + SHOWN_VALUES]:
        yield _format_value(item)
    if tensor.array.size > start + SHOWN_VALUES:
        yield CUT


def _format_value(item: object) -> str:
    match item:
        case bytes():
            text = item[: 4 * LONGEST_VALUE].decode(errors="replace")
            return shortened(repr(text), LONGEST_VALUE)
        case np.bool_() | np.integer():
            return str(item).lower()
        case _:
            return f"{float(str(item)):.6g}"


def _find_start(place: tuple[int, ...], tensor: Tensor) -> int:
    """Return from which value on a tensor is shown: all from the first, where that shows it."""
    if not place:
        return 0
    whole = (*place, *(0 for _ in tensor.shape[len(place) :]))
    start = int(np.ravel_multi_index(whole, tensor.shape))
    return start if start >= SHOWN_VALUES else 0
