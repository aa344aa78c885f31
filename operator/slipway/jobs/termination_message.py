"""How a Job ends: one JSON object in the termination message, and an exit code that says enough.

Nothing escapes: what nobody expected becomes an InternalError with its traceback in the log.
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
"""Lengths to which texts are cut, one after the other, until the object fits."""


class JobResult(Protocol):
    """PackageResult or CheckResult."""

    @property
    def error(self) -> JobError | None:
        """Why there is no other result."""

    def wire(self) -> Manifest:
        """Return the JSON form."""


def run_and_report(
    work: Callable[[], JobResult],
    failed: Callable[[JobError], JobResult],
    termination_log: Path = TERMINATION_LOG,
) -> int:
    """Run `work`, write what came of it and return the exit code."""
    result = _run_work(work, failed)
    text = serialize_result(result.wire())
    log.info("result %s", text)
    try:
        termination_log.write_text(text)
    except OSError as error:
        log.warning("termination message not written: %s", error)
    if result.error is None:
        return EXIT_OK
    return EXIT_TRANSIENT if result.error.transient else EXIT_PERMANENT


def serialize_result(wire: Manifest, limit: int = MAX_BYTES) -> str:
    """Return the JSON text, cut so that it has no more than `limit` bytes.

    Texts are shortened first, then warnings go, and the signature last: with a warning that says
    so, since an absent signature means "not known".
    """
    text = _dump_json(wire)
    for longest in TEXT_LIMITS:
        if len(text.encode()) <= limit:
            return text
        text = _dump_json(_shorten_texts(wire, longest))
    rest = _shorten_texts({**wire, "warnings": []}, TEXT_LIMITS[-1])
    if len(_dump_json(rest).encode()) > limit and "signature" in rest:
        del rest["signature"]
        rest["warnings"] = ["the signature is too long to report"]
    return _dump_json(rest)


def to_job_error(error: BaseException) -> JobError:
    """Translate an exception into what the operator reads."""
    match error:
        case JobFailure():
            return JobError(reason=error.reason, message=str(error), transient=error.transient)
        case RegistryRefused():
            return JobError(reason=Reason.REGISTRY_REFUSED, message=str(error))
        case RegistryUnavailable():
            return JobError(reason=Reason.REGISTRY_UNAVAILABLE, message=str(error), transient=True)
        case ValidationError():
            return JobError(reason=Reason.INVALID_REQUEST, message=f"request: {error}")
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return JobError(
                reason=Reason.STORAGE_FULL,
                message=f"no space left for the model: {error}",
                transient=True,
            )
        case SystemExit():
            return JobError(
                reason=Reason.INTERRUPTED, message="the pod was told to stop", transient=True
            )
        case _:
            return JobError(
                reason=Reason.INTERNAL_ERROR, message=f"{type(error).__name__}: {error}"
            )


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
    """As process 1 of a container, SIGTERM would be ignored without a handler."""
    raise SystemExit(EXIT_TRANSIENT)


def _shorten_texts(value: Any, longest: int) -> Any:
    """Cut messages and warnings; names and digests stay whole, or they would lie."""
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


def _dump_json(wire: Manifest) -> str:
    return json.dumps(wire, separators=(",", ":"), ensure_ascii=False)
