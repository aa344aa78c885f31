"""Memory in whole rollouts: a leak extends the bake, and without metrics nothing changes."""

from collections.abc import Callable
from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.api.times import to_wire

from tests.unit.reconcile.world import OperatorWorld

LIMITED = {"resources": {"limits": {"memory": "1Gi"}}}
Used = Callable[[float], str]
"""What a pod of the candidate uses, by minutes of the bake."""


async def baking(server: dict[str, Any] = LIMITED) -> OperatorWorld:
    """Return a world in which version 2 bakes for ten minutes."""
    world = OperatorWorld()
    await world.ask_for("1", server=server)
    await world.until(lambda: world.serving() == "1")
    analysis = {"intervalSeconds": 30, "minSamples": 30, "warmUpSeconds": 0}
    rollout = {"bakeSeconds": 600, "deadlineSeconds": 700, "analysis": analysis}
    await world.ask_for("2", server=server, rollout=rollout)
    await world.until(lambda: world.stage() == "Baking")
    return world


def metrics_of(world: OperatorWorld, used: str) -> list[Manifest]:
    """Return what metrics-server lists: 300Mi for stable's pods, and more beside the server."""
    items = []
    for _, pod in world.api.all(kinds.POD):
        meta = pod["metadata"]
        is_candidate = meta["labels"].get("slipway.dev/version") == "2"
        containers = [
            {"name": "sidecar", "usage": {"cpu": "1m", "memory": "9Gi"}},
            {"name": "triton", "usage": {"cpu": "1m", "memory": used if is_candidate else "300Mi"}},
        ]
        told = {"name": meta["name"], "namespace": meta["namespace"], "labels": meta["labels"]}
        at = to_wire(world.clock.now())
        items.append({"metadata": told, "timestamp": at, "window": "15s", "containers": containers})
    return items


async def live(world: OperatorWorld, seconds: int, used: Used) -> None:
    """Let the candidate's pods use memory; a version that is promoted is not asked about."""
    begin = world.clock.seconds()
    for _ in range(seconds):
        minutes = (world.clock.seconds() - begin) / 60
        world.api.pod_metrics = metrics_of(world, used(minutes))
        await world.live()


def leaking(minutes: float) -> str:
    return f"{round((300 + 20 * minutes) * 1024)}Ki"


def entry(world: OperatorWorld) -> dict[str, Any]:
    found = (
        item
        for item in world.status().get("rollout", {}).get("analysis", ())
        if item["name"] == "memory-rise"
    )
    return next(found, {})


async def test_a_leak_extends_the_bake_and_the_status_says_when_the_pod_is_full() -> None:
    world = await baking()
    await live(world, 660, leaking)

    _, reason, message = world.condition("Ready")
    assert (world.stage(), reason) == ("Baking", "MemoryGrows")
    assert message.startswith("bake extended, memory grows: memory-rise: pod ")
    assert "it reaches its limit of 1,024 MiB in " in message


async def test_what_is_full_after_a_while_is_promoted_then() -> None:
    world = await baking()
    await live(world, 660, leaking)
    await live(world, 500, lambda _: "520Mi")
    assert world.serving() == "2"


async def test_a_leak_that_goes_on_is_for_a_person_at_the_deadline() -> None:
    world = await baking()
    await live(world, 1300, leaking)
    assert world.condition("Stalled")[1] == "DeadlineExceeded"
    assert entry(world)["reason"] == "MemoryGrows"


def warming_up(minutes: float) -> str:
    return f"{300 + min(200, 90 * minutes):.0f}Mi"


@pytest.mark.parametrize("used", [lambda _: "300Mi", warming_up])
async def test_a_version_that_only_warms_up_is_promoted_in_time(used: Used) -> None:
    world = await baking()
    await live(world, 660, used)
    assert world.serving() == "2"


async def test_a_cluster_that_serves_no_metrics_changes_nothing_and_is_told_of_nowhere() -> None:
    world = await baking()
    await world.live(300)
    assert entry(world) == {}
    await world.live(360)
    assert world.serving() == "2"


async def test_without_a_limit_there_is_nothing_to_reach() -> None:
    world = await baking(server={})
    await live(world, 660, leaking)
    assert world.serving() == "2"


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": 7, "timestamp": 7, "containers": {}},
        {"metadata": {"name": "x"}, "timestamp": "yesterday", "containers": []},
        {"metadata": {"name": "x"}, "timestamp": "2026-11-21T12:00:00", "containers": [7, {}]},
        {
            "metadata": {"name": "x"},
            "timestamp": "2026-11-21T12:00:00Z",
            "containers": [{"name": "triton", "usage": {"memory": "lots"}}],
        },
    ],
)
async def test_what_a_server_of_metrics_says_wrongly_is_left_out(item: Manifest) -> None:
    world = await baking()
    for _ in range(60):
        world.api.pod_metrics = [item]
        await world.live()
    assert entry(world) == {}
