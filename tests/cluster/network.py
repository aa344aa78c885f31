"""The link between host and node, and the routes by which the host reaches pods and Services."""

import ipaddress
import json
import subprocess
from dataclasses import dataclass

from tests.cluster import settings
from tests.cluster.errors import ClusterError

ROUTES = (settings.POD_RANGE, settings.SERVICE_RANGE)
LINK_RANGE = str(
    ipaddress.ip_network(f"{settings.HOST_ADDRESS}/{settings.LINK_PREFIX}", strict=False)
)


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the host."""

    destination: str
    device: str


def connect(init: int) -> None:
    """Link the host with the network namespace of the process `init`."""
    _refuse_overlap()
    peer = ("peer", "name", settings.NODE_LINK, "netns", str(init))
    _ip("link", "add", settings.HOST_LINK, "type", "veth", *peer)
    address = f"{settings.HOST_ADDRESS}/{settings.LINK_PREFIX}"
    _ip("address", "add", address, "dev", settings.HOST_LINK)
    _ip("link", "set", settings.HOST_LINK, "up")
    for destination in ROUTES:
        _ip("route", "add", destination, "via", settings.NODE_ADDRESS, "dev", settings.HOST_LINK)


def disconnect() -> bool:
    """Remove the link, and with it its routes; False when there was none.

    Raises:
        ClusterError: it is still there.

    """
    if not _is_linked():
        return False
    try:
        _ip("link", "delete", settings.HOST_LINK)
    except ClusterError:
        # The kernel removes it too, some time after the last process of the node.
        if _is_linked():
            raise
    return True


def overlapping(routes: list[Route]) -> Route | None:
    """Return a route that the cluster's ranges would take traffic from, or lose it to."""
    ours = [ipaddress.ip_network(text) for text in (LINK_RANGE, *ROUTES)]
    for route in routes:
        if route.destination == "default" or route.device == settings.HOST_LINK:
            continue
        if any(ipaddress.ip_network(route.destination).overlaps(mine) for mine in ours):
            return route
    return None


def _is_linked() -> bool:
    links = json.loads(_ip("-json", "link", "show"))
    return any(link["ifname"] == settings.HOST_LINK for link in links)


def _refuse_overlap() -> None:
    listed = json.loads(_ip("-json", "-4", "route", "show"))
    routes = [Route(route["dst"], route.get("dev", "")) for route in listed]
    taken = overlapping(routes)
    if taken:
        raise ClusterError(
            f"this machine already routes {taken.destination} to {taken.device}, and the cluster"
            f" needs {LINK_RANGE}, {' and '.join(ROUTES)}; take that route away, or change the"
            " ranges in tests/cluster/settings.py"
        )


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"'ip {' '.join(arguments)}' failed: {done.stderr.strip()}")
    return done.stdout
