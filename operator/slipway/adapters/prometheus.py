"""Prometheus servers that the administrator configured: instant queries, read strictly.

Whatever comes back, the outcome is numbers or a reason. A body is never repeated in a status, an
event or a log: it may hold what the user who asks must not read.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from slipway.adapters import untrusted_http
from slipway.adapters.background import BackgroundRequests
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import Answer, Series
from slipway.settings import PrometheusServer

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
"""As long as for a router's counters; the next pass picks up a slower answer."""
FRESH_SECONDS = 1.0
"""Two passes within a second share one request."""
CONNECTIONS = 8
"""At a time, to one server."""
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|NaN|[+-]?Inf")
OK = 200
MALFORMED = Why(Reason.ANSWER_MALFORMED, "the answer is not a Prometheus query result")
REFUSED = frozenset({400, 422})
"""Prometheus' statuses for a query that it cannot read, or cannot answer."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


Sample = tuple[float, Annotated[str, Field(max_length=64)]]


class _Vector(_Strict):
    class Item(_Strict):
        metric: dict[str, Any]
        value: Sample

    result_type: Annotated[Literal["vector"], Field(alias="resultType")]
    result: Annotated[list[Item], FailFast()]


class _Scalar(_Strict):
    result_type: Annotated[Literal["scalar"], Field(alias="resultType")]
    result: Sample


class _Body(_Strict):
    status: Literal["success"]
    data: Annotated[_Vector | _Scalar, Field(discriminator="result_type")]


class PrometheusServers:
    """Fits `slipway.reconcile.ports.MetricSource`."""

    def __init__(self, configured: Sequence[PrometheusServer]) -> None:
        self._configured = {provider.name: provider for provider in configured}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._requests: BackgroundRequests[tuple[Answer, ...]] = BackgroundRequests(
            patience_seconds=PATIENCE_SECONDS, fresh_seconds=FRESH_SECONDS
        )

    async def ask(self, provider: str, queries: Sequence[str]) -> tuple[Answer, ...] | None:
        """Send all queries at the same moment; None while the answers are still on their way."""
        queries = tuple(queries)
        found = self._configured.get(provider)
        if found is None:
            return (Why(Reason.PROVIDER_UNKNOWN, "no such provider"),) * len(queries)
        return await self._requests.ask((provider, queries), lambda: self._ask_all(found, queries))

    async def close(self) -> None:
        """Cancel all requests and close all connections."""
        await self._requests.close()
        for session in self._sessions.values():
            await session.close()

    async def _ask_all(
        self, provider: PrometheusServer, queries: tuple[str, ...]
    ) -> tuple[Answer, ...]:
        return tuple(await asyncio.gather(*(self._ask_one(provider, text) for text in queries)))

    async def _ask_one(self, provider: PrometheusServer, query: str) -> Answer:
        seconds = provider.timeout_seconds
        try:
            # The session's own limit begins with the connection, not in the queue for one.
            async with asyncio.timeout(seconds):
                return await self._get(provider, query)
        except TimeoutError:
            return Why(Reason.PROVIDER_TIMEOUT, f"no answer within {seconds:g} s")
        except untrusted_http.TooLarge:
            limit = f"{provider.max_bytes} bytes"
            return Why(Reason.ANSWER_TOO_LARGE, f"the answer exceeds {limit}")
        except (aiohttp.ClientError, ValueError):
            return Why(Reason.PROVIDER_UNREACHABLE, "unreachable, or the connection broke")
        except OSError as error:
            return Why(Reason.PROVIDER_UNREACHABLE, f"could not be asked: {error.strerror}")
        except Exception:  # an answer must not end what the operator does
            log.exception("the answer of provider %s was not understood", provider.name)
            return Why(Reason.ANSWER_MALFORMED, "the answer cannot be understood")

    async def _get(self, provider: PrometheusServer, query: str) -> Answer:
        url = provider.url.rstrip("/") + "/api/v1/query"
        parameters = {"query": query, "timeout": f"{provider.timeout_seconds:g}s"}
        headers = _credential_headers(provider)
        session = self._session(provider)

        async with session.get(
            url, params=parameters, headers=headers, allow_redirects=False
        ) as response:
            if response.status // 100 == 3:  # noqa: PLR2004
                return Why(
                    Reason.PROVIDER_REDIRECTS, "answered with a redirect, which is not followed"
                )
            if response.status in REFUSED:
                text = f"refused the query with HTTP {response.status}: is it PromQL?"
                return Why(Reason.QUERY_REFUSED, text)
            if response.status != OK:
                return Why(Reason.PROVIDER_ERROR, f"answered HTTP {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                return Why(
                    Reason.ANSWER_MALFORMED, "the answer is compressed, which was not asked for"
                )

            body = await untrusted_http.read_capped(response, provider.max_bytes)
            return parse_answer(body, provider.max_series)

    def _session(self, provider: PrometheusServer) -> aiohttp.ClientSession:
        if provider.name not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS, ssl=untrusted_http.trusted_tls_context(provider.ca_file)
            )
            self._sessions[provider.name] = aiohttp.ClientSession(
                connector=connector,
                headers=untrusted_http.HEADERS,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[provider.name]


def _credential_headers(provider: PrometheusServer) -> Mapping[str, str]:
    if not provider.bearer_token_file:
        return {}
    return {"Authorization": f"Bearer {Path(provider.bearer_token_file).read_text().strip()}"}


def _is_labels(labels: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str) for value in labels.values())


def parse_answer(body: bytes, most: int) -> Answer:
    """Read an answer of at most `most` series."""
    try:
        found = _Body.model_validate_json(body).data
    except ValidationError:
        return MALFORMED

    items: list[tuple[Mapping[str, str], Sample]] = (
        [({}, found.result)]
        if isinstance(found, _Scalar)
        else [(item.metric, item.value) for item in found.result]
    )
    if len(items) > most:
        text = f"the answer has {len(items)} series, at most {most} are allowed"
        return Why(Reason.TOO_MANY_SERIES, text)
    if not all(_is_labels(labels) for labels, _ in items):
        return MALFORMED
    if not all(NUMBER.fullmatch(text) for _, (_, text) in items):
        return Why(Reason.NOT_A_NUMBER, "a value of the answer is not a number")
    return tuple(Series(labels, float(text)) for labels, (_, text) in items)
