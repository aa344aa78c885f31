"""Envoy's admin interface, over its UNIX socket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from slipway.agent.pods import Host
from slipway.errors import DependencyError
from slipway.render.access import DENIED_PREFIX
from slipway.render.envoy import CLIENTS_STAT, COPIED_STATS, IN_FLIGHT_STAT, VERSION_STATS

CLUSTER_PREFIX = "cluster."
VERSION_SUFFIX = ".version_text"
REFUSED_SUFFIXES = (".update_rejected", ".update_failure")
TIMEOUT_SECONDS = 5.0
_TEXTS = quote(r"(version_text|update_rejected|update_failure)$")
_COUNTED = quote(rf"^(cluster\.[^.]+/|{re.escape(DENIED_PREFIX)}|{re.escape(CLIENTS_STAT)}$)")
_IN_FLIGHT = quote(rf"^{re.escape(IN_FLIGHT_STAT)}$")
_COPIED = quote(rf"^{re.escape(COPIED_STATS)}")


class EnvoyUnavailable(DependencyError):
    """Envoy's admin interface does not answer: Envoy is starting, restarting or gone."""


class EnvoyGone(EnvoyUnavailable):
    """There is no Envoy: nothing listens on its admin socket."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What Envoy reports about its configuration."""

    start: str
    """Changes when Envoy restarts."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version in force by file; a file that Envoy never accepted is absent."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Refused updates by file, since `start`."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Version of the endpoints by cluster; absent while a cluster waits for its first."""


Stat = Mapping[str, Any]
"""One entry of ``/stats?format=json``."""


class Admin:
    """Reads statistics, and starts the drain."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def observe(self) -> Observed:
        """Read which configuration is in force.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        start = self.start()
        return parse_observed(start, await self._stats(f"filter={_TEXTS}"))

    async def counters(self) -> tuple[str, list[Stat]]:
        """Read when Envoy started, and the statistics of all our clusters.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        start = self.start()
        return start, await self._stats(f"histogram_buckets=disjoint&filter={_COUNTED}")

    async def copies(self) -> tuple[str, list[Stat]]:
        """Read when Envoy started, and what became of the copies of each route.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        start = self.start()
        return start, await self._stats(f"filter={_COPIED}")

    async def requests_in_flight(self) -> int:
        """Count the requests of all clients that are not answered completely.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        stats = await self._stats(f"filter={_IN_FLIGHT}")
        return sum(int(stat.get("value", 0)) for stat in stats)

    async def hosts(self) -> dict[str, list[Host]]:
        """Read what Envoy counts of every pod, by the name of the cluster.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        body = await self._request("GET", "/clusters?format=json")
        found = body.get("cluster_statuses", [])
        return {cluster["name"]: cluster.get("host_statuses", []) for cluster in found}

    async def is_live(self) -> bool:
        """Return whether Envoy serves, with its first configuration complete."""
        try:
            await self._request("GET", "/ready")
        except EnvoyUnavailable:
            return False
        return True

    async def drain(self) -> None:
        """Ask clients to leave with their next answer, while new requests are still served.

        Raises:
            EnvoyUnavailable: Envoy does not answer.

        """
        await self._request("POST", "/drain_listeners?graceful&skip_exit")

    def start(self) -> str:
        """Return when Envoy made its socket, which it does each time it starts.

        Raises:
            EnvoyGone: there is no socket.

        """
        try:
            seconds = self._socket.stat().st_mtime_ns / 1e9
        except OSError as error:
            raise EnvoyGone(f"Envoy's admin socket: {error}") from error
        return datetime.fromtimestamp(seconds, UTC).isoformat()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _stats(self, query: str) -> list[Stat]:
        body = await self._request("GET", f"/stats?format=json&{query}")
        stats: list[Stat] = body["stats"]
        return stats

    async def _request(self, method: str, path: str) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._socket)),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            )

        try:
            url = URL(f"http://envoy{path}", encoded=True)
            async with self._session.request(method, url) as answer:
                if answer.status != HTTPStatus.OK:
                    raise EnvoyUnavailable(f"Envoy's admin {path}: status {answer.status}")
                if answer.content_type == "application/json":
                    return await answer.json()
                return await answer.text()
        except aiohttp.ClientConnectorError as error:
            raise EnvoyGone(f"Envoy's admin {path}: {error!r}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EnvoyUnavailable(f"Envoy's admin {path}: {error!r}") from error


def parse_observed(start: str, stats: list[Stat]) -> Observed:
    """Read the versions and refusals out of the statistics."""
    values = {stat["name"]: stat["value"] for stat in stats if "value" in stat}

    versions = {
        file: str(values[prefix + VERSION_SUFFIX])
        for file, prefix in VERSION_STATS.items()
        if values.get(prefix + VERSION_SUFFIX)
    }
    refused = {
        file: sum(int(values.get(prefix + suffix, 0)) for suffix in REFUSED_SUFFIXES)
        for file, prefix in VERSION_STATS.items()
    }
    endpoints = {
        name[len(CLUSTER_PREFIX) : -len(VERSION_SUFFIX)]: str(value)
        for name, value in values.items()
        if name.startswith(CLUSTER_PREFIX) and name.endswith(VERSION_SUFFIX) and value
    }
    return Observed(start, versions, refused, endpoints)
