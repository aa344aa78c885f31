"""A revision that turns worse after its promotion is seen by the routers' counters."""

from typing import Any

from slipway.api.base import Manifest

from tests.unit.reconcile.world import OperatorWorld

LONG = 900
"""Seconds in which a fault of a quarter of the requests is found, and what follows is done."""


async def two_promoted(mode: str) -> OperatorWorld:
    world = OperatorWorld()
    for version in ("1", "2"):
        await world.ask_for(version, rollout={"afterPromotion": {"mode": mode}})
        await world.settle()
    assert world.serving() == "2"
    return world


def watched(world: OperatorWorld) -> Manifest:
    found: Manifest = world.status()["afterPromotion"]
    return found


def finding(world: OperatorWorld) -> Any:
    return watched(world).get("finding")


async def test_a_good_version_writes_nothing_while_it_is_watched() -> None:
    world = await two_promoted("Report")
    assert watched(world)["requests"] >= 100
    before = len(world.writes)
    await world.live(LONG)
    assert len(world.writes) == before


async def test_a_version_that_turns_worse_is_reported_with_numbers_and_serves_on() -> None:
    world = await two_promoted("Report")
    world.controllers.faults["2"] = "errors"
    await world.until(lambda: finding(world) is not None, LONG)
    assert finding(world).startswith("errors: ")
    before = len(world.writes)
    await world.live(LONG)
    assert len(world.writes) == before
    assert world.serving() == "2"


async def test_with_roll_back_the_version_before_serves_again() -> None:
    world = await two_promoted("RollBack")
    world.controllers.faults["2"] = "errors"
    await world.until(lambda: world.serving() == "1", LONG)
    await world.settle()
    assert world.serving() == "1"
    assert "errors: " in world.status()["hold"]["reason"]
    assert "errors: " in world.status()["lastRollback"]["trigger"]


async def test_an_operator_that_restarts_knows_the_level_and_finds_it_all_the_same() -> None:
    world = await two_promoted("Report")
    level = watched(world)
    world.controllers.faults["2"] = "errors"
    await world.live(120)
    world.start()
    assert watched(world) == level
    await world.until(lambda: finding(world) is not None, LONG)


async def test_off_reads_nothing() -> None:
    world = await two_promoted("Off")
    await world.settle()
    assert "afterPromotion" not in world.status()
    before = sum(world.results.values())
    await world.live(LONG)
    assert sum(world.results.values()) <= before + 2  # what is not watched is read every 10 minutes
