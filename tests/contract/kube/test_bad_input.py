"""Hostile ModelDeployments: the API server refuses each with a message that names the field."""

import copy
import json
from typing import Any

import pytest
from slipway.adapters.connection import JSON, Connection
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_DEPLOYMENT

from tests.contract.kube.hostile import ALL, REMOVE, Bad, spelled

pytestmark = pytest.mark.cluster

NAMESPACE = "default"
"""Nothing is stored there: all but one of these are dry runs."""
STRICT = {"dryRun": "All", "fieldValidation": "Strict"}


def good(namespace: str) -> Manifest:
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": MODEL_DEPLOYMENT.kind,
        "metadata": {"name": "digits", "namespace": namespace},
        "spec": {"model": {"version": "1", "source": {"uri": "https://models.example/1.onnx"}}},
    }


def spoilt(namespace: str, bad: Bad) -> Manifest:
    """Return a good object with one thing wrong."""
    made = good(namespace)
    place: dict[str, Any] = made
    *way, last = bad.path.split(".")
    for part in way:
        place = place.setdefault(part, {})
    if bad.value is REMOVE:
        del place[last]
    else:
        place[last] = bad.value
    return made


async def sent(connection: Connection, text: str) -> str:
    """Return why the API server does not take the JSON; empty: it does. Nothing is stored."""
    answer = await connection._session.post(
        f"{connection.configuration.host}{MODEL_DEPLOYMENT.path(NAMESPACE)}"
        "?dryRun=All&fieldValidation=Strict",
        headers={"Content-Type": JSON, **await connection._credentials()},
        data=text.encode(),
    )
    said = json.loads(await answer.read())
    return str(said["message"]) if said["kind"] == "Status" else ""


def title(bad: Bad) -> str:
    value = "absent" if bad.value is REMOVE else ascii(bad.value)
    return f"{bad.path}={value if len(value) < 40 else value[:37] + '...'}"


def test_the_table_is_long_and_has_no_case_twice() -> None:
    assert len({(bad.path, ascii(bad.value)) for bad in ALL}) == len(ALL) >= 60


@pytest.mark.parametrize("bad", ALL, ids=title)
async def test_what_is_wrong_is_refused_and_named(connection: Connection, bad: Bad) -> None:
    text = spelled(json.dumps(spoilt(NAMESPACE, bad)))
    assert bad.said in await sent(connection, text)


async def test_nothing_is_wrong_with_what_the_table_starts_from(connection: Connection) -> None:
    assert await sent(connection, json.dumps(good(NAMESPACE))) == ""


ACCEPTED = [
    ("spec.server.image", "nvcr.io/nvidia/tritonserver:26.07-py3"),
    ("spec.server.image", "registry.local:5000/a/b_c--d.e@sha256:" + "0f" * 32),
    ("spec.server.image", "triton"),
    ("spec.server.image", "[fd00::1]:5000/triton:26.07-py3"),
    ("spec.packaging.repository", "[fd00::1]:5000/models/digits"),
    ("spec.model.source.uri", "https://[fd00::1]:8443/digits/1.onnx"),
    ("spec.rollout.capacity", "Swap"),
    ("spec.rollout.capacity", "Auto"),
    ("spec.rollout.allowGap", "Accepted"),
    ("spec.server.resources", {"requests": {"cpu": "100m"}, "limits": {"cpu": 1}}),
    ("spec.server.resources", {"limits": {"nvidia.com/gpu": "1", "memory": "1e3Mi"[:3]}}),
    ("spec.server.resources", {"requests": {"memory": "1.5Gi"}, "limits": {"memory": "2Gi"}}),
    ("spec.server.pod.env", [{"name": "LD_PRELOAD", "value": "/opt/libtcmalloc.so"}]),
    ("spec.server.pod.nodeSelector", {"nvidia.com/gpu.product": "A100", "on": ""}),
    ("spec.model.source.uri", "https://models.example/%C3%A9/a.onnx?version=1&x=a@b"),
    ("spec.model.source.uri", "pvc://my-claim.v1/a/b c".replace(" ", "%20")),
    (
        "spec.server.pod.affinity",
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}
                    ]
                }
            },
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "topologyKey": "zone",
                            "labelSelector": {"matchLabels": {"a": "b"}},
                        },
                    }
                ]
            },
        },
    ),
    (
        "spec.server.pod.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
    ),
    ("spec.rollout.steps", []),
    ("spec.traffic.candidateHeader", {"name": "x-canary", "value": "a b; c"}),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED, ids=lambda item: ascii(item)[:40])
async def test_what_is_unusual_and_right_is_taken_unchanged(
    connection: Connection, path: str, value: object
) -> None:
    manifest = spoilt(NAMESPACE, Bad(path, copy.deepcopy(value), ""))
    answer = await connection.request(
        "POST", MODEL_DEPLOYMENT.path(NAMESPACE), query=STRICT, body=manifest
    )
    assert answer.is_success, answer.body
    found: Any = answer.json()
    for part in path.split("."):
        found = found[part]
    assert found == value


async def test_the_models_name_never_changes(connection: Connection, namespace: str) -> None:
    path = MODEL_DEPLOYMENT.path(namespace)
    made = {**good(namespace), "spec": {**good(namespace)["spec"], "paused": True}}
    answer = await connection.request("POST", path, body=made)
    assert answer.is_success, answer.body
    change = {"spec": {"model": {"name": "other"}}}
    answer = await connection.request(
        "PATCH", f"{path}/digits", body=change, content_type="application/merge-patch+json"
    )
    assert "is immutable" in json.loads(answer.body)["message"]


@pytest.mark.parametrize("hostile", ["NaN", "Infinity", "-Infinity", "1e999", "0x10"])
async def test_a_number_that_is_none_is_refused(connection: Connection, hostile: str) -> None:
    text = json.dumps(
        spoilt(NAMESPACE, Bad("spec.rollout.analysis.tolerance", {"relative": "HERE"}, ""))
    )
    assert await sent(connection, text.replace('"HERE"', hostile))


async def test_the_same_key_twice_is_refused(connection: Connection) -> None:
    text = json.dumps(good(NAMESPACE))
    twice = text.replace('"version": "1"', '"version": "1", "version": "2"')
    assert twice != text
    assert 'duplicate field "spec.model.version"' in await sent(connection, twice)


async def test_annotations_without_end_are_refused(connection: Connection) -> None:
    bad = Bad("metadata.annotations", {"a": "x" * 300_000}, "")
    said = await sent(connection, json.dumps(spoilt(NAMESPACE, bad)))
    assert "metadata.annotations: Too long" in said
