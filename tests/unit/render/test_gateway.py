"""The shape of routes: fixed, and what a person added to it stays."""

from slipway.api.base import Manifest
from slipway.api.modeldeployment import GatewayParent
from slipway.api.protocol import Protocol
from slipway.render.envoy import GRPC_METHODS
from slipway.render.gateway import is_applied, render_grpc_route, render_http_route
from slipway.render.owner import Owner

OWNER = Owner("digits", "vision", "uid-digits")
PARENTS = [GatewayParent(name="company", namespace="gateways", section_name="https")]


def an_http_route(existing: Manifest | None = None, *protocols: Protocol) -> Manifest:
    spoken = protocols or tuple(Protocol)
    return render_http_route(
        OWNER, PARENTS, ["digits.example.org"], spoken, existing=existing or {}
    )


def test_an_http_route_sends_grpc_and_http_to_their_ports_and_has_no_time_limit() -> None:
    grpc, http = an_http_route()["spec"]["rules"]
    backend = {"group": "", "kind": "Service", "name": "digits", "port": 8000, "weight": 1}
    assert http == {
        "name": "slipway-http",
        "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
        "backendRefs": [backend],
        "timeouts": {"request": "0s"},
    }
    assert grpc["backendRefs"] == [{**backend, "port": 8001}]
    paths = {match["path"]["value"] for match in grpc["matches"]}
    assert {f"/inference.GRPCInferenceService/{name}" for name in GRPC_METHODS} < paths


def test_a_grpc_route_names_every_method_because_contour_takes_no_other_match() -> None:
    route = render_grpc_route(OWNER, PARENTS, [])
    assert route["metadata"]["name"] != an_http_route()["metadata"]["name"]
    [rule] = route["spec"]["rules"]
    assert all(match["method"].keys() == {"type", "service", "method"} for match in rule["matches"])
    assert "timeouts" not in rule
    assert route["spec"]["parentRefs"][0]["sectionName"] == "https"


def test_our_rule_keeps_its_place_its_matches_and_its_filters() -> None:
    made = an_http_route()["spec"]
    theirs = {"backendRefs": [{"name": "web"}]}
    edited = {**made["rules"][0], "timeouts": {"request": "5s"}, "backendRefs": []}
    existing = {**made, "rules": [theirs, made["rules"][1], edited]}
    rules = an_http_route(existing)["spec"]["rules"]
    assert rules[:2] == existing["rules"][:2]
    assert rules[2] == {**edited, "backendRefs": made["rules"][0]["backendRefs"]}


def test_a_rule_of_a_protocol_that_is_no_longer_spoken_goes() -> None:
    made = an_http_route()["spec"]
    rules = an_http_route(made, Protocol.HTTP)["spec"]["rules"]
    assert [rule["name"] for rule in rules] == ["slipway-http"]


def test_a_route_is_applied_where_all_of_it_is_there() -> None:
    wanted = an_http_route()
    assert is_applied(wanted, wanted)
    assert not is_applied(wanted, {**wanted, "spec": {**wanted["spec"], "hostnames": []}})
    bare = {**wanted, "metadata": {**wanted["metadata"], "labels": {}}}
    assert not is_applied(wanted, bare)

    nameless = render_http_route(OWNER, PARENTS, [], tuple(Protocol))
    stored = {key: value for key, value in nameless["spec"].items() if key != "hostnames"}
    assert is_applied(nameless, {**nameless, "spec": stored})
