"""Sources on a cluster: how Jobs get in, signed addresses, and a mended file."""

import json
from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.settings import SourceSettings, StoreSettings

from tests.unit.reconcile.world import NAMESPACE, SETTINGS, OperatorWorld

OPEN = {"uri": "https://models.example/digits.onnx"}
MENDED = "sha256:" + "cd" * 32
STORE = StoreSettings(
    name="models",
    prefixes=["s3://models/"],
    endpoint="https://minio.storage.svc:9000",
    credentials_secret="models-reader",  # noqa: S106 - a name
)


def with_source(**source: Any) -> Manifest:
    return {"model": {"version": "2", "source": {**OPEN, **source}}}


async def rejected(**source: Any) -> OperatorWorld:
    """Version 1 serves, and version 2 has been rejected by its golden set."""
    world = OperatorWorld()
    await world.ask_for("1")
    await world.settle()
    world.controllers.faults["2"] = "golden"
    golden = {"goldenSet": {"uri": "https://models.example/golden.tar"}}
    spec = with_source(**source)
    await world.ask_for("2", model={**spec["model"], **golden})
    await world.settle()
    assert world.condition("Stalled")[1] == "RevisionRejected"
    return world


def revisions(world: OperatorWorld) -> dict[str, str]:
    """Digests by revision."""
    made = world.api.list(kinds.CONTROLLER_REVISION, NAMESPACE, {})
    return {item["data"]["revision"]: item["data"]["modelDigest"] for item in made}


async def test_retry_looks_at_a_mended_file_and_rolls_it_out() -> None:
    world = await rejected()
    world.controllers.digest = MENDED
    world.controllers.faults.clear()

    await world.act("retry")
    await world.until(lambda: world.status().get("candidate") is not None, 60)

    candidate = world.status()["candidate"]
    assert candidate["digest"] == MENDED
    await world.until(lambda: world.status()["stable"]["digest"] == MENDED)
    assert world.status()["stable"]["revision"] == candidate["revision"]
    assert world.status()["source"]["revision"] == candidate["revision"]
    assert "Normal NewBytes" in world.operator.events.told
    assert world.api.list(kinds.JOB, NAMESPACE, {}) == []


async def test_retry_of_the_same_bytes_goes_on_with_the_revision_that_there_is() -> None:
    world = await rejected()
    before = revisions(world)
    world.controllers.faults.clear()

    await world.act("retry")
    await world.until(lambda: world.serving() == "2")

    assert revisions(world) == before


async def test_where_the_source_cannot_be_read_nothing_known_to_be_bad_is_started() -> None:
    world = await rejected()
    world.controllers.broken_source = "source https://models.example: found status 403"

    await world.act("retry")
    await world.live(60)

    assert world.weights() == {"1": 100}
    assert world.condition("Ready")[1] == "SourceRefused"
    assert "found status 403" in world.condition("Ready")[2]

    world.controllers.broken_source = ""
    world.controllers.faults.clear()
    await world.act("retry")
    await world.until(lambda: world.serving() == "2")


async def test_by_the_clock_other_bytes_are_a_rollout_and_a_broken_source_is_an_event() -> None:
    world = OperatorWorld()
    await world.ask_for("2", **with_source(refresh="Interval", refreshSeconds=60))
    await world.until(lambda: world.condition("Ready")[0] == "True")
    ready = world.condition("Ready")

    world.controllers.broken_source = "source https://models.example: found status 503"
    await world.live(130)
    assert world.condition("Ready") == ready
    assert "Warning RefreshFailed" in world.operator.events.told

    world.controllers.broken_source, world.controllers.digest = "", MENDED
    await world.until(lambda: world.status()["stable"]["digest"] == MENDED)


async def test_what_packaging_changed_or_left_out_is_in_the_status_of_the_revision() -> None:
    world = OperatorWorld()
    left_out = "left out ._a: only macOS reads such files"
    world.controllers.warnings = (left_out, "w" * 600, *"abcdefg")

    await world.ask_for("2", **with_source())
    await world.until(lambda: world.condition("Ready")[0] == "True")

    warnings = world.status()["stable"]["warnings"]
    assert warnings[:2] == [left_out, "w" * 512]
    assert len(warnings) == 8


async def test_a_signed_address_is_refused_where_pods_fetch() -> None:
    world = OperatorWorld()
    signed = f"{OPEN['uri']}?X-Amz-Signature=abc&X-Amz-Expires=60"

    await world.ask_for("2", **with_source(uri=signed), packaging={"mode": "Fetch"})
    await world.live(30)

    assert world.condition("Stalled")[1] == "InvalidSpec"
    assert "found a signed address, which expires" in world.condition("Stalled")[2]


@pytest.mark.parametrize("mode", ["Image", "Fetch"])
async def test_a_store_of_the_operator_reaches_jobs_and_pods_that_fetch(mode: str) -> None:
    world = OperatorWorld()
    world.settings = SETTINGS.model_copy(update={"sources": SourceSettings(stores=[STORE])})
    world.controllers.starts_jobs = False
    world.start()

    packaging = {"mode": mode, "repository": "registry.example/models/digits"}
    await world.ask_for("2", **with_source(uri="s3://models/digits/2/"), packaging=packaging)
    await world.live(5)

    [job] = world.api.list(kinds.JOB, NAMESPACE, {})
    spec = job["spec"]["template"]["spec"]
    [variable] = spec["containers"][0]["env"]
    assert json.loads(variable["value"])["source"]["access"] == {
        "store": "models",
        "secret": "models-reader",
        "endpoint": "https://minio.storage.svc:9000",
    }
    secrets = [volume.get("secret", {}).get("secretName") for volume in spec["volumes"]]
    assert "models-reader" in secrets


async def test_a_store_that_is_not_known_stalls_with_those_that_are() -> None:
    world = OperatorWorld()
    world.settings = SETTINGS.model_copy(update={"sources": SourceSettings(stores=[STORE])})
    world.start()

    await world.ask_for("2", **with_source(uri="s3://models/1/", store="modles"))
    await world.live(30)

    kind, reason, message = world.condition("Stalled")
    assert (kind, reason) == ("True", "InvalidSpec")
    assert "spec.model.source.store: found 'modles', expected a store" in message
