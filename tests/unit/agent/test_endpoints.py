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


def test_a_pod_without_the_protocol_is_not_asked_for_it() -> None:
    only_http = Endpoint("a", "10.0.0.1", PORTS[:1], ready=True, serving=True, terminating=False)
    assert routable_addresses([only_http], Protocol.GRPC) == ()
