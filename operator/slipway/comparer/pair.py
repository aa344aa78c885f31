"""What a pair comes to: the outcome on either side, and which outputs agree; pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

import numpy as np

from slipway.answers.compare import compare_output, default_rule, largest_difference
from slipway.answers.decode import (
    Undecodable,
    decode_grpc_answer,
    decode_http_answer,
    decompress,
    unframe,
)
from slipway.answers.tensors import Tensor, Tensors, as_numbers, has_nan
from slipway.api.counters import JUDGED_GRPC_CODES
from slipway.api.golden import ArgMaxRule, Compare, EqualRule, Rule, ToleranceRule
from slipway.api.modelroute import ShadowOutput
from slipway.comparer.copied import Part

MOST_PLAIN_BYTES = 16 * 2**20
"""Of a body without its content coding: a few bytes may stand for gigabytes."""
CLIENT_ERROR, SERVER_ERROR = 400, 500
MAX_TEXT = 256


class Outcome(StrEnum):
    """What became of a request at one side."""

    OK = "ok"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in a pair."""

    text: str
    output: str | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pair comes to."""

    stable: Outcome
    candidate: Outcome
    agreement: Mapping[str, bool] = field(default_factory=dict)
    """By output, where both answered."""
    difference: Difference | None = None
    """The first one."""

    @property
    def agrees(self) -> bool | None:
        """Whether the answers are the same; None where there are none that could be compared."""
        if (self.stable, self.candidate) != (Outcome.OK, Outcome.OK):
            return None
        if self.difference is not None:
            return False
        return True if self.agreement else None


def judge_pair(stable: Part, candidate: Part, rules: Mapping[str, ShadowOutput]) -> Verdict:
    """Compare two answers to one request.

    Args:
        stable: what the user got.
        candidate: what the candidate answered to the copy.
        rules: by the name of the output; empty: every output, by its datatype's default.

    Raises:
        Undecodable: both answered, and stable's answer is none that anything could be compared
            with; a candidate's beside one that is differs from it.

    """
    outcomes = read_outcome(stable), read_outcome(candidate)
    if outcomes != (Outcome.OK, Outcome.OK):
        same = outcomes[0] is outcomes[1]
        text = f"{_describe(candidate)}, stable {_describe(stable)}"
        return Verdict(*outcomes, difference=None if same else Difference(text))

    expected = _read_tensors(stable)
    names = [name for name in rules if name in expected] if rules else list(expected)
    try:
        found = _read_tensors(candidate)
    except Undecodable as broken:
        return Verdict(*outcomes, dict.fromkeys(names, False), Difference(f"{broken}"[:MAX_TEXT]))
    agreement, first = {}, None
    for name in names:
        rule = _choose_rule(rules.get(name), expected[name].datatype)
        difference = _find_difference(name, rule, expected[name], found.get(name))
        agreement[name] = difference is None
        first = first or difference
    return Verdict(*outcomes, agreement, first)


def read_outcome(answer: Part) -> Outcome:
    """Return what an answer says; one without a status is none."""
    if answer.is_grpc or "grpc-status" in answer.headers:
        code = answer.headers.get("grpc-status", "")
        if not code.isdecimal() or int(code) in JUDGED_GRPC_CODES:
            return Outcome.FAILED
        return Outcome.REFUSED if int(code) else Outcome.OK

    status = answer.headers.get(":status", "")
    if not status.isdecimal() or int(status) >= SERVER_ERROR:
        return Outcome.FAILED
    return Outcome.REFUSED if int(status) >= CLIENT_ERROR else Outcome.OK


def digest_input(request: Part) -> str:
    """Return the sha256 of a request's body, without its content coding where it is known."""
    try:
        plain = _read_plain(request)
    except Undecodable:
        plain = request.body
    return f"sha256:{hashlib.sha256(plain).hexdigest()}"


def _read_tensors(answer: Part) -> Tensors:
    plain = _read_plain(answer)
    if answer.is_grpc:
        return decode_grpc_answer(plain)
    return decode_http_answer(plain, answer.header_length)


def _read_plain(part: Part) -> bytes:
    read = unframe if part.is_grpc else decompress
    return read(part.body, part.coding, MOST_PLAIN_BYTES)


def _choose_rule(given: ShadowOutput | None, datatype: str) -> Rule:
    if given is None:
        return default_rule(datatype)
    match given.compare:
        case Compare.TOLERANCE:
            usual = default_rule(datatype)
            usual = usual if isinstance(usual, ToleranceRule) else _USUAL
            return ToleranceRule(
                compare=Compare.TOLERANCE,
                rtol=usual.rtol if given.rtol is None else given.rtol,
                atol=usual.atol if given.atol is None else given.atol,
            )
        case Compare.ARG_MAX:
            return ArgMaxRule(compare=Compare.ARG_MAX)
        case Compare.EQUAL:
            return EqualRule(compare=Compare.EQUAL)
        case _:
            assert_never(given.compare)


_USUAL = ToleranceRule(compare=Compare.TOLERANCE)


def _find_difference(
    name: str, rule: Rule, expected: Tensor, found: Tensor | None
) -> Difference | None:
    if found is not None:
        expected, found = _without_common_nans(expected, found)
    try:
        disagreement = compare_output(rule, expected, found)
    except (ValueError, TypeError):  # a rule for numbers, and an output of texts
        return Difference(f"'{name}' cannot be compared by {rule.compare}", name)
    if disagreement is None:
        return None

    # Values of a text output are what users were told: they stay where they are.
    is_text = found is not None and "BYTES" in (found.datatype, expected.datatype)
    text = "differs" if is_text else disagreement.text
    largest = None if found is None else largest_difference(expected, found)
    return Difference(f"'{name}' {text}"[:MAX_TEXT], name, largest)


def _without_common_nans(expected: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with 0 where both are NaN: what stable answers too is not the candidate's."""
    if expected.shape != found.shape or not has_nan(expected):
        return expected, found
    both = np.isnan(as_numbers(expected)) & np.isnan(as_numbers(found))
    return (
        Tensor(expected.datatype, np.where(both, 0, expected.array)),
        Tensor(found.datatype, np.where(both, 0, found.array)),
    )


def _describe(answer: Part) -> str:
    if "grpc-status" in answer.headers or answer.is_grpc:
        return f"gRPC status {answer.headers.get('grpc-status', 'missing')}"
    return f"HTTP {answer.headers.get(':status', 'without a status')}"
