"""The errors that the API server's answers stand for."""

import json
from collections.abc import Sequence
from typing import Any

from slipway.adapters.connection import ApiResponse
from slipway.api.base import Manifest
from slipway.engine.watch_events import WatchExpired
from slipway.errors import (
    AdmissionDenied,
    ChangedUnderneath,
    ClusterUnavailable,
    ConflictError,
    Forbidden,
    KindNotServed,
    SlipwayError,
    SpecError,
    WebhookUnavailable,
)

NOT_FOUND = 404
TOO_MANY = 429
SERVER_ERRORS = 500
UNTYPED = "failed to create typed patch object"
"""What the API server says, with status 500, of an apply with a field that its schema lacks."""
NO_WEBHOOK = "failed calling webhook"
"""What the API server says of a webhook that does not answer; no other field tells."""


def require_success(response: ApiResponse, what: str) -> ApiResponse:
    """Return the response where the API server did what was asked; `what` names the call.

    Raises:
        SlipwayError: the error that the response stands for.

    """
    if not response.is_success:
        raise error_from(response, what)
    return response


def error_from(response: ApiResponse, what: str) -> SlipwayError:
    """Return the error that a response stands for; `what` names the call and the object."""
    status = _parse_status(response)
    message = f"{what}: {status.get('message') or f'HTTP {response.status}'}"
    if _is_admission_denial(str(status.get("message", ""))):
        return AdmissionDenied(message)

    if UNTYPED in message:
        return SpecError(what, message)

    match response.status:
        case 403:
            return Forbidden(message) if _is_rbac_denial(message) else AdmissionDenied(message)
        case 404 if is_missing(response):
            return ChangedUnderneath(message)
        case 404:
            return KindNotServed(message)
        case 409:
            return _conflict_error(status, message)
        case 410:
            return WatchExpired(message)
        case 401 | 408 | 429:
            return ClusterUnavailable(message)
        case code if code >= SERVER_ERRORS:
            is_webhook = NO_WEBHOOK in message
            return WebhookUnavailable(message) if is_webhook else ClusterUnavailable(message)

    path = _blamed_field(status, what)
    if path == "metadata.uid":
        return ChangedUnderneath(message)  # how an apply reports that the object was re-created
    return SpecError(path, str(status.get("message") or message))


def is_missing(response: ApiResponse) -> bool:
    """Return whether the object does not exist, as opposed to its kind not being served."""
    if response.status != NOT_FOUND:
        return False
    return bool(_parse_status(response).get("details", {}).get("name"))


def _parse_status(response: ApiResponse) -> Manifest:
    try:
        value = json.loads(response.body)
    except ValueError:
        return {"message": response.body.decode(errors="replace")[:500].strip()}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def _status_causes(status: Manifest) -> Sequence[dict[str, Any]]:
    causes: Sequence[dict[str, Any]] = (status.get("details") or {}).get("causes") or ()
    return causes


def _conflict_error(status: Manifest, message: str) -> SlipwayError:
    foreign = any(cause.get("reason") == "FieldManagerConflict" for cause in _status_causes(status))
    if foreign or status.get("reason") == "AlreadyExists":
        return ConflictError(message)
    return ChangedUnderneath(message)


def _is_admission_denial(message: str) -> bool:
    return "denied the request" in message or (
        message.startswith("admission webhook ") or "ValidatingAdmissionPolicy '" in message
    )


def _is_rbac_denial(message: str) -> bool:
    return 'User "' in message and " cannot " in message


def _blamed_field(status: Manifest, what: str) -> str:
    return next((cause["field"] for cause in _status_causes(status) if cause.get("field")), what)
