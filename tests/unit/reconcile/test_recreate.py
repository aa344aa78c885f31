"""Strategy Recreate on the real passes: what is written, in which order, and what users see."""

from typing import Any

from slipway.api import kinds, names

from tests.unit.reconcile.world import OperatorWorld

STRATEGY: dict[str, Any] = {"strategy": "Recreate", "steps": None}
TWO: dict[str, Any] = {"minReplicas": 2}


async def serving_one() -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1", rollout=STRATEGY, scaling=TWO)
    await world.until(lambda: world.serving() == "1")
    await world.settle()
    return world


def versions_with_pods(world: OperatorWorld) -> set[str]:
    server = {names.LABEL_COMPONENT: names.COMPONENT_SERVER}
    pods = world.api.list(kinds.POD, "vision", server)
    return {pod["metadata"]["labels"][names.LABEL_REVISION] for pod in pods}


async def test_no_two_versions_have_pods_at_once_and_the_gap_is_in_the_status() -> None:
    world = await serving_one()
    await world.ask_for("2", rollout=STRATEGY, scaling=TWO)
    for _ in range(200):
        await world.live()
        assert len(versions_with_pods(world)) <= 1
        if world.serving() == "2":
            break

    await world.settle()
    assert world.outcomes()[-1] == ("2", "Promoted")
    recreate = world.status()["rollout"]["recreate"]
    assert 0 < recreate["gapSeconds"] < 25, "nobody waits for drainSeconds with nothing in flight"
    assert "gapStartedAt" not in recreate
    events = world.operator.events.messages
    assert events["Recreating"].startswith("nobody is answered from now on: version 1 stops")
    assert "answers after a gap of" in events["GapEnded"]


async def test_a_version_that_fails_its_checks_makes_room_for_the_old_one() -> None:
    world = await serving_one()
    world.controllers.faults["2"] = "golden"
    golden = {"goldenSet": {"uri": "https://models.example/golden.tar"}}
    await world.ask_for("2", rollout=STRATEGY, scaling=TWO, model=golden)
    await world.until(lambda: world.outcomes()[-1] == ("2", "RejectedByGoldenSet"))
    await world.settle()
    assert world.serving() == "1"
    assert len(versions_with_pods(world)) == 1
    assert {"2": 100} not in world.written_weights()


async def test_a_gap_is_told_by_who_comes_after_the_one_that_was_killed_when_it_began() -> None:
    world = await serving_one()
    killed = world.operator
    killed.events.kills_before = "Recreating"
    await world.ask_for("2", rollout=STRATEGY, scaling=TWO)
    await world.until(lambda: world.serving() == "2")
    assert world.operator is not killed
    assert "Recreating" not in killed.events.messages
    told = world.operator.events
    assert told.messages["Recreating"].startswith("nobody is answered from now on: version 1 stops")
