"""What the API server's refusals mean; the texts are those of a real one (1.36)."""

import json
from typing import Any

import pytest
from slipway.adapters.api_errors import error_from, is_missing
from slipway.adapters.connection import ApiResponse
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


def answer(code: int, message: str = "", reason: str = "", **details: Any) -> ApiResponse:
    status = {
        "kind": "Status",
        "code": code,
        "message": message,
        "reason": reason,
        "details": details,
    }
    return ApiResponse(code, None, json.dumps(status).encode())


CASES = [
    pytest.param(
        answer(409, 'pods "p" already exists', "AlreadyExists", name="p"),
        ConflictError,
        id="the name is taken",
    ),
    pytest.param(
        answer(
            409,
            'Apply failed with 1 conflict: conflict with "kubectl": .spec.paused',
            "Conflict",
            causes=[{"reason": "FieldManagerConflict", "field": ".spec.paused"}],
        ),
        ConflictError,
        id="another field manager has a field",
    ),
    pytest.param(
        answer(409, "the object has been modified", "Conflict"),
        ChangedUnderneath,
        id="the resourceVersion is old",
    ),
    pytest.param(
        answer(422, "metadata.uid: field is immutable", causes=[{"field": "metadata.uid"}]),
        ChangedUnderneath,
        id="the uid is of an earlier object",
    ),
    pytest.param(
        answer(404, 'pods "p" not found', "NotFound", name="p"), ChangedUnderneath, id="it is gone"
    ),
    pytest.param(
        ApiResponse(404, None, b"404 page not found\n"),
        KindNotServed,
        id="the kind is not served",
    ),
    pytest.param(
        answer(403, 'pods "p" is forbidden: exceeded quota: q, requested: pods=1', "Forbidden"),
        AdmissionDenied,
        id="a quota",
    ),
    pytest.param(
        answer(403, 'pods "p" is forbidden: violates PodSecurity "restricted:latest"'),
        AdmissionDenied,
        id="Pod Security",
    ),
    pytest.param(
        answer(400, 'admission webhook "w" denied the request: no'), AdmissionDenied, id="a webhook"
    ),
    pytest.param(
        answer(
            403,
            'jobs.batch "j" is forbidden: unable to create new content in namespace n because it '
            "is being terminated",
            "Forbidden",
        ),
        AdmissionDenied,
        id="a namespace that is being deleted",
    ),
    pytest.param(
        answer(422, "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
        AdmissionDenied,
        id="an admission policy",
    ),
    pytest.param(
        answer(403, 'pods is forbidden: User "u" cannot create resource "pods" in API group ""'),
        Forbidden,
        id="a right that is missing, or RBAC that reloads",
    ),
    pytest.param(answer(401, "Unauthorized"), ClusterUnavailable, id="a token that ran out"),
    pytest.param(answer(429, "too many requests"), ClusterUnavailable, id="too many requests"),
    pytest.param(
        answer(500, 'Internal error: failed calling webhook "w": timeout'),
        WebhookUnavailable,
        id="a webhook that is away",
    ),
    pytest.param(
        ApiResponse(503, None, b"<html>"), ClusterUnavailable, id="a proxy that speaks HTML"
    ),
    pytest.param(
        answer(500, "failed to create typed patch object: .spec.foo: field not declared in schema"),
        SpecError,
        id="an apply with a field that the schema lacks",
    ),
    pytest.param(answer(400, "strict decoding error"), SpecError, id="a field unknown"),
]


@pytest.mark.parametrize(("said", "means"), CASES)
def test_an_error_response_names_who_must_act(said: ApiResponse, means: type[SlipwayError]) -> None:
    error = error_from(said, "PATCH /pods/p")
    assert type(error) is means


def test_a_wrong_value_is_blamed_on_its_field() -> None:
    said = answer(422, "spec.replicas: must be ≥ 0", "Invalid", causes=[{"field": "spec.replicas"}])
    error = error_from(said, "PATCH /x")
    assert isinstance(error, SpecError)
    assert error.path == "spec.replicas"
    assert "must be ≥ 0" in error.problem


def test_only_an_object_can_be_missing_not_its_kind() -> None:
    assert is_missing(answer(404, "not found", "NotFound", name="p"))
    assert not is_missing(answer(404, "the server could not find the requested resource"))
    assert not is_missing(ApiResponse(404, None, b"404 page not found"))
