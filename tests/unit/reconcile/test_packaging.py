"""What packaging has to say besides, and what is known of image volumes before it begins."""

from typing import Any

import pytest
from slipway.api import kinds

from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

MOUNTED: dict[str, Any] = {
    "model": {"source": {"uri": "s3://models/digits/1/", "digest": None}},
    "packaging": {"mode": "Volume", "repository": "registry.example/digits"},
}


async def asked_to_mount(version: tuple[int, int] | None) -> OperatorWorld:
    world = OperatorWorld()
    world.api.version = version
    world.controllers.large_source = True
    await world.ask_for("1", **MOUNTED)
    await world.live(3)
    return world


def jobs(world: OperatorWorld) -> int:
    return len(world.api.list(kinds.JOB, NAMESPACE, {}))


async def test_what_packaging_left_out_is_told_once() -> None:
    world = OperatorWorld()
    world.controllers.warnings = ("left out .DS_Store: only macOS reads such files", "and more")

    await world.ask_for("1", model=MOUNTED["model"])
    await world.settle()

    assert world.serving() == "1"
    assert world.operator.events.told.count("Warning PackagedWithWarnings") == 1
    assert world.operator.events.messages["PackagedWithWarnings"] == (
        "left out .DS_Store: only macOS reads such files; and more"
    )


async def test_of_a_model_without_warnings_nothing_is_told() -> None:
    world = OperatorWorld()

    await world.ask_for("1")
    await world.settle()

    assert "Warning PackagedWithWarnings" not in world.operator.events.told


@pytest.mark.parametrize("version", [(1, 29), (1, 30)])
async def test_a_cluster_that_mounts_no_images_is_named_before_anything_is_packaged(
    version: tuple[int, int],
) -> None:
    world = await asked_to_mount(version)

    assert jobs(world) == 0
    _, reason, message = world.condition("Ready")
    assert reason == "InvalidSpec"
    assert message == (
        f"spec.packaging.mode: found Volume and Kubernetes 1.{version[1]}, which mounts no images; "
        "set Image or Fetch, or update the cluster to 1.35"
    )


@pytest.mark.parametrize("version", [(1, 31), (1, 34)])
async def test_a_cluster_that_mounts_them_only_behind_a_gate_goes_on_and_says_so(
    version: tuple[int, int],
) -> None:
    world = await asked_to_mount(version)

    assert jobs(world) == 1
    message = world.condition("Ready")[2]
    assert message.startswith(f"packaging version 1; mode Volume: Kubernetes 1.{version[1]} mounts")
    assert "feature gate ImageVolume" in message


@pytest.mark.parametrize("version", [(1, 35), (2, 0), None])
async def test_a_cluster_that_mounts_them_or_does_not_say_is_believed(
    version: tuple[int, int] | None,
) -> None:
    world = await asked_to_mount(version)

    assert (jobs(world), world.condition("Ready")[2]) == (1, "packaging version 1")
