"""Gateways, from the spec to the routes and back into the status; no rollout waits for them."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.errors import AdmissionDenied, Forbidden

from tests.fakes.cluster import Trouble, Write
from tests.fakes.gateways import FakeGateways
from tests.unit.reconcile.test_upgrade import upgrade, with_two_versions
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

HOSTNAME = "digits.example.org"


def through(name: str = "company", *hostnames: str, **more: Any) -> Manifest:
    parents = [{"name": name, "namespace": "gateways"}]
    return {"gateway": {"parentRefs": parents, "hostnames": [*hostnames], **more}}


COMPANY = through("company", HOSTNAME)


class GatewayWorld(OperatorWorld):
    """A cluster with Gateway API, and a controller that looks every second."""

    def __init__(self) -> None:
        super().__init__()
        self.gateways = FakeGateways(self.api)
        self.gateways.create("gateways", "company")

    async def live(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.gateways.step()
            await super().live()

    def said(self, name: str = "digits") -> tuple[str, str, str]:
        return self.condition("GatewayReady", name)

    def rules(self, kind: kinds.Kind = kinds.HTTP_ROUTE) -> dict[str, Manifest]:
        return {rule.get("name", ""): rule for rule in self.find(kind)["spec"]["rules"]}

    async def serve(self, traffic: Manifest = COMPANY, **spec: Any) -> None:
        await self.ask_for(traffic=traffic, **spec)
        await self.until(lambda: self.serving() == "1")
        await self.live(40)


async def test_a_model_is_called_through_its_gateway() -> None:
    world = GatewayWorld()
    await world.serve()

    route = world.find(kinds.HTTP_ROUTE)
    assert route["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": "gateways",
            "name": "company",
        }
    ]
    assert route["spec"]["hostnames"] == [HOSTNAME]
    ports = {name: rule["backendRefs"][0]["port"] for name, rule in world.rules().items()}
    assert ports == {"slipway-grpc": 8001, "slipway-http": 8000}
    [owner] = route["metadata"]["ownerReferences"]
    assert owner["uid"] == world.find(kinds.MODEL_DEPLOYMENT)["metadata"]["uid"]

    assert world.said() == ("True", "GatewayProgrammed", f"{HOSTNAME} at gateways/company")
    assert world.status()["gateway"] == {
        "gateways": ["gateways/company"],
        "hostnames": [HOSTNAME],
    }
    assert "GRPCRoute" not in {kind.kind for kind, _ in world.api.all()}


async def test_a_rollout_changes_no_route() -> None:
    world = GatewayWorld()
    await world.serve()
    generation = world.find(kinds.HTTP_ROUTE)["metadata"]["generation"]
    await world.ask_for("2", traffic=COMPANY)
    await world.until(lambda: world.serving() == "2")
    await world.live(40)
    assert world.find(kinds.HTTP_ROUTE)["metadata"]["generation"] == generation
    assert world.said()[0] == "True"


async def test_written_is_not_applied() -> None:
    world = GatewayWorld()
    await world.serve()
    world.gateways.is_running = False
    await world.ask_for(traffic=through("company", HOSTNAME, "numbers.example.org"))
    await world.live(10)
    assert world.find(kinds.HTTP_ROUTE)["spec"]["hostnames"] == [HOSTNAME, "numbers.example.org"]
    told = "waiting for Gateway gateways/company to take HTTPRoute digits"
    assert world.said() == ("False", "AwaitingGateway", told)

    world.gateways.is_running = True
    await world.live(5)
    assert world.said()[:2] == ("True", "GatewayProgrammed")


async def test_what_a_user_adds_to_the_route_stays() -> None:
    world = GatewayWorld()
    await world.serve()
    theirs = {"name": "theirs", "backendRefs": [{"name": "web", "port": 80}]}
    header = [{"name": "x-team", "value": "a"}]
    rules = list(world.rules().values())
    rules[1] = {
        **rules[1],
        "matches": [{**rules[1]["matches"][0], "headers": header}],
        "filters": [{"type": "ResponseHeaderModifier"}],
        "backendRefs": [{**rules[1]["backendRefs"][0], "name": "elsewhere"}],
    }
    world.change(kinds.HTTP_ROUTE, "digits", spec={"rules": [theirs, *rules]})
    await world.live(40)

    assert list(world.rules()) == ["theirs", "slipway-grpc", "slipway-http"]
    ours = world.rules()["slipway-http"]
    assert world.rules()["theirs"] == theirs
    assert ours["matches"][0]["headers"] == header
    assert ours["filters"] == [{"type": "ResponseHeaderModifier"}]
    assert ours["backendRefs"][0]["name"] == "digits"


async def test_a_rule_of_ours_that_is_removed_comes_back_and_then_nothing_is_written() -> None:
    world = GatewayWorld()
    await world.serve()
    world.change(kinds.HTTP_ROUTE, "digits", spec={"rules": [world.rules()["slipway-grpc"]]})
    await world.live(40)
    assert list(world.rules()) == ["slipway-grpc", "slipway-http"]

    writes = len(world.writes)
    await world.live(120)
    assert len(world.writes) == writes


async def test_grpc_may_have_a_route_and_a_hostname_of_its_own() -> None:
    world = GatewayWorld()
    await world.serve(through("company", HOSTNAME, grpc={"hostnames": ["grpc.example.org"]}))
    assert list(world.rules()) == ["slipway-http"]
    own = world.find(kinds.GRPC_ROUTE, "digits.grpc")["spec"]
    assert own["hostnames"] == ["grpc.example.org"]
    [rule] = own["rules"]
    assert {match["method"]["service"] for match in rule["matches"]} == {
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
    }
    assert world.said()[0] == "True"

    await world.ask_for(traffic=COMPANY)
    await world.live(5)
    assert world.names(kinds.GRPC_ROUTE) == []
    assert list(world.rules()) == ["slipway-http", "slipway-grpc"]


async def test_a_gateway_that_does_not_let_this_namespace_in_is_named_and_holds_up_nothing() -> (
    None
):
    world = GatewayWorld()
    world.gateways.create("gateways", "private", allowed=("finance",))
    await world.serve(through("private", HOSTNAME))
    told = "Gateway gateways/private: no listener allows this route"
    assert world.said() == ("False", "NotAllowedByListeners", told)
    assert world.condition("Ready")[0] == "True"


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("NoMatchingListenerHostname", "NoMatchingListenerHostname"),
        ("NoMatchingParent", "NoMatchingParent"),
        ("UnsupportedValue", "RouteRefused"),
    ],
)
async def test_why_a_route_is_not_accepted_is_told(refusal: str, reason: str) -> None:
    world = GatewayWorld()
    world.gateways.refusals[refusal] = "so it is"
    await world.serve()
    assert world.said()[:2] == ("False", reason)
    assert "so it is" in world.said()[2]


async def test_a_reference_without_a_grant_is_told_as_such() -> None:
    world = GatewayWorld()
    world.gateways.unresolved["RefNotPermitted"] = "Service other/web needs a ReferenceGrant"
    await world.serve()
    assert world.said()[:2] == ("False", "ReferenceNotPermitted")


async def test_a_gateway_that_goes_in_mid_rollout_stops_no_rollout() -> None:
    world = GatewayWorld()
    await world.serve()
    await world.ask_for("2", traffic=COMPANY)
    await world.until(lambda: world.stage() == "Progressing")
    world.api.delete(kinds.GATEWAY, "gateways", "company")
    await world.until(lambda: world.said()[1] == "GatewayNotFound", 60)
    assert world.said()[2] == "Gateway gateways/company does not exist"
    await world.until(lambda: world.serving() == "2")
    assert world.outcomes()[-1] == ("2", "Promoted")

    world.gateways.create("gateways", "company")
    await world.live(5)
    assert world.said()[0] == "True"


async def test_of_two_with_one_hostname_the_first_keeps_it() -> None:
    world = GatewayWorld()
    await world.serve()
    await world.ask_for(name="letters", traffic=through("company", HOSTNAME))
    await world.live(40)
    told = f"{HOSTNAME} is ModelDeployment vision/digits's"
    assert world.said("letters") == ("False", "HostnameTaken", told)
    assert world.names(kinds.HTTP_ROUTE) == ["digits"]
    assert world.said()[0] == "True"

    world.delete(kinds.MODEL_DEPLOYMENT)
    world.api.collect_garbage()
    await world.live(10)
    assert world.names(kinds.HTTP_ROUTE) == ["letters"]
    assert world.said("letters")[0] == "True"


async def test_an_older_one_that_asks_later_gets_only_the_hostnames_that_are_free() -> None:
    world = GatewayWorld()
    await world.serve(through("company", "numbers.example.org"))
    await world.ask_for(name="letters", traffic=COMPANY)
    await world.live(40)
    await world.ask_for(traffic=through("company", "numbers.example.org", HOSTNAME))
    await world.live(40)
    assert world.find(kinds.HTTP_ROUTE)["spec"]["hostnames"] == ["numbers.example.org"]
    assert world.said()[1] == "HostnameTaken"
    assert world.said("letters")[0] == "True"


async def test_without_gateway_api_a_condition_says_so_until_it_is_there() -> None:
    world = GatewayWorld()
    world.api.not_served |= {kinds.GATEWAY, *kinds.GATEWAY_ROUTES}
    world.gateways.is_running = False
    await world.serve()
    assert world.said()[:2] == ("False", "GatewayAPIMissing")
    assert world.condition("Ready")[0] == "True"

    world.api.not_served -= {kinds.GATEWAY, *kinds.GATEWAY_ROUTES}
    world.gateways.is_running = True
    await world.live(10)
    assert world.said()[0] == "True"


class Refuses(Trouble):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def before(self, write: Write) -> None:
        if write.kind == "HTTPRoute":
            raise self.error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Forbidden('User "slipway" cannot patch httproutes'), "GatewaysForbidden"),
        (AdmissionDenied("a policy says no"), "Refused"),
    ],
)
async def test_a_route_that_is_refused_stalls_no_rollout(error: Exception, reason: str) -> None:
    world = GatewayWorld()
    world.trouble = Refuses(error)
    world.start()
    await world.serve()
    assert world.said()[:2] == ("False", reason)
    assert world.condition("Ready")[0] == "True"
    assert world.condition("Stalled")[0] == ""


async def test_a_route_of_somebody_else_is_left_alone() -> None:
    world = GatewayWorld()
    theirs = kinds.HTTP_ROUTE.manifest(NAMESPACE, "digits", spec={"parentRefs": [], "rules": []})
    world.api.create(theirs, manager="somebody")
    await world.serve()
    assert world.said()[:2] == ("False", "Conflict")
    assert world.find(kinds.HTTP_ROUTE)["spec"]["rules"] == []

    await world.ask_for(traffic={})
    await world.live(40)
    assert world.names(kinds.HTTP_ROUTE) == ["digits"]


async def test_the_route_goes_when_no_gateway_is_asked_for_any_more() -> None:
    world = GatewayWorld()
    await world.serve()
    await world.ask_for(traffic={})
    await world.live(5)
    assert world.names(kinds.HTTP_ROUTE) == []
    assert world.said() == ("", "", "")
    assert "gateway" not in world.status()


async def test_a_route_that_an_earlier_process_left_goes_too() -> None:
    world = GatewayWorld()
    await world.serve()
    world.operator.queue.take()
    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"traffic": {"gateway": None}})
    world.api.watch.clear()
    world.start()
    await world.live(5)
    assert world.names(kinds.HTTP_ROUTE) == []


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    world = GatewayWorld()
    await world.serve()
    writes = len(world.writes)
    world.start()
    await world.live(120)
    assert len(world.writes) == writes


async def test_a_spec_without_a_gateway_is_told_nothing_and_costs_no_look() -> None:
    world = upgrade(await with_two_versions())
    assert world.condition("GatewayReady") == ("", "", "")
    assert "gateway" not in world.status()
