"""The pods behind a revision, read from EndpointSlices."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from slipway.api.base import Manifest
from slipway.api.protocol import Protocol
from slipway.render.envoy import Address

SERVICE_LABEL = "kubernetes.io/service-name"
ADDRESS_TYPES = ("IPv4", "IPv6")
"""Envoy takes addresses, not names; where a pod has both, the first counts."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod."""

    pod: str
    """Identifies a pod that has an address of each family."""
    host: str
    ports: tuple[tuple[str, int], ...]
    """Name and number, named as the revision's Service names them."""
    ready: bool
    serving: bool
    terminating: bool
    answers: bool = False
    """Not ready, as the cluster says, but it was, and it answers when it is asked."""

    def address(self, protocol: Protocol) -> Address | None:
        """Return where the pod speaks the protocol; None where it does not."""
        wanted = protocol.port_name
        return next(((self.host, port) for name, port in self.ports if name == wanted), None)


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """One EndpointSlice: some of the pods of a Service."""

    service: str
    endpoints: tuple[Endpoint, ...]


def parse_slice(manifest: Manifest) -> EndpointSlice | None:
    """Read an EndpointSlice; None where it belongs to no Service or has no IP addresses."""
    service = manifest["metadata"].get("labels", {}).get(SERVICE_LABEL)
    if service is None or manifest.get("addressType") not in ADDRESS_TYPES:
        return None
    ports = tuple(
        (str(port["name"]), int(port["port"]))
        for port in manifest.get("ports") or ()
        if port.get("name") and port.get("port")
    )
    return EndpointSlice(
        service, tuple(_parse_endpoint(each, ports) for each in manifest.get("endpoints") or ())
    )


def _parse_endpoint(manifest: Manifest, ports: tuple[tuple[str, int], ...]) -> Endpoint:
    """An absent `ready` means ready, as the API defines it."""
    conditions = manifest.get("conditions", {})
    ready = conditions.get("ready") is not False
    serving = conditions.get("serving")
    host = manifest["addresses"][0]
    return Endpoint(
        pod=manifest.get("targetRef", {}).get("uid", host),
        host=host,
        ports=ports,
        ready=ready,
        serving=ready if serving is None else serving,
        terminating=bool(conditions.get("terminating")),
    )


def group_by_service(slices: Iterable[EndpointSlice]) -> dict[str, tuple[Endpoint, ...]]:
    """Return each Service's pods, each pod once, ordered so that equal sets are equal.

    A pod may be in several slices: it has an address of each family, or it moves from one slice to
    another.
    """
    found: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
    for each in slices:
        pods = found[each.service]
        for endpoint in each.endpoints:
            known = pods.get(endpoint.pod)
            pods[endpoint.pod] = endpoint if known is None else _merge(known, endpoint)
    return {
        service: tuple(sorted(pods.values(), key=lambda endpoint: endpoint.host))
        for service, pods in found.items()
    }


def _merge(one: Endpoint, other: Endpoint) -> Endpoint:
    """Return what two slices say of one pod.

    No slice tells that it is older than another, so a pod is ready only where none denies it.
    """
    first, second = sorted((one, other), key=lambda each: (":" in each.host, each.host, each.ports))
    return replace(
        first,
        ports=tuple((dict(second.ports) | dict(first.ports)).items()),
        ready=one.ready and other.ready,
        serving=one.serving and other.serving,
        terminating=one.terminating or other.terminating,
    )


def count_ready(endpoints: Sequence[Endpoint]) -> int:
    """Count the pods that take new requests."""
    return sum(endpoint.ready for endpoint in endpoints)


def count_answering(endpoints: Sequence[Endpoint]) -> int:
    """Count the pods that are not ready and answer all the same."""
    return sum(endpoint.answers for endpoint in endpoints)


def routable_addresses(endpoints: Sequence[Endpoint], protocol: Protocol) -> tuple[Address, ...]:
    """Return where requests may go: ready pods; if there is none, those that still serve.

    Of these first the pods that are ending, which the cluster itself calls serving.
    """
    chosen = (
        [each for each in endpoints if each.ready]
        or [each for each in endpoints if each.serving and each.terminating]
        or [each for each in endpoints if each.answers]
    )
    found = (each.address(protocol) for each in chosen)
    return tuple(address for address in found if address is not None)
