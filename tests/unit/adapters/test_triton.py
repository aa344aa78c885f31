"""Metrics of Triton servers: real text, and everything that a hostile server may send instead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from slipway.adapters.triton import (
    FAILURE_METRICS,
    LOAD_METRICS,
    TritonMetrics,
    failures_of,
    load_of,
)
from slipway.api.reasons import Why
from slipway.api.triton_metrics import parse_samples
from slipway.policy.analysis.inputs import Count
from slipway.policy.scaling.signals import ServerLoad

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

LOADED = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="scaled",version="1"} 509
nv_inference_request_success{model="other",version="1"} 7
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="scaled",reason="OTHER",version="1"} 0
nv_inference_request_failure{model="scaled",reason="REJECTED",version="1"} 3
# HELP nv_inference_request_duration_us Cumulative inference request duration in microseconds
# TYPE nv_inference_request_duration_us counter
nv_inference_request_duration_us{model="scaled",version="1"} 4948733538
# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="scaled",version="1"} 4546552501
# HELP nv_inference_pending_request_count Instantaneous number of pending requests per-model.
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="scaled",version="1"} 175
"""
"""As Triton 2.51 prints it, without the metrics of the machine."""


def read_failures(body: bytes, model: str = "digits") -> Count | Why:
    samples = parse_samples(body, model, FAILURE_METRICS)
    return samples if isinstance(samples, Why) else failures_of(samples, model)


def read_load(text: str, model: str = "scaled") -> ServerLoad:
    samples = parse_samples(text.encode(), model, LOAD_METRICS)
    assert not isinstance(samples, Why)
    return load_of(samples)


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
def test_failures_are_read_or_the_reason_is_named(text: str, expected: object) -> None:
    found = read_failures(text.encode())
    assert (found.reason if isinstance(found, Why) else found) == expected


def test_an_answer_that_is_not_text_is_malformed() -> None:
    assert isinstance(read_failures(b"nv_inference_request_success{\xff"), Why)


def test_only_the_models_own_numbers_are_its_load() -> None:
    assert read_load(LOADED) == ServerLoad(
        pending=175, requests=512, request_micros=4948733538, queue_micros=4546552501
    )


def test_an_old_server_without_pending_count_does_not_report_zero() -> None:
    text = "\n".join(line for line in LOADED.splitlines() if "pending" not in line)
    assert read_load(text).pending is None


def test_a_model_without_requests_has_no_pending_count_either() -> None:
    assert read_load(LOADED, "new") == ServerLoad(None, 0, 0, 0)


@asynccontextmanager
async def serving(text: str, status: int = 200) -> AsyncIterator[tuple[TritonMetrics, str]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status, headers={"Location": "/metrics"})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    async with TestServer(application) as server:
        assert server.port is not None
        triton = TritonMetrics(port=server.port)
        try:
            yield triton, str(server.host)
        finally:
            await triton.close()


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
    async with serving(text, status) as (triton, host):
        found = await triton.read_failures(host, "digits")
    assert (found.reason if isinstance(found, Why) else found) == expected


async def test_a_load_is_read_over_the_same_port() -> None:
    async with serving(LOADED) as (triton, host):
        found = await triton.read_load(host, "scaled")

    assert found is not None
    assert found.pending == 175


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(LOADED, 500, id="an error"),
        pytest.param(LOADED, 302, id="a redirect"),
        pytest.param("#" * 2_000_000, 200, id="more than the limit"),
        pytest.param(LOADED.replace(" 175", " NaN"), 200, id="no number"),
    ],
)
async def test_what_cannot_be_trusted_is_no_load(text: str, status: int) -> None:
    async with serving(text, status) as (triton, host):
        assert await triton.read_load(host, "scaled") is None


@pytest.mark.parametrize("source", [TritonMetrics(port=1), FakeFailures()], ids=["real", "fake"])
async def test_an_absent_server_does_not_count_as_zero(
    source: TritonMetrics | FakeFailures,
) -> None:
    found = await source.read_failures("127.0.0.1", "digits")
    if isinstance(source, TritonMetrics):
        await source.close()
    assert isinstance(found, Why)
    assert found.reason == "ServerUnreachable"
