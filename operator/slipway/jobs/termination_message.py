"""The end of a Job: one JSON object in the termination message, and a matching exit code.

No exception escapes: an unexpected one becomes an InternalError, with its traceback in the log.
"""

import errno
import json
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol

from pydantic import ValidationError

from slipway.api.base import Manifest
from slipway.api.reasons import Reason
from slipway.api.result import (
    EXIT_OK,
    EXIT_PERMANENT,
    EXIT_TRANSIENT,
    MAX_BYTES,
    JobError,
)
from slipway.errors import JobFailure, RegistryRefused, RegistryUnavailable, SlipwayError

log = logging.getLogger(__name__)

TERMINATION_LOG = Path("/dev/termination-log")
TEXT_LIMITS = (2000, 1000, 500, 200)
"""Lengths in bytes to which texts are cut, one after the other, until the object fits."""

ESSENTIAL = frozenset(
    {
        *("error", "warnings", "modelDigest", "image", "baseDigest", "signed"),
        *("verdict", "reason", "message", "goldenDigest", "goldenSigned"),
    }
)
"""Fields without which a result is of no use, and whose lengths are limited elsewhere."""
GIVES_WAY = "disagreements"
"""A list for people, of which the last ones are left out first: the message counts them all."""


class JobResult(Protocol):
    """PackageResult or CheckResult."""

    @property
    def error(self) -> JobError | None:
        """Why the Job failed; None where it did not."""

    def wire(self) -> Manifest:
        """Return the JSON form."""


def run_and_report(
    work: Callable[[], JobResult],
    failed: Callable[[JobError], JobResult],
    termination_log: Path = TERMINATION_LOG,
) -> int:
    """Run `work`, write its result, and return the exit code.

    Args:
        work: does the Job and returns its result; may raise anything.
        failed: makes the result of a Job that failed.
        termination_log: file that the kubelet reads.

    """
    result = _run_work(work, failed)

    text = serialize_result(result.wire())
    log.info("result %s", text)
    try:
        termination_log.write_text(text)
    except OSError as error:
        log.warning("could not write the termination message: %s", error)

    if result.error is None:
        return EXIT_OK
    return EXIT_TRANSIENT if result.error.transient else EXIT_PERMANENT


def serialize_result(wire: Manifest, limit: int = MAX_BYTES) -> str:
    """Return the JSON text, cut to at most `limit` bytes.

    Cases that disagree give way to all else. Texts are shortened first, then warnings are left out,
    and last what takes most room and is not essential: the signature as a rule. A warning then says
    so, since an absent signature otherwise means that it is not known.
    """
    text = _dump_json(wire)
    if len(text.encode()) > limit and wire.get(GIVES_WAY):
        wire = _leave_out_cases(wire, limit)
    for longest in TEXT_LIMITS:
        if len(text.encode()) <= limit:
            return text
        text = _dump_json(_shorten_texts(wire, longest))

    rest = _shorten_texts({**wire, "warnings": []}, TEXT_LIMITS[-1])
    while len(_dump_json(rest).encode()) > limit:
        sizes = {key: len(_dump_json(rest[key])) for key in rest.keys() - ESSENTIAL}
        if not sizes:
            break
        largest = max(sizes, key=lambda key: sizes[key])
        del rest[largest]
        rest["warnings"] = [*rest["warnings"], f"the {largest} is too long to report"]

    return _dump_json(rest)


def _leave_out_cases(wire: Manifest, limit: int) -> Manifest:
    """Return the result with as many cases as there is room for beside its longest message."""
    shown = _shorten_texts(wire, TEXT_LIMITS[0])
    while shown[GIVES_WAY] and len(_dump_json(shown).encode()) > limit:
        shown[GIVES_WAY] = shown[GIVES_WAY][:-1]
    return {**wire, GIVES_WAY: shown[GIVES_WAY]}


def to_job_error(error: BaseException) -> JobError:
    """Translate an exception into the error that the operator reads."""
    message, transient = str(error), False

    match error:
        case JobFailure():
            return JobError(reason=error.reason, message=message, transient=error.transient)
        case RegistryRefused():
            reason = Reason.REGISTRY_REFUSED
        case RegistryUnavailable():
            reason, transient = Reason.REGISTRY_UNAVAILABLE, True
        case ValidationError():
            reason, message = Reason.INVALID_REQUEST, f"request: {error}"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            reason, transient = Reason.STORAGE_FULL, True
            message = f"no space left for the model: {error}"
        case SystemExit():
            reason, message, transient = Reason.INTERRUPTED, "the pod was stopped", True
        case _:
            reason, message = Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"

    return JobError(reason=reason, message=message, transient=transient)


def _run_work(work: Callable[[], JobResult], failed: Callable[[JobError], JobResult]) -> JobResult:
    previous = signal.signal(signal.SIGTERM, _exit_on_sigterm)
    try:
        return work()
    except (SlipwayError, SystemExit) as error:
        return failed(to_job_error(error))
    except Exception as error:
        log.exception("unexpected error")
        return failed(to_job_error(error))
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM, which process 1 of a container would otherwise ignore."""
    raise SystemExit(EXIT_TRANSIENT)


def _shorten_texts(value: Any, longest: int) -> Any:
    """Cut messages and warnings; names and digests stay whole, or they would be wrong."""
    if not isinstance(value, dict):
        return value
    return {key: _shorten_field(key, item, longest) for key, item in value.items()}


def _shorten_field(key: str, value: Any, longest: int) -> Any:
    if key == "message":
        return _cut_text(value, longest)
    if key == "warnings":
        return [_cut_text(warning, longest) for warning in value]
    return _shorten_texts(value, longest)


def _cut_text(text: str, longest: int) -> str:
    data = text.encode()
    return text if len(data) <= longest else data[: longest - 3].decode(errors="ignore") + "…"


def _dump_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # A file name that is no UTF-8 has surrogates in Python, which cannot be written.
    return text.encode(errors="replace").decode()
