"""Whose a hostname is, and in which order trouble with gateways is told."""

from dataclasses import replace

from slipway.api.modeldeployment import (
    GatewayStatus,
    ModelDeployment,
    ModelDeploymentStatus,
    Traffic,
)
from slipway.api.reasons import Reason, Why
from slipway.policy.facts import Facts
from slipway.policy.gateway import (
    GatewayReading,
    ParentAnswer,
    RouteReading,
    find_taken,
    plan_routes,
)
from slipway.policy.gateway_claim import claim_gateway

from tests.builders import a_model_deployment, a_route

HOST = "digits.example.org"
PARENT = {"name": "company", "namespace": "gateways"}


def claiming(
    name: str,
    *hostnames: str,
    created: str = "2026-11-21T12:00:00Z",
    held: bool = False,
    parent: dict[str, str] | None = None,
    grpc: dict[str, list[str]] | None = None,
) -> ModelDeployment:
    gateway = {"parentRefs": [parent or PARENT], "hostnames": [*hostnames]}
    if grpc is not None:
        gateway["grpc"] = grpc
    md = a_model_deployment(traffic={"gateway": gateway})
    place = {"name": name, "uid": f"uid-{name}", "creation_timestamp": created}
    told = GatewayStatus(gateways=["gateways/company"], hostnames=list(hostnames) or ["*"])
    status = ModelDeploymentStatus(gateway=told if held else None)
    metadata = md.metadata.model_copy(update=place)
    return md.model_copy(update={"metadata": metadata, "status": status})


def test_who_had_a_hostname_first_keeps_it_whoever_is_older() -> None:
    older = claiming("older", HOST, created="2026-11-20T12:00:00Z")
    holder = claiming("holder", HOST, held=True)
    assert find_taken(older, [older, holder]) == {HOST: "vision/holder"}
    assert find_taken(holder, [older, holder]) == {}


def test_of_two_that_ask_at_the_same_moment_the_older_gets_it() -> None:
    older = claiming("zebra", HOST, created="2026-11-20T12:00:00Z")
    newer = claiming("ant", HOST)
    assert find_taken(older, [newer]) == {}
    assert find_taken(newer, [older]) == {HOST: "vision/zebra"}

    both_held = [claiming("a", HOST, held=True), claiming("b", HOST, held=True)]
    assert [find_taken(md, both_held) for md in both_held] == [{}, {HOST: "vision/a"}]


def test_another_gateway_or_another_hostname_takes_nothing() -> None:
    mine = claiming("mine", HOST)
    assert not find_taken(mine, [claiming("other", "letters.example.org", held=True)])
    elsewhere = claiming("other", HOST, held=True, parent={"name": "edge", "namespace": "gateways"})
    assert not find_taken(mine, [elsewhere, a_model_deployment()])


def test_a_listener_without_hostnames_of_ours_has_one_model() -> None:
    first = claiming("first", held=True)
    assert find_taken(claiming("second"), [first]) == {"*": "vision/first"}
    assert find_taken(claiming("third", HOST), [first]) == {}
    at_listener = claiming("fourth", parent={**PARENT, "sectionName": "edge"})
    assert find_taken(at_listener, [first]) == {}


def test_a_hostname_for_grpc_is_taken_as_any_other() -> None:
    first = claiming("first", HOST, held=True)
    assert find_taken(claiming("second", "b.example.org", grpc={"hostnames": [HOST]}), [first]) == {
        HOST: "vision/first"
    }


def test_no_route_is_planned_for_what_the_server_does_not_speak() -> None:
    md = claiming("mine", HOST, grpc={"hostnames": ["grpc.example.org"]})
    assert list(plan_routes(md)) == ["GRPCRoute", "HTTPRoute"]
    server = a_model_deployment(server={"protocols": ["HTTP"]}).spec.server
    http_only = md.model_copy(update={"spec": md.spec.model_copy(update={"server": server})})
    assert list(plan_routes(http_only)) == ["HTTPRoute"]
    assert plan_routes(a_model_deployment()) == {}


GOOD = ParentAnswer("gateways/company", is_current=True, refusal=None)


def claim_of(*answers: ParentAnswer, **found: object) -> tuple[bool, Why]:
    md = claiming("digits", HOST)
    reading = GatewayReading(
        routes=(RouteReading("HTTPRoute", "digits", (HOST,), answers),),
        gateways={"gateways/company": None},
    )
    reading = replace(reading, **found)  # type: ignore[arg-type]
    claim = claim_gateway(
        Facts(md=md, input="i", golden="", route=a_route({"aaaaaaaa": 100}), gateway=reading)
    )
    assert claim is not None
    return claim


def test_every_gateway_has_to_take_the_newest_route() -> None:
    assert claim_of(GOOD)[0]
    stale = replace(GOOD, is_current=False)
    assert claim_of(stale)[1].reason is Reason.AWAITING_GATEWAY
    assert claim_of()[1].reason is Reason.AWAITING_GATEWAY
    assert claim_of(replace(GOOD, parent="gateways/edge"))[1].reason is Reason.AWAITING_GATEWAY
    refused = replace(GOOD, refusal=("Unknown", "no"))
    assert claim_of(GOOD, refused)[1] == Why(
        Reason.ROUTE_REFUSED, "Gateway gateways/company: Unknown: no"
    )


def test_a_gateway_without_a_data_plane_is_not_ready_and_one_that_nobody_may_read_may_be() -> None:
    said = claim_of(GOOD, gateways={"gateways/company": "Gateway gateways/company: no address"})
    assert said == (False, Why(Reason.GATEWAY_NOT_PROGRAMMED, said[1].message))
    assert claim_of(GOOD, gateways={})[0]


def test_what_has_to_be_put_right_first_is_told_first() -> None:
    gone = frozenset({"gateways/company"})
    assert claim_of(absent=gone)[1].reason is Reason.GATEWAY_NOT_FOUND
    assert claim_of(absent=gone, taken={HOST: "a/b"})[1].reason is Reason.HOSTNAME_TAKEN
    why = Why(Reason.GATEWAY_API_MISSING, "none")
    assert claim_of(absent=gone, taken={HOST: "a/b"}, problem=why)[1] is why


def test_traffic_without_a_gateway_says_nothing_of_it() -> None:
    md = a_model_deployment()
    assert md.spec.traffic == Traffic()
    assert claim_gateway(Facts(md=md, input="i", golden="")) is None
    assert "gateway" not in md.spec.traffic.wire()
