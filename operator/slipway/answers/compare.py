"""Comparison of one output with the expected one; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from slipway.answers.tensors import Array, Tensor, as_numbers, has_nan
from slipway.api.golden import ArgMaxRule, Compare, EqualRule, Rule, ToleranceRule


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Why an output does not agree with the expected one."""

    text: str
    """The sentence, without its subject."""
    fatal: bool = False
    """True when the model is broken and not just different, so that no other case matters."""
    place: tuple[int, ...] = ()
    """Index of the first value that differs, or of its row; empty where all of it does."""


DEFAULTS: Mapping[str, Rule] = {
    "FP64": ToleranceRule(compare=Compare.TOLERANCE),
    "FP32": ToleranceRule(compare=Compare.TOLERANCE),
    "FP16": ToleranceRule(compare=Compare.TOLERANCE, rtol=1e-2, atol=1e-3),
    "BF16": ToleranceRule(compare=Compare.TOLERANCE, rtol=5e-2, atol=1e-2),
}
"""By datatype: the golden set's own default, and for half precision some units in its last place.
Whole numbers, truth values and texts have to be equal."""


def default_rule(datatype: str) -> Rule:
    """Return the rule for outputs of a datatype that have none of their own."""
    return DEFAULTS.get(datatype, EqualRule(compare=Compare.EQUAL))


def largest_difference(expected: Tensor, found: Tensor) -> float | None:
    """Return the largest absolute difference of two numbers at the same place.

    None where there are no numbers, or none at the same places.
    """
    if expected.datatype == "BYTES" or found.datatype == "BYTES" or not expected.array.size:
        return None
    if expected.shape != found.shape:
        return None
    with np.errstate(invalid="ignore"):  # infinity at both
        largest = float(np.max(np.abs(as_numbers(expected) - as_numbers(found))))
    return largest if np.isfinite(largest) else None


def compare_output(rule: Rule, expected: Tensor, found: Tensor | None) -> Disagreement | None:
    """Return why `found` disagrees with `expected` by a rule; None if it agrees."""
    if found is None:
        return Disagreement("is missing", fatal=True)
    if found.datatype != expected.datatype:
        return Disagreement(f"is {found.datatype}, expected {expected.datatype}", fatal=True)
    if found.shape != expected.shape:
        return Disagreement(
            f"has shape {list(found.shape)}, expected {list(expected.shape)}", fatal=True
        )
    if has_nan(found):
        return Disagreement("contains NaN", fatal=True)

    return _compare_by_rule(rule, expected, found)


def _compare_by_rule(rule: Rule, expected: Tensor, found: Tensor) -> Disagreement | None:
    match rule:
        case ToleranceRule():
            return _compare_numbers(rule, as_numbers(expected), as_numbers(found))
        case ArgMaxRule():
            return _compare_argmax(as_numbers(expected), as_numbers(found))
        case EqualRule():
            return _compare_elements(expected.array, found.array)
        case _:
            assert_never(rule)


def _compare_numbers(rule: ToleranceRule, expected: Array, found: Array) -> Disagreement | None:
    close = np.isclose(found, expected, rtol=rule.rtol, atol=rule.atol)
    if close.all():
        return None
    place = _first_index(~close)
    allowed = rule.atol + rule.rtol * abs(expected[place])
    return Disagreement(
        f"{_location_prefix(place)}is {found[place]:.6g}, "
        f"expected {expected[place]:.6g} ± {allowed:.2g}",
        place=place,
    )


def _compare_argmax(expected: Array, found: Array) -> Disagreement | None:
    wanted, got = np.argmax(expected, axis=-1), np.argmax(found, axis=-1)
    different = np.atleast_1d(wanted != got)
    if not different.any():
        return None
    place = _first_index(different)
    row = _location_prefix(place) if different.size > 1 else ""
    got, wanted = np.atleast_1d(got)[place], np.atleast_1d(wanted)[place]
    return Disagreement(f"{row}argmax {got}, expected {wanted}", place=place)


def _compare_elements(expected: Array, found: Array) -> Disagreement | None:
    different = np.asarray(found != expected)
    if not different.any():
        return None
    place = _first_index(different)
    return Disagreement(
        f"{_location_prefix(place)}is {_format_element(found[place])}, "
        f"expected {_format_element(expected[place])}",
        place=place,
    )


def _first_index(different: Array) -> tuple[int, ...]:
    return tuple(int(axis[0]) for axis in np.nonzero(different)) if different.ndim else ()


def _location_prefix(place: tuple[int, ...]) -> str:
    return f"at {list(place)} " if place else ""


def _format_element(item: object) -> str:
    text = item.decode(errors="replace") if isinstance(item, bytes) else str(item)
    return repr(text) if isinstance(item, bytes) else text
