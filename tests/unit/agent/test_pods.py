"""Counters by pod, from what Envoy says of each host."""

from typing import Any

from slipway.agent.counters import read_counters
from slipway.agent.pods import read_addresses, read_pods
from slipway.api.counters import MOST_PODS, PodCounters
from slipway.api.protocol import Protocol
from slipway.render.envoy import ClusterKey

from tests.builders import NOON

HTTP = ClusterKey("digits", "0123abcd", Protocol.HTTP)
GRPC = ClusterKey("digits", "0123abcd", Protocol.GRPC)
PINNED = ClusterKey("digits", "0123abcd", Protocol.HTTP, pinned=True)


def a_host(address: str, **counts: int) -> dict[str, Any]:
    """Return a host as Envoy renders it: numbers as text, and none where they are 0."""
    stats = [
        {"name": name, **({"value": str(count)} if count else {})} for name, count in counts.items()
    ]
    return {"address": {"socket_address": {"address": address, "port_value": 80}}, "stats": stats}


def test_both_protocols_of_a_pod_are_added_up_in_the_order_of_addresses() -> None:
    found = read_pods(
        [HTTP, GRPC],
        {
            HTTP.name: [a_host("10.0.0.2", rq_total=5, rq_error=1), a_host("10.0.0.1", rq_total=7)],
            GRPC.name: [a_host("10.0.0.2", rq_total=3, rq_error=2, cx_total=9)],
        },
    )
    assert found == {
        ("digits", "0123abcd"): [
            PodCounters(address="10.0.0.1", requests=7, errors=0),
            PodCounters(address="10.0.0.2", requests=8, errors=3),
        ]
    }


def test_a_host_without_a_request_and_a_cluster_without_hosts_are_nothing_wrong() -> None:
    found = read_pods([HTTP, GRPC], {HTTP.name: [a_host("10.0.0.1", rq_total=0)]})
    assert found["digits", "0123abcd"] == [
        PodCounters(address="10.0.0.1", requests=0, errors=0),
    ]


def test_a_page_has_as_many_pods_as_there_is_room_for() -> None:
    hosts = [a_host(f"10.0.0.{number}", rq_total=1) for number in range(2 * MOST_PODS)]
    found = read_pods([HTTP], {HTTP.name: hosts})
    assert len(found["digits", "0123abcd"]) == MOST_PODS


def test_pods_stand_with_the_judged_requests_of_their_revision_only() -> None:
    pods = {("digits", "0123abcd"): [PodCounters(address="10.0.0.1", requests=1, errors=0)]}
    found = read_counters("router-0", "start", NOON, [HTTP, PINNED], [], pods=pods)
    assert [(each.pinned, each.pods is not None) for each in found.routes] == [
        (False, True),
        (True, False),
    ]


def test_no_pods_are_told_apart_where_none_were_read() -> None:
    found = read_counters("router-0", "start", NOON, [HTTP], [], pods={})
    assert found.routes[0].pods is None


def test_the_addresses_of_pods_are_told_from_sockets() -> None:
    pipe = {"address": {"pipe": {"path": "/xds/endpoints.sock"}}}
    hosts = {HTTP.name: [a_host("10.0.0.1")], "agent": [pipe], GRPC.name: [a_host("10.0.0.2")]}
    assert read_addresses(hosts) == {("10.0.0.1", 80), ("10.0.0.2", 80)}
