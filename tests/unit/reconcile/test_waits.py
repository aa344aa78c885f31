"""Waits for replicas and for proxies end by themselves, or at the deadline, and blame nobody."""

from typing import Any

import pytest
from slipway.api import kinds, names

from tests.unit.reconcile.world import OperatorWorld

QUOTA = (
    'pods "digits-6f9c-x2x8n" is forbidden: exceeded quota: compute, requested: '
    "requests.cpu=100m, used: requests.cpu=200m, limited: requests.cpu=200m"
)
TWO: dict[str, Any] = {"scaling": {"minReplicas": 2}, "server": {"startSeconds": 60}}


def until_deadline(seconds: int, then: str = "Pause") -> dict[str, Any]:
    analysis = {"intervalSeconds": 1, "minSamples": 30, "warmUpSeconds": 0, "onInconclusive": then}
    return {"deadlineSeconds": seconds, "analysis": analysis}


async def promoted(**spec: Any) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1", **spec)
    await world.settle()
    assert world.serving() == "1"
    return world


async def climbing(then: str = "Pause", deadline: int = 120) -> OperatorWorld:
    """Version 2 has its first share when one of its pods goes and no other one is admitted."""
    world = await promoted(**TWO)
    await world.ask_for("2", **TWO, rollout=until_deadline(deadline, then))
    await world.until(lambda: world.weights().get("2") == 10)
    world.controllers.quota = QUOTA
    revision = world.status()["candidate"]["revision"]
    world.delete(kinds.POD, f"digits-{revision}-1")
    return world


def stalled(world: OperatorWorld) -> str:
    return world.condition("Stalled")[1]


def deafen(world: OperatorWorld, *, is_deaf: bool = True) -> None:
    world.controllers.deaf.clear()
    if is_deaf:
        world.controllers.deaf.update(pod["metadata"]["uid"] for pod in world.proxies())


# ── a quota on pods, cpu or memory ──


async def test_a_quota_that_admits_no_pod_is_named_and_heals() -> None:
    world = OperatorWorld()
    world.controllers.quota = QUOTA
    await world.ask_for("1")
    await world.live(30)
    assert world.stage() == "Starting"
    assert world.condition("Ready") == ("False", "PodsRefused", f"pods are refused: {QUOTA}")
    assert world.condition("Reconciling")[1] == "PodsRefused"
    assert world.condition("CapacityReady")[0] == "False"
    assert world.condition("Stalled") == ("", "", ""), "it passes when there is room"
    world.controllers.quota = ""
    await world.until(lambda: world.serving() == "1", 60)


async def test_a_share_that_lacks_replicas_says_why_there_are_none() -> None:
    world = await climbing()
    await world.until(lambda: world.condition("Ready")[1] == "AwaitingCapacity", 60)
    message = world.condition("Ready")[2]
    assert message.startswith("95% needs 2 ready replicas, 1 ready: pods are refused: ")
    assert "exceeded quota: compute" in message


# ── at the deadline ──


async def test_capacity_that_does_not_come_until_the_deadline_stalls_and_heals() -> None:
    world = await climbing()

    await world.until(lambda: world.condition("Ready")[1] == "AwaitingCapacity", 60)
    await world.live(60)
    assert not stalled(world), "the deadline has not come"

    await world.until(lambda: stalled(world) == "DeadlineExceeded", 60)
    assert "no advance within 120 s of active time: 95% needs 2" in world.condition("Stalled")[2]
    assert world.condition("Reconciling") == ("", "", "")
    assert world.condition("Available")[0] == "True"
    assert (world.stage(), world.weights()) == ("Paused", {"1": 50, "2": 50})

    before = len(world.writes)
    await world.live(600)
    assert len(world.writes) <= before + 600 / 30, "numbers of the analysis, and nothing else"

    world.controllers.quota = ""
    await world.until(lambda: world.serving() == "2", 120)
    await world.settle()
    assert world.outcomes() == [("1", "Promoted"), ("2", "Promoted")]
    assert not world.controllers.lost


async def test_capacity_that_does_not_come_is_rolled_back_if_chosen_and_tried_again() -> None:
    world = await climbing("RollBack")
    await world.until(lambda: world.outcomes()[-1] == ("2", "FailedToStart"), 240)
    assert world.weights()["1"] == 100
    assert "exceeded quota" in world.status()["history"][-1]["reason"]
    assert not stalled(world), "the version is not to blame"
    assert not world.status().get("rejected")
    world.controllers.quota = ""
    await world.until(lambda: world.serving() == "2", 300)


async def test_what_lacks_capacity_is_not_promoted_at_the_deadline() -> None:
    world = await climbing("Promote")
    await world.until(lambda: stalled(world) == "DeadlineExceeded", 240)
    assert world.weights() == {"1": 50, "2": 50}
    world.controllers.quota = ""
    await world.until(lambda: world.serving() == "2", 120)


async def test_proxies_that_acknowledge_nothing_until_the_deadline_stall_and_heal() -> None:
    world = await promoted()
    await world.ask_for("2", rollout=until_deadline(90))
    await world.until(lambda: world.weights().get("2") == 10)
    deafen(world)
    await world.until(lambda: stalled(world) == "DeadlineExceeded", 240)
    assert names.ROUTER_NAME in world.condition("Stalled")[2]
    assert world.serving() is None or world.weights()["1"] >= 50
    deafen(world, is_deaf=False)
    await world.until(lambda: world.serving() == "2", 120)


async def test_a_first_version_without_a_router_stalls_at_the_deadline_and_stays() -> None:
    world = OperatorWorld()
    await world.ask_for("1", rollout=until_deadline(90, "RollBack"))
    for _ in range(200):
        deafen(world)
        await world.live()
    assert stalled(world) == "DeadlineExceeded"
    assert not world.outcomes(), "there is nothing to go back to"
    deafen(world, is_deaf=False)
    await world.until(lambda: world.serving() == "1", 120)


@pytest.mark.parametrize("seconds", [20, 50])
async def test_a_wait_that_is_short_never_stalls_though_the_deadline_passes_meanwhile(
    seconds: int,
) -> None:
    world = await promoted()
    steps = [{"weight": 10, "holdSeconds": 50}]
    await world.ask_for("2", rollout={**until_deadline(60), "steps": steps})
    await world.until(lambda: world.weights().get("2") == 95)
    deafen(world)
    for _ in range(seconds):
        await world.live()
        assert not stalled(world)
    deafen(world, is_deaf=False)
    while world.serving() != "2":
        await world.live()
        assert not stalled(world)


async def test_a_pause_is_no_wait() -> None:
    world = await climbing()
    await world.act("pause")
    await world.live(600)
    assert not stalled(world)
    assert world.stage() == "Paused"
