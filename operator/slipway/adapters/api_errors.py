"""What the API server's refusals mean to a pass."""

import json
from collections.abc import Sequence
from typing import Any

from slipway.adapters.connection import Answer
from slipway.api.base import Manifest
from slipway.errors import (
    AdmissionDenied,
    ChangedUnderneath,
    ClusterUnavailable,
    ConflictError,
    Forbidden,
    SlipwayError,
    SpecError,
)

NOT_FOUND = 404
TOO_MANY = 429
SERVER_ERRORS = 500


def refusal(answer: Answer, what: str) -> SlipwayError:
    """Return the error that the answer stands for; `what` names the call and the object."""
    status = _status(answer)
    message = f"{what}: {status.get('message') or f'HTTP {answer.status}'}"
    if _is_admission(str(status.get("message", ""))):
        return AdmissionDenied(message)
    match answer.status:
        case 403:
            return Forbidden(message) if _is_rbac(message) else AdmissionDenied(message)
        case 404 | 410:
            return ChangedUnderneath(message) if is_missing(answer) else ClusterUnavailable(message)
        case 409:
            return _conflict(status, message)
        case 401 | 408 | 429:
            return ClusterUnavailable(message)
        case code if code >= SERVER_ERRORS:
            return ClusterUnavailable(message)
    path = _path(status, what)
    if path == "metadata.uid":
        return ChangedUnderneath(message)  # how an apply says that the object was re-created
    return SpecError(path, str(status.get("message") or message))


def is_missing(answer: Answer) -> bool:
    """Return whether the object does not exist, as opposed to its kind not being served."""
    if answer.status != NOT_FOUND:
        return False
    return bool(_status(answer).get("details", {}).get("name"))


def _status(answer: Answer) -> Manifest:
    try:
        value = json.loads(answer.body)
    except ValueError:
        return {"message": answer.body.decode(errors="replace")[:500].strip()}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def _causes(status: Manifest) -> Sequence[dict[str, Any]]:
    causes: Sequence[dict[str, Any]] = (status.get("details") or {}).get("causes") or ()
    return causes


def _conflict(status: Manifest, message: str) -> SlipwayError:
    foreign = any(cause.get("reason") == "FieldManagerConflict" for cause in _causes(status))
    if foreign or status.get("reason") == "AlreadyExists":
        return ConflictError(message)
    return ChangedUnderneath(message)


def _is_admission(message: str) -> bool:
    return "denied the request" in message or (
        message.startswith("admission webhook ") or "ValidatingAdmissionPolicy '" in message
    )


def _is_rbac(message: str) -> bool:
    return 'User "' in message and " cannot " in message


def _path(status: Manifest, what: str) -> str:
    return next((cause["field"] for cause in _causes(status) if cause.get("field")), what)
