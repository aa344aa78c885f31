"""One authenticated connection pool to the API server, speaking plain JSON.

The Kubernetes client library provides configuration, credentials and TLS. Its generated calls are
not used: they turn every object into validated models and back (measured: a fifth more processor
time per call), need a class for each kind, and have no metadata-only lists.
"""

import asyncio
import contextlib
import functools
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config
from yarl import URL

from slipway.api.base import Manifest
from slipway.errors import ClusterUnavailable
from slipway.settings import REQUEST_SECONDS

TIMEOUT_SECONDS = REQUEST_SECONDS
"""Of one request, from start to last byte. The fence of the Lease relies on it."""
CONNECT_SECONDS = 5.0
POOL = 64
GOODBYE_SECONDS = 0.01

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_UNLIMITED = aiohttp.ClientTimeout(total=None)
"""Of the session's own clocks, which would be started for each request beside ours."""

ALWAYS_ESCAPED = re.compile("[<>&\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What Go's JSON always escapes, and what YAML forbids or reads differently."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A whole response of the API server."""

    status: int
    retry_after: float | None
    """In seconds; None where the server does not ask for it."""
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the API server did what was asked."""
        return self.status < 300  # noqa: PLR2004

    def json(self) -> Manifest:
        """Return the object in the body."""
        value: Manifest = json.loads(self.body)
        return value


Answered = Callable[[str, str, float], None]
"""Told of a request: its method, status ("none" without a response), and seconds."""


def _ignore_request(_method: str, _status: str, _seconds: float) -> None:
    pass


class Connection:
    """Requests to one API server."""

    def __init__(self, configuration: client.Configuration, *, user_agent: str) -> None:
        self.answered: Answered = _ignore_request
        """Called after every request, for the metrics."""
        self.configuration = configuration
        self._authorities = _read_authorities(configuration)
        self._user_agent = user_agent
        tls = client.rest.RESTClientObject(configuration).ssl_context
        self._session = _open_session(aiohttp.TCPConnector(limit=POOL, ssl=tls))
        self._streams = _open_session(aiohttp.TCPConnector(limit=0, ssl=tls))
        """Of their own: each stream holds its connection, and requests must not wait for one."""

    @property
    def has_newest_authorities(self) -> bool:
        """Whether the authorities that this process trusts are those of the file.

        The kubelet renews it when a cluster gets new ones. kopf reads it once, and so does the
        session. True where there is no file, or none that can be read.
        """
        return _read_authorities(self.configuration) in {self._authorities, None}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> ApiResponse:
        """Send one request and read the whole response.

        Raises:
            ClusterUnavailable: no response in time.

        """
        began, status = time.monotonic(), "none"
        url = _parse_url(self.configuration.host, path, query)
        headers = {"Content-Type": content_type, "Accept": accept}

        try:
            # The limit covers the credentials: a write must not start long after its fence.
            async with asyncio.timeout(timeout_seconds):
                headers.update(await self._own_headers())
                async with self._session.request(
                    method,
                    url,
                    headers=headers,
                    data=encode_as_go(body) if body is not None else None,
                    timeout=_UNLIMITED,
                    proxy=self.configuration.proxy,
                    proxy_headers=self.configuration.proxy_headers,
                    server_hostname=self.configuration.tls_server_name,
                ) as response:
                    data = await response.read()
            status = str(response.status)
        except TimeoutError as error:
            raise ClusterUnavailable(
                f"{method} {path}: no answer within {timeout_seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, config.ConfigException) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}") from error
        finally:
            self.answered(method, status, time.monotonic() - began)

        return ApiResponse(
            response.status, _parse_seconds(response.headers.get("Retry-After")), data
        )

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str], *, silence_seconds: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Begin to read a response that may have no end, as that of a watch.

        Raises:
            ClusterUnavailable: no answer, the connection broke, or nothing came for
                `silence_seconds`.

        """
        url = _parse_url(self.configuration.host, path, query)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds
        )
        try:
            async with self._streams.get(
                url,
                headers={"Accept": JSON, **await self._own_headers()},
                timeout=timeout,
                proxy=self.configuration.proxy,
                proxy_headers=self.configuration.proxy_headers,
                server_hostname=self.configuration.tls_server_name,
            ) as response:
                yield response
        except (aiohttp.ClientError, OSError, config.ConfigException) as error:
            raise ClusterUnavailable(f"GET {path}: {error!r}") from error

    async def bearer(self) -> tuple[str | None, str | None]:
        """Return the scheme and token that requests carry now; None where they carry none."""
        header = (await self._credentials()).get("authorization", "")
        scheme, _, token = header.partition(" ")
        return (scheme or None, token or None)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._streams.close()
        await asyncio.sleep(GOODBYE_SECONDS)  # lets TLS transports say goodbye

    async def _own_headers(self) -> dict[str, str]:
        return {"User-Agent": self._user_agent, **await self._credentials()}

    async def _credentials(self) -> dict[str, str]:
        auth: Mapping[str, Mapping[str, Any]] = await self.configuration.auth_settings()
        return {entry["key"]: entry["value"] for entry in auth.values() if entry["value"]}


def _read_authorities(configuration: client.Configuration) -> bytes | None:
    file = configuration.ssl_ca_cert
    try:
        return Path(file).read_bytes() if file else None
    except OSError:
        return None


def _open_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    # trust_env: else it looks for a proxy in a thread, before every request
    return aiohttp.ClientSession(connector=connector, trust_env=False)


async def connect(kubeconfig: Path | None, *, user_agent: str) -> Connection:
    """Return a connection by the kubeconfig or, without one, as the pod's service account.

    Raises:
        ClusterUnavailable: neither is usable; the message says why.

    """
    configuration = client.Configuration()
    try:
        if kubeconfig is not None:
            await config.load_kube_config(
                config_file=str(kubeconfig), client_configuration=configuration
            )
        else:
            config.load_incluster_config(client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        where = kubeconfig or "the pod's service account"
        raise ClusterUnavailable(f"no credentials from {where}: {error}") from error
    return Connection(configuration, user_agent=user_agent)


def encode_as_go(body: Manifest) -> bytes:
    """Return JSON as Go spells it, which is YAML as well.

    The API server keeps the free data of a ControllerRevision as it came, and compares it at every
    later patch with Go's spelling of it: spelled differently, the patch would be refused as a
    change of an immutable field. What is applied is read as YAML, which has no surrogate pairs: so
    nothing is escaped without need, and half a pair, which is no text, becomes a question mark.
    """
    text = _ENCODER.encode(body)
    text = ALWAYS_ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode("utf-8", "replace")


def _parse_url(host: str, path: str, query: Mapping[str, str] | None) -> URL:
    """Return a URL that is not encoded once more: names and paths of the API need none."""
    try:
        return URL(
            host + path + (_encode_pairs(tuple(query.items())) if query else ""), encoded=True
        )
    except ValueError as error:
        raise ClusterUnavailable(f"no such address: {host}: {error}") from error


@functools.lru_cache(maxsize=1024)
def _encode_pairs(query: tuple[tuple[str, str], ...]) -> str:
    return f"?{urlencode(query)}"


def _parse_seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdigit() else None
