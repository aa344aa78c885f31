"""Counters of Triton servers: real text, and everything a hostile server may say instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slipway.adapters.triton import TritonFailures, parse
from slipway.api.reasons import Why
from slipway.policy.analysis.inputs import Count

from tests.fakes.sources import FakeFailures

REAL = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="digits",version="1"} 95
nv_inference_request_success{model="other",version="1"} 7
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="digits",reason="REJECTED",version="1"} 1
nv_inference_request_failure{model="digits",reason="CANCELED",version="1"} 40
nv_inference_request_failure{model="digits",reason="BACKEND",version="1"} 3
nv_inference_request_failure{model="digits",reason="OTHER",version="1"} 1
nv_inference_request_failure{model="other",reason="BACKEND",version="1"} 9
# HELP nv_inference_count Number of inferences performed
# TYPE nv_inference_count counter
nv_inference_count{model="digits",version="1"} 95
nv_inference_request_summary_us{model="digits",version="1",quantile="0.5"} Nan
"""
OLD = """\
nv_inference_request_success{model="digits",version="1"} 8
nv_inference_request_failure{model="digits",version="1"} 2
"""


def replaced(value: str) -> str:
    return REAL.replace(" 95", f" {value}", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(REAL, Count(100, 5), id="a server of today"),
        pytest.param(OLD, Count(10, 2), id="failures without reasons"),
        pytest.param("", "SeriesMissing", id="nothing"),
        pytest.param(REAL.replace("digits", "x"), "SeriesMissing", id="another model"),
        pytest.param(replaced("NaN"), "NotANumber", id="NaN"),
        pytest.param(replaced("+Inf"), "NotANumber", id="infinity"),
        pytest.param(replaced("-1"), "NotANumber", id="a negative counter"),
        pytest.param(replaced("many"), "AnswerMalformed", id="words"),
        pytest.param(replaced(""), "AnswerMalformed", id="no value"),
        pytest.param(REAL.replace('"}', "", 1), "AnswerMalformed", id="an open label"),
    ],
)
def test_what_a_server_exposes(text: str, expected: object) -> None:
    found = parse(text.encode(), "digits")
    assert (found.reason if isinstance(found, Why) else found) == expected


def test_what_is_no_text_is_malformed() -> None:
    assert isinstance(parse(b"nv_inference_request_success{\xff", "digits"), Why)


@asynccontextmanager
async def serving(text: str, status: int = 200) -> AsyncIterator[tuple[TritonFailures, str]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status, headers={"Location": "/metrics"})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    async with TestServer(application) as server:
        assert server.port is not None
        counters = TritonFailures(port=server.port)
        try:
            yield counters, str(server.host)
        finally:
            await counters.close()


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        (REAL, 200, Count(100, 5)),
        (REAL, 500, "ServerError"),
        (REAL, 302, "ServerError"),
        ("#" * 2_000_000, 200, "AnswerTooLarge"),
    ],
)
async def test_a_server_is_read_over_its_metrics_port(
    text: str, status: int, expected: object
) -> None:
    async with serving(text, status) as (counters, host):
        found = await counters.read(host, "digits")
    assert (found.reason if isinstance(found, Why) else found) == expected


@pytest.mark.parametrize("source", [TritonFailures(port=1), FakeFailures()], ids=["real", "fake"])
async def test_a_server_that_is_away_is_no_zero(source: TritonFailures | FakeFailures) -> None:
    found = await source.read("127.0.0.1", "digits")
    if isinstance(source, TritonFailures):
        await source.close()
    assert isinstance(found, Why)
    assert found.reason == "ServerUnreachable"
