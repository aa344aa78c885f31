"""Strategy BlueGreen on the real passes: the switch, the preview, and that no request is lost."""

from typing import Any

from slipway.api import kinds, names

from tests.unit.reconcile.world import OperatorWorld

STRATEGY: dict[str, Any] = {"strategy": "BlueGreen", "steps": None}


async def serving_one(**spec: Any) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1", rollout=STRATEGY, **spec)
    await world.until(lambda: world.serving() == "1")
    await world.settle()
    return world


def previewed(world: OperatorWorld) -> str:
    selector = world.find(kinds.SERVICE, "digits-preview")["spec"]["selector"]
    return str(selector[names.LABEL_REVISION])


async def test_a_good_version_switches_once_and_no_request_is_lost() -> None:
    world = await serving_one(scaling={"minReplicas": 3})
    await world.ask_for("2", rollout=STRATEGY, scaling={"minReplicas": 3})
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    assert world.written_weights()[-3:] == [{"1": 100, "2": 0}, {"1": 0, "2": 100}, {"2": 100}]
    assert world.outcomes()[-1] == ("2", "Promoted")
    assert not world.controllers.lost


async def test_a_version_that_fails_after_the_switch_goes_back_to_pods_that_never_left() -> None:
    world = await serving_one(scaling={"minReplicas": 3})
    old = f"digits-{world.status()['stable']['revision']}"
    long = {**STRATEGY, "bakeSeconds": 600}
    await world.ask_for("2", rollout=long, scaling={"minReplicas": 3})
    await world.until(lambda: world.stage() == "Baking")
    assert world.find(kinds.DEPLOYMENT, old)["status"]["readyReplicas"] == 3

    world.controllers.faults["2"] = "errors"
    await world.until(lambda: world.serving() == "1", 60)
    await world.settle()
    assert world.outcomes()[-1] == ("2", "Aborted")
    assert world.condition("Stalled")[1] == "Held"
    assert "on stable before the switch" in world.condition("Stalled")[2]


async def test_the_preview_leads_to_the_candidate_once_it_is_checked_and_else_to_stable() -> None:
    world = await serving_one()
    one = world.status()["stable"]["revision"]
    assert previewed(world) == one

    asks = {**STRATEGY, "approval": "Required"}
    await world.ask_for("2", rollout=asks)
    await world.until(lambda: world.stage() == "AwaitingApproval")
    assert previewed(world) == world.status()["candidate"]["revision"] != one
    address = "http://digits-preview.vision.svc:8000/v2/models/digits"
    assert world.status()["endpoints"]["preview"] == address
    assert world.serving() == "1"

    await world.act("abort")
    await world.settle()
    assert previewed(world) == one


async def test_there_is_no_preview_past_a_router_that_keeps_callers_out() -> None:
    world = await serving_one()
    keys = {"access": {"apiKeys": {"secretRef": {"name": "keys"}}}}
    await world.ask_for("1", rollout=STRATEGY, traffic=keys)
    await world.live(5)
    assert "digits-preview" not in world.names(kinds.SERVICE)


async def test_the_preview_goes_with_the_strategy() -> None:
    world = await serving_one()
    await world.ask_for("1")
    await world.settle()
    assert "digits-preview" not in world.names(kinds.SERVICE)


async def test_a_preview_whose_name_is_taken_stops_no_rollout() -> None:
    world = await serving_one()
    await world.ask_for("1")
    await world.settle()
    await world.ask_for("9", name="digits-preview")
    await world.until(lambda: world.serving("digits-preview") == "9")

    await world.ask_for("2", rollout=STRATEGY)
    await world.until(lambda: world.serving() == "2")
    assert not world.controllers.lost
