"""``python -m tests.bench.shadow [--quick]``: what a shadow of every request costs users.

Two routes of one router lead to the same Triton; the requests of one are copied. Turns alternate,
so that both see the same machine.
"""

import argparse
import asyncio
import io
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import tritonclient.http

from tests.bench.table import Figure, format_table
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.shadowing import is_copying
from tests.contract.triton import models
from tests.contract.triton.server import a_server, running
from tests.ports import free_port
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

PLAIN, COPIED = "plain", "digits"
MOST_RATIO = 1.05
NUMBERS = 4000
"""Of a request: 16 kB."""
SLOW_SECONDS = 0.02
WARM_UP = 30


@dataclass(frozen=True, slots=True)
class Scene:
    """A model, and how it is asked."""

    model: str
    rate: float
    """Requests in a second, evenly paced."""
    numbers: int


SCENES = (Scene("echo", 20.0, NUMBERS), Scene("slow", 10.0, 3))


@dataclass(frozen=True, slots=True)
class Size:
    """How long is measured."""

    turns: int = 10
    turn_seconds: float = 3.0


@dataclass(frozen=True, slots=True)
class Body:
    """A request of the V2 protocol with binary tensors."""

    content: bytes
    headers: dict[str, str]


async def measure(size: Size, scratch: Path) -> list[Figure]:
    """Return what users see with and without copies, and what became of these."""
    figures = []
    async with AsyncExitStack() as stack:
        router = await stack.enter_async_context(_routed(scratch))
        for scene in SCENES:
            times = await _ask_by_turns(router, scene, size)
            figures += _compare(scene, times)
        page = await router.pairs()

    copies, offered = page.copies[0], page.offered[COPIED]
    figures += [
        Figure("requests chosen for copying", offered, ""),
        Figure("  of those made a pair", copies.taken - copies.dropped.total, ""),
        Figure("  of those dropped", offered - copies.taken + copies.dropped.total, ""),
    ]
    return figures


@asynccontextmanager
async def _routed(scratch: Path) -> AsyncIterator[Router]:
    """Run two Tritons behind a router that has two routes."""
    with ExitStack() as servers:
        api = FakeApi()
        await api.start()
        for revision in (STABLE, CANDIDATE):
            place = scratch / revision
            (place / "models").mkdir(parents=True)
            models.add_echo(place / "models")
            models.add_slow(place / "models", seconds=SLOW_SECONDS)
            server = servers.enter_context(running(a_server("echo"), place / "models", place))
            server.wait_ready()
            ports = {"http": server.ports["http"], "grpc": server.ports["grpc"]}
            api.put_endpoints(f"digits-{revision}", ports, ready=("127.0.0.1",))

        (scratch / "router").mkdir()
        router = Router(scratch / "router", api, has_comparer=True)
        weights = {STABLE: 100, CANDIDATE: 0}
        shadow = {"revision": CANDIDATE, "maxPairsPerSecond": 1000}
        api.put_route(COPIED, router.spec(weights, shadow=shadow))
        plain = {**router.spec(weights), "port": free_port(15_000, 19_000)}
        api.put_route(PLAIN, plain)
        try:
            await router.start()
            router.start_comparer(niceness=19)  # as its small share of the processor in a pod
            await until("requests are copied", lambda: is_copying(router))
            yield router
        finally:
            router.stop()
            await api.stop()


async def _ask_by_turns(router: Router, scene: Scene, size: Size) -> dict[str, list[float]]:
    """Return the times in milliseconds by route."""
    ports = {COPIED: router.port, PLAIN: router.api.objects["modelroutes", PLAIN]["spec"]["port"]}
    body = _write_body(scene)
    times: dict[str, list[float]] = {name: [] for name in ports}

    async with aiohttp.ClientSession() as session:
        for port in ports.values():
            for _ in range(WARM_UP):
                await _ask(session, port, scene, body)
        for turn in range(size.turns):
            for name in (PLAIN, COPIED) if turn % 2 else (COPIED, PLAIN):
                times[name] += await _take_turn(session, ports[name], scene, body, size)
    return times


async def _take_turn(
    session: aiohttp.ClientSession, port: int, scene: Scene, body: Body, size: Size
) -> list[float]:
    """Send at the scene's rate whatever becomes of the requests before."""
    began, sent = time.perf_counter(), []
    for number in range(int(size.turn_seconds * scene.rate)):
        await asyncio.sleep(max(0.0, began + number / scene.rate - time.perf_counter()))
        sent.append(asyncio.create_task(_ask(session, port, scene, body)))
    return list(await asyncio.gather(*sent))


async def _ask(session: aiohttp.ClientSession, port: int, scene: Scene, body: Body) -> float:
    began = time.perf_counter()
    url = f"http://127.0.0.1:{port}/v2/models/{scene.model}/infer"
    async with session.post(url, data=io.BytesIO(body.content), headers=body.headers) as answer:
        await answer.read()
        answer.raise_for_status()
    return 1000 * (time.perf_counter() - began)


def _write_body(scene: Scene) -> Body:
    tensor = tritonclient.http.InferInput("x", [scene.numbers], "FP32")
    tensor.set_data_from_numpy(np.arange(scene.numbers, dtype=np.float32))
    content, length = tritonclient.http.InferenceServerClient.generate_request_body([tensor])
    return Body(content, {"Inference-Header-Content-Length": str(length)})


def _compare(scene: Scene, times: dict[str, list[float]]) -> list[Figure]:
    of = f"{scene.model} at {scene.rate:g}/s"
    figures = []
    for percent in (50, 99):
        without, copied = (float(np.percentile(times[name], percent)) for name in (PLAIN, COPIED))
        target = MOST_RATIO if percent == 99 else None
        figures += [
            Figure(f"{of}, p{percent} without copies", without, "ms"),
            Figure(f"{of}, p{percent} with a copy of each", copied, "ms"),
            Figure(f"{of}, p{percent} with : without", copied / without, "x", target),
        ]
    return figures


def main(words: list[str]) -> int:
    """Measure, and print the table; fail where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shadow", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute")
    size = Size(turns=4) if parser.parse_args(words).quick else Size()

    with tempfile.TemporaryDirectory() as scratch:
        figures = asyncio.run(measure(size, Path(scratch)))
    print("\n".join(format_table(figures)))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
