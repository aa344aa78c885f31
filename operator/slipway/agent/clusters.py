"""The clusters that Envoy should have: those in use, and for a while those that were.

Pure: the time is passed in.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from slipway.render.envoy import Address, ClusterKey

UNUSED_SECONDS = 60.0
"""How long a cluster stays after its last use, for requests in flight and for its counters."""

Addresses = Mapping[ClusterKey, tuple[Address, ...]]
"""Where the requests of each cluster may go."""


@dataclass(frozen=True, slots=True)
class UnusedCluster:
    """A cluster that no route names any more."""

    since: float
    addresses: tuple[Address, ...]


class Clusters:
    """Keeps a cluster for a while after the last route that named it was replaced."""

    def __init__(self) -> None:
        self._unused: dict[ClusterKey, UnusedCluster] = {}
        self.addresses: Addresses = {}

    def update(self, used: Addresses, written: Collection[ClusterKey], now: float) -> None:
        """Retire the clusters that are no longer used.

        Args:
            used: those of the routes that should run now.
            written: those that the route file still names; none of them may go.
            now: seconds of a monotonic clock.

        """
        for key, addresses in self.addresses.items():
            if key not in used:
                self._unused.setdefault(key, UnusedCluster(now, addresses))

        self._unused = {
            key: each
            for key, each in self._unused.items()
            if key not in used and (key in written or now - each.since < UNUSED_SECONDS)
        }
        unused = {key: each.addresses for key, each in self._unused.items()}
        self.addresses = {**unused, **used}

    def deadlines(self) -> list[float]:
        """Return when unused clusters may go."""
        return [each.since + UNUSED_SECONDS for each in self._unused.values()]
