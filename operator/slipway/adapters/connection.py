"""One authenticated connection pool to the API server, speaking plain JSON.

The Kubernetes client library brings configuration, credentials and TLS. Its generated calls are
left out: they turn every object into validated models and back (measured: a fifth more processor
time per call), need a class for each kind, and know no lists of metadata alone.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from slipway.api.base import Manifest
from slipway.errors import ClusterUnavailable
from slipway.settings import REQUEST_SECONDS

TIMEOUT_SECONDS = REQUEST_SECONDS
"""Of one request, from start to last byte. The fence of the Lease counts on it."""
POOL = 64

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
YAML = "application/yaml"
"""The API server writes such a body anew, in the form in which it compares objects later: the free
data of a ControllerRevision, kept as our JSON spelled it, would differ from itself in the next
patch, and be refused as a change of what never changes."""

NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    retry_after: float | None
    """In seconds, where the server asks for it."""
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether it did what was asked."""
        return self.status < 300  # noqa: PLR2004

    def json(self) -> Manifest:
        """Return the object in the body."""
        value: Manifest = json.loads(self.body)
        return value


Answered = Callable[[str, str, float], None]
"""Method, status ("none" without an answer), and seconds of a request."""


def _nobody_counts(_method: str, _status: str, _seconds: float) -> None:
    pass


class Connection:
    """Requests to one API server."""

    def __init__(self, configuration: client.Configuration, *, user_agent: str) -> None:
        self.answered: Answered = _nobody_counts
        """Told of every request, for the metrics."""
        configuration.connection_pool_maxsize = POOL
        # a proxy is named in the kubeconfig; asked to look for one in the environment too, the
        # session would do so in a thread before every request
        configuration.client_session_kwargs = {"trust_env": False}
        self.configuration = configuration
        self._rest = client.rest.RESTClientObject(configuration)
        self._user_agent = user_agent

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
    ) -> Answer:
        """Send one request and read the whole answer.

        Raises:
            ClusterUnavailable: no answer in time.

        """
        began, status = time.monotonic(), "none"
        url = self.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Content-Type": content_type, "Accept": accept, "User-Agent": self._user_agent}
        try:
            headers.update(await self._credentials())
            response = await self._rest.request(
                method,
                url,
                headers=headers,
                body=_as_yaml(body) if content_type == YAML and body is not None else body,
                _request_timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            )
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
        return Answer(response.status, _seconds(response.getheader("Retry-After")), data)

    async def bearer(self) -> tuple[str | None, str | None]:
        """Return the scheme and token that requests carry now; None where they carry none."""
        header = (await self._credentials()).get("authorization", "")
        scheme, _, token = header.partition(" ")
        return (scheme or None, token or None)

    async def close(self) -> None:
        """Close all connections."""
        await self._rest.close()
        await asyncio.sleep(0)  # lets TLS transports say goodbye

    async def _credentials(self) -> dict[str, str]:
        auth: Mapping[str, Mapping[str, Any]] = await self.configuration.auth_settings()
        return {entry["key"]: entry["value"] for entry in auth.values() if entry["value"]}


async def connect(kubeconfig: Path | None, *, user_agent: str) -> Connection:
    """Return a connection as the kubeconfig says, or, without one, as the pod's service account.

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


def _as_yaml(body: Manifest) -> str:
    """Return JSON that is YAML too: no surrogates, and no character that YAML reads otherwise."""
    text = json.dumps(body, ensure_ascii=False)
    return NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdigit() else None
