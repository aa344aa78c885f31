"""The routers of all namespaces: replaced one after the other, and mended when broken."""

import logging
from typing import Any

import pytest
from slipway.api import kinds, names

from tests.unit.reconcile.world import NAMESPACE, SETTINGS, OperatorWorld

NAMESPACES = (NAMESPACE, "speech", "text")
GAVE_UP = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
NAME = names.ROUTER_NAME


async def with_routers(*namespaces: str, **held: Any) -> OperatorWorld:
    world = OperatorWorld()
    world.controllers.held.update(held)
    for namespace in namespaces or NAMESPACES:
        await world.ask_for("1", namespace=namespace)
    await world.live(30)
    return world


def with_settings(world: OperatorWorld, **changed: Any) -> OperatorWorld:
    """Return the world after an upgrade to other settings of the router."""
    twin = world.fork()
    twin.controllers.held = dict(world.controllers.held)
    settings = SETTINGS.router.model_copy(update=changed)
    twin.settings = SETTINGS.model_copy(update={"router": settings})
    twin.start()
    return twin


def envoy(world: OperatorWorld, namespace: str) -> str:
    [container] = world.find(kinds.DEPLOYMENT, NAME, namespace)["spec"]["template"]["spec"][
        "containers"
    ]
    return str(container["image"])


def upgraded(world: OperatorWorld, image: str = "envoy:2") -> set[str]:
    found = (manifest["metadata"] for _, manifest in world.api.all(kinds.DEPLOYMENT))
    places = [place["namespace"] for place in found if place["name"] == NAME]
    return {namespace for namespace in places if envoy(world, namespace) == image}


# ── one namespace at a time ──


async def test_routers_that_never_came_up_do_not_wait_for_each_other() -> None:
    """A misspelt image at the first installation must be mendable in every namespace."""
    world = await with_routers(**dict.fromkeys(NAMESPACES))
    twin = with_settings(world, envoy_image="envoy:2")
    await twin.live(5)
    assert upgraded(twin) == set(NAMESPACES)


async def test_passes_of_many_namespaces_at_the_same_time_replace_one_router() -> None:
    twin = with_settings(await with_routers(), envoy_image="envoy:2")
    twin.clock.pass_on(1)
    await twin.at_once()
    assert len(upgraded(twin)) == 1
    await twin.live(30)
    assert upgraded(twin) == set(NAMESPACES)


async def test_a_router_that_was_broken_before_does_not_hold_up_the_others() -> None:
    world = await with_routers(text=REFUSED)
    twin = with_settings(world, envoy_image="envoy:2")
    await twin.live(30)
    assert upgraded(twin) == set(NAMESPACES)


async def test_a_new_router_that_is_not_ready_stops_the_others_until_it_is_given_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    twin = with_settings(await with_routers(), envoy_image="envoy:2")
    twin.controllers.held = dict.fromkeys(NAMESPACES)

    twin.clock.pass_on(1)
    with caplog.at_level(logging.INFO):
        await twin.at_once()
        [first] = upgraded(twin)
        twin.controllers.held = {first: None}
        await twin.live(60)

    assert upgraded(twin) == {first}

    waits = [record.message for record in caplog.records if "waiting for" in record.message]
    assert waits == [f"waiting for the routers of {first}"] * 2, "once per namespace"

    twin.controllers.held[first] = GAVE_UP
    await twin.live(60)
    assert upgraded(twin) == set(NAMESPACES)


# ── what others delete or edit ──


@pytest.mark.parametrize("kind", [kinds.ROLE, kinds.ROLE_BINDING, kinds.NETWORK_POLICY])
async def test_what_is_not_watched_is_back_ten_minutes_after_somebody_deleted_it(
    kind: kinds.Kind,
) -> None:
    world = await with_routers(NAMESPACE)
    before = world.find(kind, NAME)
    world.delete(kind, NAME)
    await world.live(601)
    after = world.find(kind, NAME)
    assert {**after, "metadata": None} == {**before, "metadata": None}


async def test_a_disruption_budget_is_back_at_once() -> None:
    world = await with_routers(NAMESPACE)
    world.delete(kinds.POD_DISRUPTION_BUDGET, NAME)
    await world.live(3)
    assert world.find(kinds.POD_DISRUPTION_BUDGET, NAME)["spec"]["minAvailable"] == 1


EDITS: list[tuple[kinds.Kind, dict[str, Any]]] = [
    (kinds.ROLE, {"rules": []}),
    (kinds.ROLE_BINDING, {"subjects": []}),
    (kinds.NETWORK_POLICY, {"spec": {"ingress": []}}),
    (kinds.POD_DISRUPTION_BUDGET, {"spec": {"minAvailable": 0}}),
]


@pytest.mark.parametrize(("kind", "edit"), EDITS, ids=lambda value: getattr(value, "kind", ""))
async def test_what_somebody_edited_is_put_right(kind: kinds.Kind, edit: dict[str, Any]) -> None:
    world = await with_routers(NAMESPACE)
    before = world.find(kind, NAME)
    world.change(kind, NAME, **edit)
    await world.live(601)
    after = world.find(kind, NAME)
    assert {**after, "metadata": None} == {**before, "metadata": None}


@pytest.mark.parametrize(("kind", "edit"), EDITS, ids=lambda value: getattr(value, "kind", ""))
async def test_what_was_edited_while_no_operator_ran_is_put_right(
    kind: kinds.Kind, edit: dict[str, Any]
) -> None:
    world = await with_routers(NAMESPACE)
    before = world.find(kind, NAME)
    world.change(kind, NAME, **edit)
    world.start()
    await world.live(3)
    after = world.find(kind, NAME)
    assert {**after, "metadata": None} == {**before, "metadata": None}


async def test_looking_after_routers_writes_nothing() -> None:
    world = await with_routers()
    await world.settle()
    before = list(world.writes)
    await world.live(1300)
    assert world.writes == before


# ── a single pod ──


async def test_a_router_of_one_pod_loses_its_disruption_budget() -> None:
    world = await with_routers(NAMESPACE)
    twin = with_settings(world, replicas=1)
    await twin.live(5)
    assert twin.api.get(kinds.POD_DISRUPTION_BUDGET, NAMESPACE, NAME) is None
    back = with_settings(twin, replicas=2)
    await back.live(5)
    assert back.find(kinds.POD_DISRUPTION_BUDGET, NAME)
