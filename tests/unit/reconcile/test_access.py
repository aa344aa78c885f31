"""Who may call, from the spec to the router and back into the status."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.render import router

from tests.unit.reconcile.test_tls import mark_of, route_of
from tests.unit.reconcile.test_upgrade import upgrade, with_two_versions
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

KEYS: Manifest = {"apiKeys": {"secretRef": {"name": "digits-keys"}}}
ISSUER = "https://issuer.example.org"
TOKENS: Manifest = {
    "jwt": [
        {
            "issuer": ISSUER,
            "audiences": ["digits"],
            "jwks": {"url": "https://issuer.example.org/keys"},
        }
    ]
}


async def with_access(access: Manifest) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for(traffic={"access": access})
    await world.settle()
    return world


def deployments(world: OperatorWorld) -> list[Manifest]:
    return [world.find(kinds.DEPLOYMENT, name)["spec"] for name in world.names(kinds.DEPLOYMENT)]


async def test_a_new_model_asks_who_calls_from_its_first_route_on() -> None:
    world = await with_access(KEYS | TOKENS)
    access = route_of(world)["access"]
    assert access["apiKeys"]["secretRef"] == {"name": "digits-keys"}
    assert access["jwt"][0]["issuer"] == ISSUER
    assert router.AgentMark.parse(mark_of(world)).version == router.NEWEST_AGENT_VERSION
    assert world.condition("AccessReady")[:2] == ("True", "CallersKnown")


async def test_without_access_nothing_speaks_of_it_and_no_agent_is_replaced() -> None:
    world = await with_two_versions()
    assert "access" not in route_of(world)
    assert world.condition("AccessReady") == ("", "", "")
    assert router.AgentMark.parse(mark_of(world)).version == router.AGENT_VERSION


async def test_a_log_alone_leaves_the_model_open_and_is_no_condition() -> None:
    world = await with_access({"log": "Requests"})
    assert route_of(world)["access"]["log"] == "Requests"
    assert world.condition("AccessReady") == ("", "", "")


async def test_service_accounts_are_by_default_those_of_the_namespace_for_this_model() -> None:
    world = await with_access({"serviceAccounts": {}})
    assert route_of(world)["access"]["serviceAccounts"] == {
        "audiences": ["digits.vision.svc"],
        "allowed": [{"namespace": NAMESPACE}],
    }


async def test_routers_of_an_earlier_release_are_replaced_before_a_route_asks_who_calls() -> None:
    twin = upgrade(await with_two_versions())
    twin.controllers.held[NAMESPACE] = None
    await twin.ask_for("2", traffic={"access": KEYS})
    await twin.live(30)
    assert "access" not in route_of(twin)
    assert twin.condition("AccessReady")[:2] == ("False", "AwaitingNewestRouters")

    twin.controllers.held.clear()
    await twin.until(lambda: "access" in route_of(twin), 30)
    await twin.settle()
    assert twin.condition("AccessReady")[:2] == ("True", "CallersKnown")


@pytest.mark.parametrize(
    ("access", "source", "reason"),
    [
        (KEYS, "digits-keys", "SecretNotFound"),
        (KEYS, "digits-keys", "SecretUnreadable"),
        (KEYS, "digits-keys", "KeysBroken"),
        (TOKENS, f"JWKS of {ISSUER}", "KeySetUnreachable"),
        (TOKENS, f"JWKS of {ISSUER}", "KeySetBroken"),
        (TOKENS, f"JWKS of {ISSUER}", "ConfigMapNotFound"),
        ({"serviceAccounts": {}}, "JWKS of the cluster", "KeySetUnreachable"),
    ],
)
async def test_what_agents_find_is_a_condition_and_no_matter_of_the_rollout(
    access: dict[str, Any], source: str, reason: str
) -> None:
    world = OperatorWorld()
    world.controllers.credentials[source] = reason
    await world.ask_for(traffic={"access": access})
    await world.settle()
    assert world.condition("AccessReady") == ("False", reason, "as told")
    assert world.condition("Ready")[0] == "True"


async def test_the_worst_of_several_is_said() -> None:
    world = await with_access(KEYS | TOKENS)
    world.controllers.credentials[f"JWKS of {ISSUER}"] = "KeySetUnreachable"
    await world.live(5)
    assert world.condition("AccessReady")[:2] == ("False", "KeySetUnreachable")
    world.controllers.credentials["digits-keys"] = "SecretNotFound"
    await world.live(5)
    assert world.condition("AccessReady")[:2] == ("False", "SecretNotFound")


async def test_another_list_of_callers_changes_the_route_and_no_pod() -> None:
    world = await with_access(KEYS)
    before = deployments(world)
    await world.ask_for(traffic={"access": {"apiKeys": {**KEYS["apiKeys"], "names": ["ci"]}}})
    await world.settle()
    assert route_of(world)["access"]["apiKeys"]["names"] == ["ci"]
    assert deployments(world) == before


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    twin = upgrade(await with_access(KEYS | TOKENS | {"serviceAccounts": {}}))
    await twin.live(120)
    assert twin.writes == []
