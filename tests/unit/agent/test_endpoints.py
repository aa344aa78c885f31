from dataclasses import replace
from itertools import permutations

import pytest
from slipway.agent.endpoints import (
    Endpoint,
    EndpointSlice,
    count_ready,
    group_by_service,
    parse_slice,
    routable_addresses,
)
from slipway.api.base import Manifest
from slipway.api.protocol import Protocol

PORTS = (("http", 8000), ("grpc", 8001))


def a_slice(*endpoints: Manifest, **changes: object) -> Manifest:
    return {
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "digits-0123abcd"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8000}, {"name": "grpc", "port": 8001}],
        "endpoints": list(endpoints),
        **changes,
    }


def an_endpoint(host: str, **conditions: bool) -> Manifest:
    return {"addresses": [host], "conditions": conditions, "targetRef": {"uid": f"pod-{host}"}}


def a_pod(host: str, *, ready: bool = True, serving: bool = True, ending: bool = False) -> Endpoint:
    return Endpoint(f"pod-{host}", host, PORTS, ready, serving, ending)


def test_a_slice_is_read_with_ports_and_conditions() -> None:
    ending = an_endpoint("10.0.0.2", ready=False, serving=True, terminating=True)
    assert parse_slice(a_slice(an_endpoint("10.0.0.1", ready=True), ending)) == EndpointSlice(
        "digits-0123abcd",
        (a_pod("10.0.0.1"), a_pod("10.0.0.2", ready=False, ending=True)),
    )


def test_absent_conditions_mean_ready() -> None:
    found = parse_slice(a_slice({"addresses": ["10.0.0.1"]}))
    assert found is not None
    assert count_ready(found.endpoints) == 1


def test_slices_without_a_service_or_with_names_are_ignored() -> None:
    assert parse_slice(a_slice(metadata={"name": "s"})) is None
    assert parse_slice(a_slice(addressType="FQDN")) is None


def test_a_slice_without_endpoints_is_empty() -> None:
    assert parse_slice(a_slice(endpoints=None, ports=None)) == EndpointSlice("digits-0123abcd", ())


def test_a_pod_with_both_families_counts_once_and_speaks_ipv4() -> None:
    six = Endpoint("pod-a", "fd00::1", PORTS, ready=True, serving=True, terminating=False)
    four = Endpoint("pod-a", "10.0.0.1", PORTS, ready=True, serving=True, terminating=False)
    for order in ([six, four], [four, six]):
        slices = [EndpointSlice("digits", (endpoint,)) for endpoint in order]
        assert group_by_service(slices) == {"digits": (four,)}


def test_the_slices_of_a_service_are_put_together() -> None:
    one, two, other = (a_pod(f"10.0.0.{number}") for number in (1, 2, 3))
    slices = [
        EndpointSlice("digits", (two,)),
        EndpointSlice("other", (other,)),
        EndpointSlice("digits", (one,)),
    ]

    assert group_by_service(slices) == {"digits": (one, two), "other": (other,)}


@pytest.mark.parametrize(
    "newer",
    [
        pytest.param(a_pod("10.0.0.1", ready=False, ending=True), id="terminating"),
        pytest.param(a_pod("10.0.0.1", ready=False, serving=False), id="not ready"),
        pytest.param(
            a_pod("10.0.0.1", ready=False, serving=False, ending=True), id="ending and not serving"
        ),
    ],
)
def test_a_pod_that_any_slice_knows_as_not_ready_gets_no_requests(newer: Endpoint) -> None:
    """While a pod moves between slices it is in two, and which of them is older is not known."""
    stale, other = a_pod("10.0.0.1"), a_pod("10.0.0.2")
    slices = [EndpointSlice("digits", (stale, other)), EndpointSlice("digits", (newer,))]

    for order in permutations(slices):
        pods = group_by_service(order)["digits"]

        assert count_ready(pods) == 1
        assert routable_addresses(pods, Protocol.HTTP) == (("10.0.0.2", 8000),)


def test_a_pod_with_both_families_is_as_ready_as_its_less_ready_address() -> None:
    six = Endpoint("pod-a", "fd00::1", PORTS, ready=False, serving=True, terminating=True)
    four = Endpoint("pod-a", "10.0.0.1", PORTS, ready=True, serving=True, terminating=False)

    for order in permutations([six, four]):
        slices = [EndpointSlice("digits", (endpoint,)) for endpoint in order]

        (pod,) = group_by_service(slices)["digits"]

        assert (pod.host, pod.ready, pod.serving, pod.terminating) == (
            "10.0.0.1",
            False,
            True,
            True,
        )


def test_the_only_pod_serves_on_while_it_ends_and_moves_between_slices() -> None:
    slices = [
        EndpointSlice("digits", (a_pod("10.0.0.1"),)),
        EndpointSlice("digits", (a_pod("10.0.0.1", ready=False, ending=True),)),
    ]

    pods = group_by_service(slices)["digits"]

    assert routable_addresses(pods, Protocol.HTTP) == (("10.0.0.1", 8000),)


def test_a_pod_speaks_what_any_of_its_slices_names() -> None:
    http, grpc = (
        Endpoint("a", "10.0.0.1", (port,), ready=True, serving=True, terminating=False)
        for port in PORTS
    )
    slices = [EndpointSlice("digits", (each,)) for each in (http, grpc)]

    for order in permutations(slices):
        pods = group_by_service(order)["digits"]

        assert routable_addresses(pods, Protocol.HTTP) == (("10.0.0.1", 8000),)
        assert routable_addresses(pods, Protocol.GRPC) == (("10.0.0.1", 8001),)


def test_ready_pods_are_preferred_to_terminating_ones() -> None:
    pods = [a_pod("10.0.0.1"), a_pod("10.0.0.2", ready=False, ending=True)]
    assert routable_addresses(pods, Protocol.HTTP) == (("10.0.0.1", 8000),)


def test_terminating_pods_serve_where_no_other_pod_does() -> None:
    pods = [
        a_pod("10.0.0.1", ready=False, ending=True),
        a_pod("10.0.0.2", ready=False, serving=False, ending=True),
        a_pod("10.0.0.3", ready=False),
    ]

    assert routable_addresses(pods, Protocol.GRPC) == (("10.0.0.1", 8001),)


def test_pods_that_only_answer_serve_where_no_other_pod_does() -> None:
    answering = replace(a_pod("10.0.0.1", ready=False, serving=False), answers=True)
    silent = a_pod("10.0.0.2", ready=False, serving=False)
    ending = a_pod("10.0.0.3", ready=False, ending=True)
    ready = a_pod("10.0.0.4")

    found = [silent, answering]
    assert routable_addresses(found, Protocol.HTTP) == (("10.0.0.1", 8000),)
    assert routable_addresses([*found, ending], Protocol.HTTP) == (("10.0.0.3", 8000),)
    assert routable_addresses([*found, ready], Protocol.HTTP) == (("10.0.0.4", 8000),)


def test_a_pod_without_the_protocol_is_not_asked_for_it() -> None:
    only_http = Endpoint("a", "10.0.0.1", PORTS[:1], ready=True, serving=True, terminating=False)
    assert routable_addresses([only_http], Protocol.GRPC) == ()
