"""What others change while no operator runs: compared by content at the first sight, and mended."""

from collections.abc import Callable
from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind

from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

SCALING = {"minReplicas": 2}
EDITS: dict[str, tuple[Kind, str, dict[str, Any]]] = {
    "the selector of the clients' Service": (
        kinds.SERVICE,
        "digits",
        {"spec": {"selector": {names.LABEL_COMPONENT: "other"}}},
    ),
    "the ports of the clients' Service": (kinds.SERVICE, "digits", {"spec": {"ports": []}}),
    "a label that is gone": (
        kinds.SERVICE,
        "digits",
        {"metadata": {"labels": {names.LABEL_OWNER: None}}},
    ),
    "the containers of a revision": (
        kinds.DEPLOYMENT,
        "digits-{}",
        {"spec": {"template": {"spec": {"containers": [{"name": "triton", "image": "x"}]}}}},
    ),
    "a field that is gone": (
        kinds.DEPLOYMENT,
        "digits-{}",
        {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": None}}}},
    ),
    "the Service of a revision": (
        kinds.SERVICE,
        "digits-{}",
        {"spec": {"selector": {names.LABEL_REVISION: "0"}}},
    ),
    "the timeout of the route": (kinds.MODEL_ROUTE, "digits", {"spec": {"timeoutSeconds": 7}}),
    "the model of the route": (kinds.MODEL_ROUTE, "digits", {"spec": {"model": "other"}}),
    "the budget": (
        kinds.POD_DISRUPTION_BUDGET,
        "digits-{}",
        {"spec": {"maxUnavailable": 9}},
    ),
    "the router's pods": (kinds.DEPLOYMENT, names.ROUTER_NAME, {"spec": {"replicas": 1}}),
    "the router's budget": (
        kinds.POD_DISRUPTION_BUDGET,
        names.ROUTER_NAME,
        {"spec": {"minAvailable": 9}},
    ),
}


async def at_rest() -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1", scaling=SCALING)
    await world.settle()
    return world


def name_of(world: OperatorWorld, pattern: str) -> str:
    return pattern.format(world.status()["stable"]["revision"])


def content(manifest: Manifest) -> Manifest:
    kept = {key: value for key, value in manifest.items() if key not in {"metadata", "status"}}
    return {**kept, "labels": manifest["metadata"]["labels"]}


@pytest.mark.parametrize("edit", EDITS)
async def test_what_was_changed_over_a_restart_is_mended(edit: str) -> None:
    world = await at_rest()
    kind, pattern, body = EDITS[edit]
    name = name_of(world, pattern)
    before = content(world.find(kind, name))

    world.api.patch(kind, NAMESPACE, name, body, manager="somebody")
    changed = content(world.find(kind, name))
    world.api.watch.clear()
    world.start()
    await world.live(20)
    written = len(world.writes)
    await world.live(90)

    assert changed != before
    assert content(world.find(kind, name)) == before
    assert len(world.writes) == written


async def test_what_others_add_over_a_restart_is_left_alone() -> None:
    world = await at_rest()
    world.change(kinds.SERVICE, "digits", metadata={"team": "vision"})
    world.api.watch.clear()
    written = len(world.writes)

    world.start()
    await world.live(90)

    assert world.find(kinds.SERVICE)["metadata"]["annotations"]["team"] == "vision"
    assert len(world.writes) == written


async def test_what_was_compared_once_is_not_read_again() -> None:
    world = await at_rest()
    world.start()
    await world.live(5)
    reads: list[tuple[str, str]] = []
    get: Callable[..., Any] = world.operator.cluster.get

    async def counted(kind: Kind, namespace: str, name: str) -> Manifest | None:
        reads.append((kind.kind, name))
        found: Manifest | None = await get(kind, namespace, name)
        return found

    world.operator.cluster.get = counted  # type: ignore[method-assign]
    await world.live(120)

    assert reads == []
