"""What becomes of a failed Job: whether the operator's next attempt can help."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import slipway
from slipway.api.reasons import Course, Group, Reason

PACKAGES = (Path(slipway.__file__).parent / "jobs", Path(slipway.__file__).parent / "render")
NEEDS_PERSON = {
    Reason.SOURCE_TOO_LARGE,
    Reason.UNSAFE_ARCHIVE,
    Reason.CORRUPT_ARCHIVE,
    Reason.CORRUPT_MODEL,
    Reason.DIGEST_MISMATCH,
    Reason.SIGNATURE_INVALID,
    Reason.LAYOUT_UNKNOWN,
    Reason.FORMAT_MISMATCH,
    Reason.CONFIG_INVALID,
    Reason.WARMUP_IMPOSSIBLE,
    Reason.PRECISION_IMPOSSIBLE,
    Reason.GOLDEN_SET_INVALID,
    Reason.GOLDEN_SET_NOT_ASKABLE,
    Reason.CHECK_TIMED_OUT,
}
"""The same spec and source fail again, and so does every retry."""
NEEDS_ACCESS = {
    Reason.INVALID_REQUEST,
    Reason.SOURCE_NOT_FOUND,
    Reason.SOURCE_REFUSED,
    Reason.REGISTRY_REFUSED,
    Reason.ARCHITECTURE_MISSING,
}
"""The remedy may be outside the object, so that a retry finds it."""


def test_what_fails_again_needs_a_person() -> None:
    job_reasons = {reason for reason in Reason if reason.group is Group.JOB}

    assert {reason for reason in job_reasons if reason.needs_person} == NEEDS_PERSON
    assert {reason for reason in job_reasons if reason.course is Course.HEALS} == NEEDS_ACCESS


@pytest.mark.parametrize("reason", sorted(NEEDS_PERSON | NEEDS_ACCESS))
def test_who_has_to_act_is_told_what_to_do(reason: Reason) -> None:
    assert reason.remedy


def failures() -> Iterator[tuple[Reason, bool]]:
    """Yield reason and `transient` of every failure that Jobs raise."""
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("JobFailure"):
                    reason = ast.unparse(node.args[0])
                    if reason.startswith("Reason."):
                        name = reason.removeprefix("Reason.")
                        yield Reason[name], any(word.arg == "transient" for word in node.keywords)


def test_a_transient_failure_is_retried_and_no_other_without_telling_a_person() -> None:
    found = set(failures())

    assert len(found) > len(NEEDS_PERSON)
    for reason, is_transient in found:
        assert is_transient == (reason.course is Course.GOES_ON), reason


def test_an_error_of_a_newer_job_is_retried() -> None:
    assert not Reason.parse("NotInventedYet", Reason.JOB_FAILED).needs_person
