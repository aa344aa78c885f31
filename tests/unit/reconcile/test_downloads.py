"""How far a download is stands in the status, costs few writes, and nothing waits for it."""

from typing import Any

from slipway.api import kinds
from slipway.api.download import DownloadProgress

from tests.unit.reconcile.world import OperatorWorld

GIGABYTE = 2**30
UNPINNED: dict[str, Any] = {"source": {"uri": "s3://models/digits/1/", "digest": None}}


async def fetching() -> OperatorWorld:
    """The package Job of version 1 fetches, and does not end."""
    world = OperatorWorld()
    world.controllers.large_source = True
    await world.ask_for("1", model=UNPINNED)
    await world.live(3)
    assert world.stage() == "Packaging"
    return world


def tell(world: OperatorWorld, there: int, total: int | None = GIGABYTE, seconds: int = 8) -> None:
    """Let every pod say this when it is asked."""
    progress = DownloadProgress(bytes=there, total_bytes=total, seconds=seconds)
    world.downloads.told.update(dict.fromkeys(world.names(kinds.POD), progress))


def told(world: OperatorWorld) -> dict[str, Any]:
    found: dict[str, Any] = world.status()["rollout"].get("download", {})
    return found


async def test_bytes_rate_and_what_is_left_are_told() -> None:
    world = await fetching()
    tell(world, GIGABYTE // 4)

    await world.live(12)

    assert (told(world)["bytes"], told(world)["totalBytes"]) == (GIGABYTE // 4, GIGABYTE)
    assert (told(world)["bytesPerSecond"], told(world)["secondsLeft"]) == (GIGABYTE // 32, 24)
    assert world.condition("Ready")[2] == (
        "packaging version 1: fetched 256.0 MiB of 1,024.0 MiB at 32.0 MiB/s, 24 s left"
    )


async def test_of_a_source_that_does_not_say_its_size_the_rest_is_not_guessed() -> None:
    world = await fetching()
    tell(world, GIGABYTE // 4, total=None)

    await world.live(12)

    assert "secondsLeft" not in told(world)
    assert world.condition("Ready")[2] == "packaging version 1: fetched 256.0 MiB at 32.0 MiB/s"


async def test_a_pod_that_does_not_answer_is_waited_for_all_the_same() -> None:
    world = await fetching()

    await world.live(30)

    assert world.downloads.asked >= 2
    assert world.condition("Ready")[2] == "packaging version 1"
    world.controllers.large_source = False
    await world.settle()
    assert world.serving() == "1"


async def test_what_takes_seconds_is_not_asked_for() -> None:
    world = await fetching()
    tell(world, GIGABYTE // 4)
    await world.live(6)

    world.controllers.large_source = False
    await world.settle()

    assert world.downloads.asked == 0


async def test_an_hour_of_fetching_costs_few_writes_and_a_rest_none() -> None:
    world = await fetching()
    before = len(world.writes)

    for minute in range(60):
        tell(world, minute * GIGABYTE // 64, seconds=60 * minute + 8)
        await world.live(60)

    assert 60 <= len(world.writes) - before <= 120
    world.controllers.large_source = False
    await world.settle()
    asked = world.downloads.asked
    await world.live(300)
    assert world.downloads.asked == asked
    assert not told(world)


async def test_an_operator_that_starts_anew_asks_again() -> None:
    world = await fetching()
    tell(world, GIGABYTE // 4)
    await world.live(12)

    world.start()
    tell(world, GIGABYTE // 2)
    await world.live(12)

    assert told(world)["bytes"] == GIGABYTE // 2
