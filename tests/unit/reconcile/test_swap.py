"""A Swap as it is written: replicas, autoscalers and weights, also where the operator is killed."""

from typing import Any

from slipway.api import kinds
from slipway.api.names import LABEL_REVISION

from tests.unit.reconcile.test_crashes import QUICK, QUIET_SECONDS, Watched
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld, differences, final_state

REPLICAS = 2
SPEC: dict[str, Any] = {
    "scaling": {"minReplicas": REPLICAS},
    "rollout": {"capacity": "Auto", "bakeSeconds": 4, "analysis": QUICK},
}
HPA = {"minReplicas": REPLICAS, "maxReplicas": 4, "engine": "HPA"}


async def crowded(**spec: Any) -> OperatorWorld:
    """Return a world in which a quota admits as many pods as version 1 has."""
    world = OperatorWorld()
    world.controllers.places = REPLICAS
    await world.ask_for("1", **{**SPEC, **spec})
    await world.settle(quiet_seconds=QUIET_SECONDS)
    assert world.serving() == "1"
    return world


def replicas_of(world: OperatorWorld) -> dict[str, int]:
    """Return the replicas by version, of versions that have any."""
    found = {}
    for _, item in world.api.all(kinds.DEPLOYMENT):
        revision = item["metadata"]["labels"].get(LABEL_REVISION)
        if revision is not None and item["spec"]["replicas"]:
            version = world.controllers.version_of(NAMESPACE, revision)
            found[version] = item["spec"]["replicas"]
    return found


async def test_a_quota_for_two_pods_is_enough_for_a_rollout_of_two_and_the_way_back() -> None:
    world = await crowded()
    for version in ("2", "1"):
        await world.ask_for(version, **SPEC)
        await world.settle(quiet_seconds=QUIET_SECONDS)
        assert (world.serving(), replicas_of(world)) == (version, {version: REPLICAS})
    assert not world.controllers.lost


async def test_autoscalers_are_away_while_places_are_shared_and_come_back() -> None:
    world = await crowded(scaling=HPA)
    assert len(world.names(kinds.HORIZONTAL_POD_AUTOSCALER)) == 1

    await world.ask_for("2", **{**SPEC, "scaling": HPA})
    await world.until(lambda: world.status()["rollout"].get("ackedWeight", 0) > 0)
    assert not world.names(kinds.HORIZONTAL_POD_AUTOSCALER)

    await world.settle(quiet_seconds=QUIET_SECONDS)
    assert (world.serving(), replicas_of(world)) == ("2", {"2": REPLICAS})
    assert len(world.names(kinds.HORIZONTAL_POD_AUTOSCALER)) == 1


async def test_a_kill_around_any_write_of_a_swap_changes_nothing_in_the_end() -> None:
    world = await crowded()
    world.trouble = watched = Watched(world)
    world.start()
    await world.ask_for("2", **SPEC)
    await world.settle(quiet_seconds=QUIET_SECONDS)
    assert world.serving() == "2"

    end = final_state(world)
    assert len(watched.killed) > len(watched.writes) > 10
    for moment, twin in watched.killed:
        await twin.settle(quiet_seconds=QUIET_SECONDS)
        assert not differences(final_state(twin), end), moment
        assert not twin.controllers.lost, moment
