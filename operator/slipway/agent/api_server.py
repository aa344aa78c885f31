"""The API server, as far as a router pod may use it: list, watch, and its own status entries."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from os import environ
from pathlib import Path
from typing import Any

import aiohttp

from slipway import __version__
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE, Kind
from slipway.api.names import FIELD_MANAGER_ROUTER
from slipway.engine.follow import ListedObjects
from slipway.engine.watch_events import WatchEvent, WatchExpired, parse_event, split_lines
from slipway.errors import ClusterUnavailable, Forbidden

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
APPLY = "application/apply-patch+yaml"
REQUEST_SECONDS = 5.0
WATCH_SECONDS = 280
SILENCE_SECONDS = 90.0
"""Bookmarks come about every minute; a watch that is silent for longer is dead."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is, and how to speak to it."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def in_cluster(cls) -> "ApiServer":
        """Return the API server of the pod that this process runs in."""
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", SERVICE_ACCOUNT / "token", SERVICE_ACCOUNT / "ca.crt")

    def headers(self) -> dict[str, str]:
        """Return the headers of a request; read anew, as the kubelet renews the token's file."""
        agent = {"User-Agent": f"slipway-agent/{__version__}"}
        if self.token_file is None:
            return agent
        return {**agent, "Authorization": f"Bearer {self.token_file.read_text().strip()}"}

    def tls(self) -> ssl.SSLContext | bool:
        """Return how to verify the API server's certificate; anew once the kubelet renews the file.

        Raises:
            OSError: the file cannot be read, or holds no certificate.

        """
        if self.ca_file is None:
            return True
        return _trust(self.ca_file, self.ca_file.read_bytes())


@lru_cache(maxsize=1)
def _trust(ca_file: Path, _content: bytes) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


KEY_SET_PATH = "/openid/v1/jwks"
"""Every service account may read it (system:service-account-issuer-discovery)."""


class ApiServerClient:
    """Lists, watches and applies in one namespace."""

    def __init__(self, server: ApiServer, namespace: str, pod: str, *, only: str = "") -> None:
        """`only` is the name of the one object to list and watch; a Role may allow just that."""
        self._server = server
        self._pod = pod
        self._selector = {"fieldSelector": f"metadata.name={only}"} if only else {}
        self._namespace = namespace
        self._manager = f"{FIELD_MANAGER_ROUTER}/{pod}"
        self._session: aiohttp.ClientSession | None = None

    def only(self, name: str) -> "ApiServerClient":
        """Return a client of its own for the object of one name."""
        return ApiServerClient(self._server, self._namespace, self._pod, only=name)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        """Read a whole collection, which has no second page.

        Raises:
            ClusterUnavailable: the API server did not answer, or refused.

        """
        del rest
        body = await self._request("GET", kind.path(self._namespace), self._selector)
        return ListedObjects(body.get("items") or [], str(body["metadata"]["resourceVersion"]))

    async def watch(self, kind: Kind, version: str) -> AsyncIterator[WatchEvent]:
        """Follow a collection until the API server ends the watch.

        Raises:
            WatchExpired: the version is too old.
            ClusterUnavailable: the connection broke.

        """
        query = {
            **self._selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS)

        try:
            async with self._open().get(
                self._server.url + kind.path(self._namespace),
                params=query,
                headers=self._server.headers(),
                timeout=timeout,
                ssl=self._server.tls(),
            ) as answer:
                await _raise_for_status(answer)
                async for line in split_lines(answer.content.iter_any()):
                    yield parse_event(line)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"watch of {kind.plural}: {error!r}") from error

    async def read_key_set(self) -> bytes:
        """Return the public keys of the cluster's service accounts, as JSON.

        Raises:
            ClusterUnavailable: the API server did not answer, or refused.

        """
        return json.dumps(await self._request("GET", KEY_SET_PATH, {})).encode()

    async def apply_status(self, route: str, manifest: Manifest) -> None:
        """Server-side apply this pod's part of a ModelRoute's status.

        Raises:
            ClusterUnavailable: the API server did not answer, or refused.

        """
        path = MODEL_ROUTE.path(self._namespace, route, "status")
        query = {"fieldManager": self._manager, "force": "true"}
        await self._request("PATCH", path, query, data=json.dumps(manifest))

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], data: str | None = None
    ) -> Any:
        headers = self._server.headers()
        if data is not None:
            headers["Content-Type"] = APPLY

        try:
            async with self._open().request(
                method,
                self._server.url + path,
                params=query,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
                ssl=self._server.tls(),
            ) as answer:
                await _raise_for_status(answer)
                return await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ClusterUnavailable(f"{method} {path}: {error!r}") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


async def _raise_for_status(answer: aiohttp.ClientResponse) -> None:
    if answer.status == HTTPStatus.GONE:
        raise WatchExpired(f"{answer.url.path}: version too old")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        text = (await answer.text())[:500]
        problem = f"{answer.method} {answer.url.path}: {answer.status} {text}"
        is_forbidden = answer.status == HTTPStatus.FORBIDDEN
        raise Forbidden(problem) if is_forbidden else ClusterUnavailable(problem)
