"""Whether one output agrees with the expected one. Pure."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from slipway.api.golden import ArgMax, Equal, Rule, Tolerance
from slipway.jobs.check.tensors import Array, Tensor, as_numbers, has_nan


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Why an output does not agree."""

    text: str
    fatal: bool = False
    """The model is broken, not merely different: no share of agreeing cases makes up for it."""


def compare_output(rule: Rule, expected: Tensor, found: Tensor | None) -> Disagreement | None:
    """Return why `found` disagrees; None where it agrees."""
    if found is None:
        return Disagreement("is missing", fatal=True)
    if found.datatype != expected.datatype:
        return Disagreement(f"is {found.datatype}, expected {expected.datatype}", fatal=True)
    if found.shape != expected.shape:
        return Disagreement(
            f"has shape {list(found.shape)}, expected {list(expected.shape)}", fatal=True
        )
    if has_nan(found):
        return Disagreement("holds NaN", fatal=True)
    return _by_rule(rule, expected, found)


def _by_rule(rule: Rule, expected: Tensor, found: Tensor) -> Disagreement | None:
    match rule:
        case Tolerance():
            return _within(rule, as_numbers(expected), as_numbers(found))
        case ArgMax():
            return _same_place(as_numbers(expected), as_numbers(found))
        case Equal():
            return _same(expected.array, found.array)
        case _:
            assert_never(rule)


def _within(rule: Tolerance, expected: Array, found: Array) -> Disagreement | None:
    close = np.isclose(found, expected, rtol=rule.rtol, atol=rule.atol)
    if close.all():
        return None
    place = _first(~close)
    allowed = rule.atol + rule.rtol * abs(expected[place])
    return Disagreement(
        f"{_at(place)}is {found[place]:.6g}, expected {expected[place]:.6g} ± {allowed:.2g}"
    )


def _same_place(expected: Array, found: Array) -> Disagreement | None:
    wanted, got = np.argmax(expected, axis=-1), np.argmax(found, axis=-1)
    different = np.atleast_1d(wanted != got)
    if not different.any():
        return None
    place = _first(different)
    row = _at(place) if different.size > 1 else ""
    got, wanted = np.atleast_1d(got)[place], np.atleast_1d(wanted)[place]
    return Disagreement(f"{row}argmax {got}, expected {wanted}")


def _same(expected: Array, found: Array) -> Disagreement | None:
    different = np.asarray(found != expected)
    if not different.any():
        return None
    place = _first(different)
    return Disagreement(
        f"{_at(place)}is {_shown(found[place])}, expected {_shown(expected[place])}"
    )


def _first(different: Array) -> tuple[int, ...]:
    return tuple(int(axis[0]) for axis in np.nonzero(different)) if different.ndim else ()


def _at(place: tuple[int, ...]) -> str:
    return f"at {list(place)} " if place else ""


def _shown(item: object) -> str:
    text = item.decode(errors="replace") if isinstance(item, bytes) else str(item)
    return repr(text) if isinstance(item, bytes) else text
