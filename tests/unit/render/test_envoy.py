import json
from dataclasses import replace

import pytest
from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of
from slipway.api.counters import latency_edges
from slipway.api.modelroute import HeaderMatch, TLSVersion
from slipway.api.protocol import Protocol
from slipway.render import envoy
from slipway.render.envoy import CertificatePair, ClusterKey, Encryption, Route

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
HEADER = HeaderMatch(name="x-model-candidate", value="true")
ROUTE = Route("digits", 10_000, ((STABLE, 95), (CANDIDATE, 5)))
PINNED = replace(ROUTE, candidate=CANDIDATE, header=HEADER)


def routes_of(route: Route) -> list[Manifest]:
    (configuration,) = envoy.render_routes((route,))["resources"]
    (host,) = configuration["virtual_hosts"]
    found: list[Manifest] = host["routes"]
    return found


def forwarded(route: Route) -> list[Manifest]:
    return [each["route"] for each in routes_of(route) if "route" in each]


def test_weights_of_both_protocols_are_the_routes() -> None:
    protocols = (Protocol.GRPC,) * 3 + (Protocol.HTTP,) * 2
    for action, protocol in zip(forwarded(ROUTE), protocols, strict=True):
        shares = action["weighted_clusters"]["clusters"]
        assert {each["name"]: each["weight"] for each in shares} == {
            f"digits/{STABLE}/{protocol.port_name}": 95,
            f"digits/{CANDIDATE}/{protocol.port_name}": 5,
        }


def test_every_answer_names_its_revision() -> None:
    for action in forwarded(ROUTE):
        for share in action["weighted_clusters"]["clusters"]:
            (header,) = share["response_headers_to_add"]
            assert header["header"]["value"] == share["name"].split("/")[1]


def test_the_header_is_matched_before_the_weights() -> None:
    pinned, weighted, *_ = (each["route"] for each in routes_of(PINNED) if "route" in each)
    assert pinned["cluster"] == f"digits/{CANDIDATE}/grpc/pinned"
    assert "weighted_clusters" in weighted


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(replace(PINNED, candidate=None), id="no candidate"),
        pytest.param(replace(PINNED, header=None), id="no header"),
    ],
)
def test_without_header_or_candidate_there_is_no_header_route(route: Route) -> None:
    assert all("cluster" not in action for action in forwarded(route))
    assert all(not key.pinned for key in route.clusters)


def test_a_route_names_exactly_the_clusters_that_it_can_reach() -> None:
    route = replace(PINNED, weights=((STABLE, 100), (CANDIDATE, 0)))
    assert {key.name for key in route.clusters} == {
        f"digits/{STABLE}/http",
        f"digits/{STABLE}/grpc",
        f"digits/{CANDIDATE}/http/pinned",
        f"digits/{CANDIDATE}/grpc/pinned",
    }


@pytest.mark.parametrize("weights", [(), ((STABLE, 0),)])
def test_a_route_without_weights_answers_503(weights: tuple[tuple[str, int], ...]) -> None:
    direct = [each.get("direct_response") for each in routes_of(replace(ROUTE, weights=weights))]
    assert [each and each["status"] for each in direct] == [404, *[503] * 5, 404]


@pytest.mark.parametrize(("seconds", "timeout"), [(0, "0s"), (30, "30s")])
def test_the_timeout_is_off_unless_it_is_set(seconds: int, timeout: str) -> None:
    actions = forwarded(replace(ROUTE, timeout_seconds=seconds))
    assert {action["timeout"] for action in actions} == {timeout}


def test_only_what_did_not_reach_the_model_is_retried() -> None:
    for action in forwarded(PINNED):
        conditions = action["retry_policy"]["retry_on"]
        assert conditions == "connect-failure,refused-stream,reset-before-request"


def test_no_cluster_limits_connections_or_requests() -> None:
    (cluster,) = envoy.render_clusters(frozenset({ClusterKey("digits", STABLE, Protocol.HTTP)}))[
        "resources"
    ]
    (limits,) = cluster["circuit_breakers"]["thresholds"]
    assert set(limits.values()) == {envoy.UNLIMITED}


def test_versions_are_content_hashes() -> None:
    same = envoy.render_routes((ROUTE,))["version_info"]
    other = envoy.render_routes((replace(ROUTE, weights=((STABLE, 100),)),))["version_info"]
    assert envoy.render_routes((ROUTE,))["version_info"] == same
    assert other != same


def test_a_weight_changes_the_routes_and_nothing_else() -> None:
    other = replace(ROUTE, weights=((STABLE, 50), (CANDIDATE, 50)))
    assert envoy.render_listeners("/xds", (ROUTE,)) == envoy.render_listeners("/xds", (other,))
    assert ROUTE.clusters == other.clusters
    assert ROUTE.hash != other.hash


COPIED = replace(ROUTE, copying=envoy.Copying(CANDIDATE, 250_000, 4096))


def filters_of(listener: Manifest) -> list[Manifest]:
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    filters: list[Manifest] = manager["http_filters"]
    return filters


def listeners_beside_a_comparer(route: envoy.Route) -> list[Manifest]:
    found = envoy.render_listeners("/xds", (route,), has_comparer=True)
    listeners: list[Manifest] = found["resources"]
    return listeners


def test_beside_a_comparer_every_listener_can_copy_and_does_not_unless_a_route_says_so() -> None:
    users, copies = listeners_beside_a_comparer(ROUTE)

    assert copies["name"] == envoy.SHADOW_LISTENER
    names = [each["name"].rpartition(".")[2] for each in filters_of(users)]
    assert names == ["grpc_stats", "header_mutation", "ext_proc", "router"]
    assert [each.get("disabled", False) for each in filters_of(users)] == [False, True, True, False]


def test_a_shadow_that_comes_pauses_or_goes_closes_no_clients_connection() -> None:
    paused = replace(COPIED, copying=envoy.Copying(CANDIDATE, 0, 4096))

    same = listeners_beside_a_comparer(ROUTE)
    assert listeners_beside_a_comparer(COPIED) == listeners_beside_a_comparer(paused) == same
    assert COPIED.clusters == paused.clusters
    assert "typed_per_filter_config" not in json.dumps(envoy.render_routes((paused,)))


def test_without_a_shadow_nothing_is_copied_and_no_cluster_takes_copies() -> None:
    assert "typed_per_filter_config" not in json.dumps(envoy.render_routes((ROUTE,)))
    assert not any(key.shadow for key in ROUTE.clusters)
    for listener in envoy.render_listeners("/xds", (ROUTE,))["resources"]:
        names = [each["name"].rpartition(".")[2] for each in filters_of(listener)]
        assert names == ["grpc_stats", "router"]


def test_copies_are_answered_by_clusters_of_their_own_and_bounded_in_number() -> None:
    assert {key.revision for key in COPIED.clusters if key.shadow} == {CANDIDATE}

    comparer = envoy.render_clusters(COPIED.clusters, "/xds")["resources"][-1]
    (limits,) = comparer["circuit_breakers"]["thresholds"]
    assert limits["max_requests"] == envoy.MOST_COPIES


def test_the_share_of_copies_is_in_the_route_file() -> None:
    other = replace(COPIED, copying=envoy.Copying(CANDIDATE, 125_000, 4096))

    assert COPIED.clusters == other.clusters
    assert COPIED.hash != other.hash


def address_of(listen_on: str) -> Manifest:
    found = envoy.render_listeners("/xds", (ROUTE,), listen_on=listen_on)
    (listener,) = found["resources"]
    address: Manifest = listener["address"]["socket_address"]
    return address


def test_a_listener_of_both_families_takes_ipv4_too() -> None:
    both = address_of(envoy.ANY_ADDRESS)

    assert both == {"address": "::", "port_value": 10_000, "ipv4_compat": True}
    assert address_of(envoy.ANY_IPV4) == {"address": "0.0.0.0", "port_value": 10_000}


def test_names_of_clusters_have_no_dot_which_separates_statistics() -> None:
    assert not any("." in key.name for key in PINNED.clusters)


def test_endpoints_are_addresses_and_ports() -> None:
    key = ClusterKey("digits", STABLE, Protocol.GRPC)
    document = envoy.render_endpoints(key, (("10.0.0.1", 8001), ("fd00::1", 8001)))
    (assignment,) = document["resources"]

    assert assignment["cluster_name"] == f"digits/{STABLE}/grpc"
    assert [
        each["endpoint"]["address"]["socket_address"]
        for each in assignment["endpoints"][0]["lb_endpoints"]
    ] == [
        {"address": "10.0.0.1", "port_value": 8001},
        {"address": "fd00::1", "port_value": 8001},
    ]


def test_histograms_have_the_edges_of_the_contract_and_one_above() -> None:
    settings = envoy.render_bootstrap("/xds", "router-0")["stats_config"]
    found = settings["histogram_bucket_settings"]
    assert [it["match"] for it in found] == [{"prefix": "cluster."}, {"exact": envoy.CLIENTS_STAT}]
    for histogram in found:
        assert tuple(histogram["buckets"]) == (*latency_edges(), envoy.OVERFLOW_EDGE_MILLIS)


def test_the_admin_interface_is_a_socket_that_only_the_pod_has() -> None:
    admin = envoy.render_bootstrap("/xds", "router-0")["admin"]
    assert admin == {"address": {"pipe": {"path": "/xds/admin.sock", "mode": 0o660}}}


# ── TLS ──

ENCRYPTED = replace(
    ROUTE,
    encryption=Encryption(min_version=TLSVersion.TLS_1_2, plaintext=False, has_certificate=True),
)


def test_what_asks_for_nothing_new_is_rendered_as_it_always_was() -> None:
    """Another text here changes the listeners of every router, which drains their connections."""
    documents = (
        envoy.render_bootstrap("/xds", "router-0"),
        envoy.render_listeners("/xds", (PINNED,)),
        envoy.render_routes((PINNED,)),
        envoy.render_clusters(PINNED.clusters),
    )
    assert [sha256_of(each)[:16] for each in documents] == [
        "57dcaad39eaf1868",
        "fa268ef84fca2a5a",
        "e2e2c42c25235134",
        "2af3b7e239fba0ba",
    ]
    assert PINNED.hash == "a28078e76b20a555"


def test_encryption_changes_the_listener_of_its_own_route_alone() -> None:
    other = replace(ROUTE, name="letters", port=10_001)
    before = envoy.render_listeners("/xds", (ROUTE, other))["resources"]
    after = envoy.render_listeners("/xds", (ENCRYPTED, other))["resources"]
    assert (after[1], after[0] != before[0]) == (before[1], True)
    assert envoy.render_routes((ENCRYPTED, other)) == envoy.render_routes((ROUTE, other))
    assert ENCRYPTED.hash != ROUTE.hash


def chains_of(route: Route) -> list[tuple[str | None, bool]]:
    """Return what each filter chain takes, and whether it encrypts."""
    [listener] = envoy.render_listeners("/xds", (route,))["resources"]
    return [
        (chain.get("filter_chain_match", {}).get("transport_protocol"), "transport_socket" in chain)
        for chain in listener["filter_chains"]
    ]


@pytest.mark.parametrize(
    ("plaintext", "has_certificate", "chains"),
    [
        (False, True, [(None, True)]),
        (True, True, [("tls", True), ("raw_buffer", False)]),
        (True, False, [(None, False)]),
    ],
)
def test_a_listener_takes_what_it_may(
    plaintext: bool, has_certificate: bool, chains: list[tuple[str | None, bool]]
) -> None:
    encryption = Encryption(
        min_version=TLSVersion.TLS_1_3, plaintext=plaintext, has_certificate=has_certificate
    )
    assert chains_of(replace(ROUTE, encryption=encryption)) == chains


def test_without_its_certificate_a_port_that_takes_only_tls_is_closed() -> None:
    route = replace(
        ROUTE,
        encryption=Encryption(
            min_version=TLSVersion.TLS_1_2, plaintext=False, has_certificate=False
        ),
    )
    assert not route.has_listener
    assert envoy.render_listeners("/xds", (route,))["resources"] == []


def test_a_certificate_is_asked_for_by_name_and_not_part_of_any_file() -> None:
    [listener] = envoy.render_listeners("/xds", (ENCRYPTED,))["resources"]
    context = listener["filter_chains"][0]["transport_socket"]["typed_config"]
    [asked] = context["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert asked["name"] == envoy.certificate_name("digits")
    [given] = envoy.render_certificate("digits", CertificatePair("chain", "key"))["resources"]
    assert given["name"] == asked["name"]
    assert given["tls_certificate"]["private_key"] == {"inline_string": "key"}


# ── asleep ──

ASLEEP = replace(ROUTE, holds=True)


def test_a_router_that_can_hold_has_the_filter_before_all_that_counts_and_off() -> None:
    (listener,) = envoy.render_listeners("/xds", (ROUTE,), can_hold=True)["resources"]
    first, second, _ = filters_of(listener)
    assert (first["name"], first["disabled"]) == ("envoy.filters.http.ext_authz", True)
    assert second["name"] == "envoy.filters.http.grpc_stats"


def test_falling_asleep_and_waking_close_no_clients_connection() -> None:
    same = envoy.render_listeners("/xds", (ROUTE,), can_hold=True)
    assert envoy.render_listeners("/xds", (ASLEEP,), can_hold=True) == same
    assert ASLEEP.clusters == ROUTE.clusters
    assert ASLEEP.hash != ROUTE.hash


def test_what_is_not_found_and_what_the_header_selects_is_not_held() -> None:
    (host,) = envoy.render_routes((replace(PINNED, holds=True),))["resources"][0]["virtual_hosts"]
    held = [each for each in host["routes"] if "typed_per_filter_config" in each]
    assert held
    assert all("weighted_clusters" in each["route"] for each in held)
    weighted = [each for each in host["routes"] if "weighted_clusters" in each.get("route", {})]
    assert held == weighted


def test_an_answer_of_the_agent_that_is_no_permission_becomes_503() -> None:
    (listener,) = envoy.render_listeners("/xds", (ROUTE,), can_hold=True)["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    over_grpc, over_http, _ = manager["local_reply_config"]["mappers"]
    assert over_grpc["status_code"] == over_http["status_code"] == 503
