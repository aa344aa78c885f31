"""A real Triton with traces on: its spans, and a collector that is no good."""

import asyncio
import json
import signal
import time
from pathlib import Path

import aiohttp
import pytest
from slipway.render.traces import ServerTraces
from slipway.render.triton import UNLOAD_SECONDS

from tests.contract.traces.collector import Collector
from tests.contract.triton import models
from tests.contract.triton.server import Running, a_traced_server, running
from tests.unit.agent.waiting import until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = f"00-{TRACE}-{CALLER}-01"
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
FEW = 3
MANY, CLIENTS = 2000, 4
"""Requests, of three spans each: more than Triton keeps for a batch."""
SPANS = {"InferRequest", "digits", "compute"}
"""Of one request: the whole, the model, and its computing."""
MOST_SECONDS = 2.0
"""Of a request, on a busy machine."""


def told_of(collector: Collector) -> ServerTraces:
    return ServerTraces(
        endpoint=collector.url, model="digits", namespace="vision", revision="a", version="1"
    )


async def ask(server: Running, requests: int, clients: int = 1) -> float:
    """Return the seconds of the slowest of so many traced requests, all of which were answered."""
    body = json.dumps({"inputs": [PIXELS]})
    slowest, left = 0.0, iter(range(requests))
    url = f"http://{server.http}/v2/models/digits/infer"
    async with aiohttp.ClientSession(headers={"traceparent": TRACED}) as session:

        async def client() -> None:
            nonlocal slowest
            for _ in left:
                began = time.monotonic()
                async with session.post(url, data=body) as answer:
                    assert answer.status == 200, await answer.text()
                slowest = max(slowest, time.monotonic() - began)

        try:
            await asyncio.gather(*(client() for _ in range(clients)))
        except aiohttp.ClientError as error:
            ended = server.process.poll()
            raise AssertionError(f"{error!r}, ended {ended}:\n{server.output()}") from error
    return slowest


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    """A model repository, and a directory for what the server writes."""
    repository, scratch = tmp_path / "models", tmp_path / "scratch"
    models.add_classifier(repository)
    scratch.mkdir()
    return repository, scratch


async def test_the_spans_of_a_request_follow_the_callers_and_name_its_revision(
    directories: tuple[Path, Path],
) -> None:
    collector = Collector()
    await collector.start()
    with running(a_traced_server("digits", told_of(collector)), *directories) as server:
        await asyncio.to_thread(server.wait_ready)
        await ask(server, FEW)
        await until("all spans are there", lambda: len(collector.of(TRACE)) == FEW * len(SPANS))
    await collector.stop()

    assert {span.name for span in collector.spans} == SPANS
    outer = [span for span in collector.spans if span.name == "InferRequest"]
    assert {span.parent for span in outer} == {CALLER}
    assert {span.tags["slipway.revision"] for span in collector.spans} == {"a"}
    assert {span.tags["k8s.namespace.name"] for span in collector.spans} == {"vision"}


@pytest.mark.traces  # so many traced requests now and then end this Triton, with any collector
@pytest.mark.parametrize("trouble", ["gone", "refuses", "hangs"])
async def test_a_collector_that_is_no_good_holds_up_neither_a_request_nor_the_end(
    directories: tuple[Path, Path], trouble: str
) -> None:
    collector = Collector(hangs=trouble == "hangs", status=503 if trouble == "refuses" else 200)
    if trouble != "gone":
        await collector.start()

    with running(a_traced_server("digits", told_of(collector)), *directories) as server:
        await asyncio.to_thread(server.wait_ready)
        assert await ask(server, MANY, CLIENTS) < MOST_SECONDS
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait_ended) == 0
        assert time.monotonic() - began < UNLOAD_SECONDS
    await collector.stop()
