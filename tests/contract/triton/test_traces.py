"""A real Triton with traces on, and a collector that is no good."""

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
from tests.contract.triton.server import Running, a_server, running

TRACED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
MANY, CLIENTS = 2000, 4
"""Requests, of three spans each: more than Triton keeps for a batch."""
MOST_SECONDS = 2.0
"""Of a request, on a busy machine."""


async def ask_many(server: Running) -> float:
    """Return the seconds of the slowest of many traced requests, all of which were answered."""
    body = json.dumps({"inputs": [PIXELS]})
    slowest, left = 0.0, iter(range(MANY))
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
            await asyncio.gather(*(client() for _ in range(CLIENTS)))
        except aiohttp.ClientError as error:
            ended = server.process.poll()
            raise AssertionError(f"{error!r}, ended {ended}:\n{server.output()}") from error
    return slowest


@pytest.mark.parametrize("trouble", ["gone", "refuses", "hangs"])
async def test_a_collector_that_is_no_good_holds_up_neither_a_request_nor_the_end(
    tmp_path: Path, trouble: str
) -> None:
    collector = Collector(hangs=trouble == "hangs", status=503 if trouble == "refuses" else 200)
    if trouble != "gone":
        await collector.start()
    repository, scratch = tmp_path / "models", tmp_path / "scratch"
    models.add_classifier(repository)
    scratch.mkdir()
    traced = ServerTraces(
        endpoint=collector.url, model="digits", namespace="vision", revision="a", version="1"
    )

    with running(a_server("digits", traced=traced), repository, scratch) as server:
        await asyncio.to_thread(server.wait_ready)
        assert await ask_many(server) < MOST_SECONDS
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.wait_ended) == 0
        assert time.monotonic() - began < UNLOAD_SECONDS
    await collector.stop()
