"""Requests and errors by pod, as Envoy's ``/clusters`` has them for each host of a cluster.

Envoy counts per host in the whole life of the host's entry: one that leaves the endpoints and comes
back begins anew. Both protocols of a pod are hosts with the same address, and are added up.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slipway.api.counters import MOST_PODS, PodCounters
from slipway.render.envoy import Address, ClusterKey

Host = Mapping[str, Any]
"""One entry of ``host_statuses``."""
PodsByRevision = Mapping[tuple[str, str], list[PodCounters]]
"""By route and revision."""


def read_pods(
    clusters: Iterable[ClusterKey], hosts: Mapping[str, Sequence[Host]]
) -> PodsByRevision:
    """Return the counters of every pod of these clusters, of as many as a page has room for.

    `hosts` are by the name of the cluster. Which pods are left out does not depend on what they
    answer, and is the same at every proxy.
    """
    counted: defaultdict[tuple[str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for key in clusters:
        pods = counted[key.route, key.revision]
        for host in hosts.get(key.name, []):
            address = host["address"]["socket_address"]["address"]
            before = pods.get(address, (0, 0))
            pods[address] = (
                before[0] + _value(host, "rq_total"),
                before[1] + _value(host, "rq_error"),
            )

    return {
        revision: [
            PodCounters(address=address, requests=pods[address][0], errors=pods[address][1])
            for address in sorted(pods)[:MOST_PODS]
        ]
        for revision, pods in counted.items()
    }


def read_addresses(hosts: Mapping[str, Sequence[Host]]) -> set[Address]:
    """Return where Envoy sends requests; `hosts` are by the name of the cluster."""
    found = (host["address"].get("socket_address") for each in hosts.values() for host in each)
    return {(each["address"], each["port_value"]) for each in found if each is not None}


def _value(host: Host, name: str) -> int:
    """Return a statistic: a number of 64 bits is text in JSON, and 0 is left out."""
    stats = host.get("stats", ())
    return int(next((stat.get("value", 0) for stat in stats if stat.get("name") == name), 0))
