"""Every answer that a Prometheus server may give, over a real connection, and its outcome."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slipway.adapters.prometheus import PrometheusServers
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import (
    Answer,
    Series,
    counters_by_bin,
    counters_by_labels,
    single_number,
)
from slipway.reconcile.ports import MetricSource
from slipway.settings import PrometheusServer

from tests.fakes.sources import FakePrometheus, a_number

WORDS = "hunter2-in-the-body"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Reader = Callable[[Answer], object]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[PrometheusServers]:
    application = web.Application()
    application.router.add_get("/api/v1/query", handler)
    application.router.add_get("/elsewhere", _must_not_be_asked)
    async with TestServer(application) as server:
        url = str(server.make_url("")).rstrip("/")
        servers = PrometheusServers([PrometheusServer(name="main", url=url, **options)])
        try:
            yield servers
        finally:
            await servers.close()


async def _must_not_be_asked(_: web.Request) -> web.Response:
    raise AssertionError("a redirect was followed")


async def ask(servers: MetricSource, *queries: str, provider: str = "main") -> list[Answer]:
    """Ask until the answers are there, as passes do."""
    for _ in range(60):
        answers = await servers.ask(provider, queries)
        if answers is not None:
            return list(answers)
    raise AssertionError("no answer")


def says(body: object, **options: Any) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, content_type="application/json", **options)

    return answer


def vector(*values: object, label: str = "class") -> dict[str, object]:
    result = [
        {"metric": {label: str(n)}, "value": [1763712000.123, value]}
        for n, value in enumerate(values)
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def shaped(kind: str, result: object) -> dict[str, object]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


async def redirects(_: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def ten_megabytes(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        for _ in range(160):
            await response.write(b" " * 65_536)
    except ConnectionError:
        pass  # it went away, as it should
    return response


async def says_how_long(_: web.Request) -> web.Response:
    return web.Response(body=b" " * 2_000_000)


async def slow(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(100):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


async def breaks_off(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def compressed(_: web.Request) -> web.Response:
    response = web.Response(text=json.dumps(vector("1")))
    response.headers["Content-Encoding"] = "gzip"
    return response


def counter(answer: Answer) -> object:
    return counters_by_labels(answer, 16)


def bins(answer: Answer) -> object:
    return counters_by_bin(answer, "class", 3)


@pytest.mark.parametrize(
    ("handler", "read", "expected"),
    [
        pytest.param(says(vector("0.25")), single_number, 0.25, id="one series"),
        pytest.param(
            says(vector("-3e2")), single_number, -300.0, id="a plain value may be negative"
        ),
        pytest.param(says(shaped("scalar", [1, "7"])), single_number, 7.0, id="a scalar"),
        pytest.param(says(vector("4", "0")), bins, {"0": 4.0, "1": 0.0}, id="bins"),
        pytest.param(says(vector("NaN")), single_number, "NotANumber", id="NaN"),
        pytest.param(says(vector("+Inf")), single_number, "NotANumber", id="infinity"),
        pytest.param(says(vector("-Inf")), counter, "NotANumber", id="minus infinity"),
        pytest.param(says(vector("a lot")), single_number, "NotANumber", id="words"),
        pytest.param(
            says(vector("1_000")), single_number, "NotANumber", id="what only Python reads"
        ),
        pytest.param(says(vector("0x10")), single_number, "NotANumber", id="hexadecimal"),
        pytest.param(says(vector("1e999")), single_number, "NotANumber", id="beyond floats"),
        pytest.param(
            says(vector(17)), single_number, "AnswerMalformed", id="a number for a string"
        ),
        pytest.param(says(vector(None)), single_number, "AnswerMalformed", id="null"),
        pytest.param(
            says(shaped("string", [1, "7"])), single_number, "AnswerMalformed", id="a string"
        ),
        pytest.param(says(shaped("matrix", [])), single_number, "AnswerMalformed", id="a range"),
        pytest.param(says(vector()), single_number, "SeriesMissing", id="nothing"),
        pytest.param(says(vector("1", "2")), single_number, "TooManySeries", id="several series"),
        pytest.param(says(vector(*"1234")), bins, "TooManySeries", id="more bins than may be"),
        pytest.param(says(vector(*["1"] * 101)), bins, "TooManySeries", id="a flood of series"),
        pytest.param(says(vector("1", label="x")), bins, "LabelMissing", id="no such label"),
        pytest.param(says(vector("-1")), counter, "NegativeCounter", id="a negative counter"),
        pytest.param(says(vector("5", "-1")), bins, "NegativeCounter", id="a negative bin"),
        pytest.param(
            says({"status": "error"}), single_number, "AnswerMalformed", id="error with HTTP 200"
        ),
        pytest.param(says("[]"), single_number, "AnswerMalformed", id="wrong JSON"),
        pytest.param(says("<html>"), single_number, "AnswerMalformed", id="no JSON"),
        pytest.param(says(""), single_number, "AnswerMalformed", id="an empty body"),
        pytest.param(says("[" * 100_000), single_number, "AnswerMalformed", id="deep JSON"),
        pytest.param(says({}, status=400), single_number, "QueryRefused", id="no PromQL"),
        pytest.param(says({}, status=422), single_number, "QueryRefused", id="PromQL that fails"),
        pytest.param(says(vector("1"), status=500), single_number, "ProviderError", id="HTTP 500"),
        pytest.param(says(vector("1"), status=401), single_number, "ProviderError", id="HTTP 401"),
        pytest.param(says(vector("1"), status=204), single_number, "ProviderError", id="HTTP 204"),
        pytest.param(redirects, single_number, "ProviderRedirects", id="a redirect"),
        pytest.param(ten_megabytes, single_number, "AnswerTooLarge", id="10 MB"),
        pytest.param(says_how_long, single_number, "AnswerTooLarge", id="2 MB, announced"),
        pytest.param(slow, single_number, "ProviderTimeout", id="no answer in time"),
        pytest.param(drips, single_number, "ProviderTimeout", id="byte by byte"),
        pytest.param(
            breaks_off, single_number, "ProviderUnreachable", id="a connection that breaks"
        ),
        pytest.param(compressed, single_number, "AnswerMalformed", id="compressed, unasked"),
    ],
)
async def test_every_answer_has_its_outcome(
    handler: Handler, read: Reader, expected: object
) -> None:
    seconds = 0.3 if expected == "ProviderTimeout" else 30
    async with serving(handler, timeout_seconds=seconds) as servers:
        [answer] = await ask(servers, "up")
    found = read(answer)
    assert (found.reason if isinstance(found, Why) else found) == expected


async def test_an_absent_server_is_unreachable() -> None:
    servers = PrometheusServers([PrometheusServer(name="main", url="http://127.0.0.1:1")])
    [answer] = await ask(servers, "up")
    await servers.close()
    assert isinstance(answer, Why)
    assert answer.reason == "ProviderUnreachable"


async def test_a_provider_that_is_not_configured_is_not_asked() -> None:
    servers = PrometheusServers([])
    assert (
        await ask(servers, "a", "b", provider="other")
        == [Why(Reason.PROVIDER_UNKNOWN, "no such provider")] * 2
    )

    await servers.close()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_is_never_repeated(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    handler = says({"status": "error", "error": WORDS}, status=status, reason=WORDS)
    async with serving(handler) as servers:
        [answer] = await ask(servers, "up")

    assert isinstance(answer, Why)
    assert WORDS not in answer.message
    assert WORDS not in caplog.text.replace(f'"GET /api/v1/query?query=up" {status}', "")


async def test_queries_carry_the_token_of_their_provider(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        seen.append((query["query"], query["timeout"], request.headers["Authorization"]))
        return web.json_response(vector(str(len(query["query"]))))

    token = tmp_path / "token"
    token.write_text("first\n")
    async with serving(answer, bearer_token_file=str(token)) as servers:
        assert await ask(servers, "a", "bb") == [
            (Series({"class": "0"}, 1.0),),
            (Series({"class": "0"}, 2.0),),
        ]
        token.write_text("second\n")
        await ask(servers, "ccc")
    assert sorted(seen) == [
        ("a", "5s", "Bearer first"),
        ("bb", "5s", "Bearer first"),
        ("ccc", "5s", "Bearer second"),
    ]


async def test_a_missing_token_file_is_reported_without_its_name(tmp_path: Path) -> None:
    async with serving(says(vector("1")), bearer_token_file=str(tmp_path / "none")) as servers:
        [answer] = await ask(servers, "up")
    assert answer == Why(
        Reason.PROVIDER_UNREACHABLE, "could not be asked: No such file or directory"
    )


async def test_the_same_queries_are_not_sent_twice_at_a_time() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        return web.json_response(vector("1"))

    async with serving(answer) as servers:
        await asyncio.gather(*(ask(servers, "up") for _ in range(5)))
        await ask(servers, "up")
    assert asked == ["up"]


@pytest.fixture(params=["real", "fake"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[MetricSource]:
    """Both kinds of source; they know `a` and `b`, and nothing else."""
    if request.param == "fake":
        yield FakePrometheus({"a": a_number(1.0), "b": a_number(2.0)})
        return

    async def answer(asked: web.Request) -> web.Response:
        values = {"a": ["1"], "b": ["2"]}.get(asked.query["query"], [])
        found = vector(*values)
        for item in found["data"]["result"]:  # type: ignore[index]
            item["metric"] = {}
        return web.json_response(found)

    async with serving(answer) as real:
        yield real


async def test_answers_come_in_the_order_of_the_queries(source: MetricSource) -> None:
    assert await ask(source, "b", "nobody knows", "a") == [a_number(2.0), (), a_number(1.0)]
