"""TLS from the spec to the router and back into the status; routers that exist learn it in turn."""

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.render import router

from tests.unit.reconcile.test_upgrade import agent_image, upgrade, with_two_versions
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

TLS = {"tlsSecretRef": {"name": "digits-tls"}}
ENCRYPTED = {"secret": "digits-tls", "minVersion": "VersionTLS12", "plaintext": False}


def route_of(world: OperatorWorld, name: str = "digits") -> Manifest:
    spec: Manifest = world.find(kinds.MODEL_ROUTE, name)["spec"]
    return spec


def mark_of(world: OperatorWorld) -> str:
    annotations = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME)["metadata"]["annotations"]
    return str(annotations[names.ANNOTATION_AGENT])


def client_ports(world: OperatorWorld) -> dict[str, str]:
    ports = world.find(kinds.SERVICE)["spec"]["ports"]
    return {port["name"]: port["appProtocol"] for port in ports}


async def test_a_new_model_is_encrypted_from_its_first_route_on() -> None:
    world = OperatorWorld()
    await world.ask_for(traffic=TLS)
    await world.settle()

    assert route_of(world)["tls"] == ENCRYPTED
    assert router.AgentMark.parse(mark_of(world)).version == router.NEWEST_AGENT_VERSION
    assert client_ports(world) == {"http": "https", "grpc": "https"}
    assert world.status()["endpoints"]["http"].startswith("https://digits.vision.svc:8000/")
    assert world.condition("TLSReady")[:2] == ("True", "CertificateValid")


async def test_without_tls_nothing_speaks_of_it_and_no_agent_is_replaced() -> None:
    world = await with_two_versions()
    assert "tls" not in route_of(world)
    assert world.condition("TLSReady") == ("", "", "")
    assert router.AgentMark.parse(mark_of(world)).version == router.AGENT_VERSION
    assert client_ports(world) == {"http": "http", "grpc": "kubernetes.io/h2c"}


async def test_routers_of_an_earlier_release_are_replaced_before_a_route_asks_for_tls() -> None:
    """An agent that skips what it does not know would leave the port as open as before."""
    twin = upgrade(await with_two_versions())
    twin.controllers.held[NAMESPACE] = None
    await twin.ask_for("2", traffic=TLS)
    await twin.live(30)
    assert (agent_image(twin), mark_of(twin).split()[0]) == ("slipway:2", "3+")
    assert "tls" not in route_of(twin)
    assert client_ports(twin)["http"] == "http"
    assert twin.condition("TLSReady")[:2] == ("False", "AwaitingNewestRouters")

    twin.controllers.held.clear()
    await twin.until(lambda: "tls" in route_of(twin), 30)
    await twin.settle()
    assert twin.condition("TLSReady")[:2] == ("True", "CertificateValid")
    assert client_ports(twin)["http"] == "https"


async def test_a_new_model_gets_no_route_from_routers_that_would_leave_it_open() -> None:
    twin = upgrade(await with_two_versions())
    twin.controllers.held[NAMESPACE] = None
    await twin.ask_for("1", name="letters", traffic=TLS)
    await twin.live(30)
    assert "letters" not in twin.names(kinds.MODEL_ROUTE)

    twin.controllers.held.clear()
    await twin.settle()
    assert route_of(twin, "letters")["tls"] == ENCRYPTED


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("CertificateExpiring", "True"),
        ("CertificateForOthers", "True"),
        ("CertificateExpired", "False"),
        ("CertificateBroken", "False"),
        ("SecretNotFound", "False"),
        ("SecretUnreadable", "False"),
        ("WhatOnlyANewerAgentKnows", "False"),
    ],
)
async def test_what_agents_find_is_a_condition_and_no_matter_of_the_rollout(
    reason: str, status: str
) -> None:
    world = OperatorWorld()
    world.controllers.credentials["digits-tls"] = reason
    await world.ask_for(traffic=TLS)
    await world.settle()
    known = "CertificateBroken" if reason.startswith("What") else reason
    assert world.condition("TLSReady") == (status, known, "as told")
    assert world.condition("Ready")[0] == "True"

    world.controllers.credentials.clear()
    await world.live(5)
    assert world.condition("TLSReady")[:2] == ("True", "CertificateValid")


async def test_clients_can_move_one_by_one_where_plaintext_is_allowed() -> None:
    world = await with_two_versions()
    await world.ask_for("2", traffic={**TLS, "plaintext": "Allowed"})
    await world.settle()
    assert route_of(world)["tls"]["plaintext"] is True
    assert client_ports(world) == {"http": "http", "grpc": "kubernetes.io/h2c"}


async def test_a_spec_without_tls_opens_the_port_again() -> None:
    world = OperatorWorld()
    await world.ask_for(traffic=TLS)
    await world.settle()
    await world.ask_for(traffic={})
    await world.settle()
    assert "tls" not in route_of(world)
    assert world.condition("TLSReady") == ("", "", "")


async def test_an_operator_that_starts_anew_writes_nothing() -> None:
    world = OperatorWorld()
    await world.ask_for(traffic=TLS)
    await world.settle()
    twin = upgrade(world)
    await twin.live(120)
    assert twin.writes == []


MUTUAL = {
    **TLS,
    "clientCASecretRef": {"name": "clients-ca"},
    "clientNames": ["spiffe://example.org/ns/vision/*"],
}


async def test_the_authority_of_clients_reaches_the_routers_and_is_part_of_the_condition() -> None:
    world = OperatorWorld()
    await world.ask_for(traffic=MUTUAL)
    await world.settle()
    assert route_of(world)["tls"]["clients"] == {
        "secret": "clients-ca",
        "names": ["spiffe://example.org/ns/vision/*"],
        "certificates": "Required",
    }
    assert world.condition("TLSReady")[:2] == ("True", "CertificateValid")

    world.controllers.credentials["clients-ca/ca.crt"] = "SecretNotFound"
    await world.live(5)
    assert world.condition("TLSReady")[:2] == ("False", "SecretNotFound")
    assert world.condition("Ready")[0] == "True"


async def test_routers_that_have_not_read_the_authority_are_named() -> None:
    world = OperatorWorld()
    world.controllers.unread.add("clients-ca/ca.crt")
    await world.ask_for(traffic=MUTUAL)
    await world.settle()
    assert world.condition("TLSReady")[:2] == ("False", "AwaitingProxies")
    assert world.condition("TLSReady")[2].endswith("to read Secret clients-ca/ca.crt")
