"""Who may call, as Envoy is told of it."""

from dataclasses import replace

from slipway.api.base import Manifest
from slipway.render import envoy
from slipway.render.access import AccessRules, Limit, Tokens

BEFORE = "22c099d652bc08ea"
"""Of the route below, before there was any access."""
TOKENS = Tokens(name="jwt0", issuer="https://issuer.example.org", audiences=("digits",))
RULES = AccessRules(keys=(("ci", "{SHA}x"),), tokens=(TOKENS,), limit=Limit(5, 10))
DENIERS = [
    "envoy.filters.http.basic_auth",
    "envoy.filters.http.jwt_authn",
    "slipway.caller",
    "envoy.filters.http.rbac",
    "envoy.filters.http.local_ratelimit",
    "slipway.credentials",
]


def a_route(access: AccessRules | None) -> envoy.Route:
    return envoy.Route("digits", 10_000, (("aaaaaaaa", 100),), access=access)


def manager_of(access: AccessRules | None) -> Manifest:
    [listener] = envoy.render_listeners("/xds", (a_route(access),))["resources"]
    [chain] = listener["filter_chains"]
    found: Manifest = chain["filters"][0]["typed_config"]
    return found


def host_of(access: AccessRules | None) -> Manifest:
    [routes] = envoy.render_routes((a_route(access),))["resources"]
    [found] = routes["virtual_hosts"]
    return dict(found)


def filters_of(access: AccessRules | None) -> list[str]:
    return [each["name"] for each in manager_of(access)["http_filters"]]


def test_a_route_without_access_is_what_it_always_was() -> None:
    assert a_route(None).hash == BEFORE
    assert filters_of(None) == ["envoy.filters.http.grpc_stats", "envoy.filters.http.router"]
    assert manager_of(None).keys().isdisjoint({"access_log"})
    assert host_of(None).keys() == {"name", "domains", "routes"}


def test_denials_come_before_everything_that_counts_for_a_verdict() -> None:
    counters = ["envoy.filters.http.grpc_stats", "envoy.filters.http.router"]
    assert filters_of(RULES) == [*DENIERS, *counters]


def test_another_key_or_limit_leaves_the_listener_and_its_connections_alone() -> None:
    revoked = replace(RULES, keys=(("web", "{SHA}y"),), names=("web",), limit=Limit(1, 1))
    assert manager_of(revoked) == manager_of(RULES)
    assert host_of(revoked) != host_of(RULES)
    assert a_route(revoked).hash != a_route(RULES).hash


def test_without_any_key_the_filter_still_refuses_keys() -> None:
    none = replace(RULES, keys=())
    assert filters_of(none) == filters_of(RULES)
    assert "envoy.filters.http.basic_auth" not in host_of(none)["typed_per_filter_config"]


def test_no_client_can_bring_the_headers_that_say_who_calls() -> None:
    [mutation] = manager_of(RULES)["early_header_mutation_extensions"]
    removed = {each.get("remove") for each in mutation["typed_config"]["mutations"]}
    named = {"x-slipway-caller", "x-slipway-key", "x-slipway-token", "x-slipway-certificate"}
    assert removed == {None} | named


def test_nothing_behind_the_limit_sees_a_key_or_a_token() -> None:
    def forgotten(rules: AccessRules) -> set[str]:
        [last] = [
            each for each in manager_of(rules)["http_filters"] if "credentials" in each["name"]
        ]
        mutations = last["typed_config"]["mutations"]["request_mutations"]
        return {each["remove"] for each in mutations}

    ways = {"x-slipway-key", "x-slipway-token", "x-slipway-certificate"}
    assert forgotten(RULES) == {"authorization"} | ways
    assert forgotten(AccessRules(certificates=True)) == ways


def test_a_log_is_written_only_where_it_is_asked_for() -> None:
    def loggers(rules: AccessRules) -> list[str]:
        return [each["name"] for each in manager_of(rules)["access_log"]]

    counter, log = "envoy.access_loggers.stats", "envoy.access_loggers.stdout"
    assert loggers(RULES) == [counter]
    assert loggers(replace(RULES, has_log=True)) == [counter, log]
    assert loggers(AccessRules(has_log=True)) == [log]
    assert filters_of(AccessRules(has_log=True)) == filters_of(None)


def test_a_token_needs_an_end_and_comes_by_one_header_alone() -> None:
    [filter_] = [each for each in manager_of(RULES)["http_filters"] if "jwt" in each["name"]]
    provider = filter_["typed_config"]["providers"]["jwt0"]
    assert provider["require_expiration"] is True
    assert provider["from_headers"] == [{"name": "authorization", "value_prefix": "Bearer "}]
    assert provider["remote_jwks"]["http_uri"]["uri"] == "http://agent/v3/jwks/digits/jwt0"


def test_who_may_not_call_wakes_no_model() -> None:
    [listener] = envoy.render_listeners("/xds", (a_route(RULES),), can_hold=True)["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    names = [each["name"].rpartition(".")[2] for each in manager["http_filters"]]
    assert names.index("rbac") < names.index("ext_authz") < names.index("grpc_stats")
