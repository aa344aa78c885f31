"""Both versions of the API on a real API server: one object, by either name."""

import pytest
from slipway.adapters.connection import APPLY, Connection
from slipway.api.base import Manifest

pytestmark = pytest.mark.cluster


def path(version: str, namespace: str, sub: str = "") -> str:
    return f"/apis/slipway.dev/{version}/namespaces/{namespace}/modeldeployments/digits{sub}"


def digits(version: str, **content: object) -> Manifest:
    return {
        "apiVersion": f"slipway.dev/{version}",
        "kind": "ModelDeployment",
        "metadata": {"name": "digits"},
        **content,
    }


SPEC = {"paused": True, "model": {"version": "1", "source": {"uri": "https://m.example/1.onnx"}}}


async def apply(
    connection: Connection, namespace: str, manifest: Manifest, manager: str, sub: str = ""
) -> Manifest:
    version = manifest["apiVersion"].partition("/")[2]
    answer = await connection.request(
        "PATCH",
        path(version, namespace, sub),
        query={"fieldManager": manager, "force": "true"},
        body=manifest,
        content_type=APPLY,
    )
    assert answer.is_success, answer.body
    return answer.json()


@pytest.mark.parametrize(("first", "then"), [("v1alpha1", "v1beta1"), ("v1beta1", "v1alpha1")])
async def test_an_object_is_read_and_applied_by_either_version(
    connection: Connection, namespace: str, first: str, then: str
) -> None:
    made = await apply(connection, namespace, digits(first, spec=SPEC), "flux")
    answer = await connection.request("GET", path(then, namespace))
    read = answer.json()
    assert read["apiVersion"] == f"slipway.dev/{then}"
    assert read["spec"] == made["spec"]

    again = await apply(connection, namespace, digits(then, spec=SPEC), "flux")
    assert again["metadata"]["generation"] == made["metadata"]["generation"]
    owners = [it["manager"] for it in again["metadata"]["managedFields"]]
    assert owners.count("flux") == 1


async def test_a_status_that_is_applied_by_the_other_version_loses_what_it_drops(
    connection: Connection, namespace: str
) -> None:
    await apply(connection, namespace, digits("v1beta1", spec=SPEC), "flux")
    full = {"observedGeneration": 1, "candidate": {"revision": "0a1b2c3d"}}
    for version, status in (("v1beta1", full), ("v1alpha1", {"observedGeneration": 1})):
        written = await apply(
            connection, namespace, digits(version, status=status), "slipway-status", "/status"
        )
        assert written["status"] == status


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1"])
async def test_rules_hold_in_both(connection: Connection, namespace: str, version: str) -> None:
    steps = [{"weight": 50}, {"weight": 10}]
    wrong = digits(version, spec={**SPEC, "rollout": {"steps": steps}})
    answer = await connection.request(
        "PATCH",
        path(version, namespace),
        query={"fieldManager": "flux"},
        body=wrong,
        content_type=APPLY,
    )
    assert answer.status == 422
    assert "steps" in str(answer.body)
