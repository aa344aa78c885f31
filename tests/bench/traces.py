"""``python -m tests.bench.traces [--quick]``: what traces cost a router and a Triton.

Routers that trace nothing, some requests, and all, by turns, before one model that answers at once;
then Tritons with and without traces. Processor time says more than a latency does: it is the same
on a busy machine.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from slipway.render.traces import ServerTraces

from tests.bench.apiserver import cpu_seconds
from tests.bench.table import Figure, format_table
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.contract.traces.collector import Collector
from tests.contract.triton import models
from tests.contract.triton.server import a_server, a_traced_server, running
from tests.unit.agent.fake_api import FakeApi

ROUTER, SERVER = "router", "Triton"
OK = 200
INFER = "/v2/models/digits/infer"
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
TRACED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn's subject."""

    name: str
    url: str
    pid: int
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one turn: of a request, in microseconds."""

    processor: float
    median: float


async def measure(turns: int, requests: int, scratch: Path) -> list[Figure]:
    """Return what each costs; the first of its kind traces nothing."""
    async with AsyncExitStack() as stack:
        collector = Collector(keeps=False)
        await collector.start()
        stack.push_async_callback(collector.stop)
        routers = await _start_routers(stack, collector, scratch)
        found = await _by_turns(routers, turns, requests)
    async with AsyncExitStack() as stack:
        collector = Collector(keeps=False)
        await collector.start()
        stack.push_async_callback(collector.stop)
        servers = await _start_servers(stack, collector, scratch)
        found |= await _by_turns(servers, turns, requests // 2)

    return [*_compare(found, ROUTER), *_compare(found, SERVER)]


def _compare(found: dict[str, list[Cost]], kind: str) -> Iterator[Figure]:
    """Yield what one kind costs, and how many times the one that traces nothing, turn by turn."""
    plain = found[kind]
    for name, costs in found.items():
        if not name.startswith(kind):
            continue
        yield Figure(f"{name}: processor", statistics.median(c.processor for c in costs), "µs")
        yield Figure(f"{name}: p50", statistics.median(c.median for c in costs), "µs")
        if costs is not plain:
            pairs = list(zip(costs, plain, strict=True))
            processor = statistics.median(one.processor / other.processor for one, other in pairs)
            latency = statistics.median(one.median / other.median for one, other in pairs)
            yield Figure(f"{name}: processor, beside none", processor, "x")
            yield Figure(f"{name}: p50, beside none", latency, "x")


async def _by_turns(subjects: list[Asked], turns: int, requests: int) -> dict[str, list[Cost]]:
    found: dict[str, list[Cost]] = {}
    for _ in range(turns):
        for asked in subjects:
            found.setdefault(asked.name, []).append(await _turn(asked, requests))
    return found


async def _start_routers(stack: AsyncExitStack, collector: Collector, scratch: Path) -> list[Asked]:
    model = Model(STABLE)
    await model.start()
    stack.push_async_callback(model.stop)
    found: list[Asked] = []
    for name, url, percent in (
        (ROUTER, "", 0),
        (f"{ROUTER}, 1% traced", collector.url, 1),
        (f"{ROUTER}, all traced", collector.url, 100),
    ):
        api = FakeApi()
        await api.start()
        stack.push_async_callback(api.stop)
        directory = scratch / f"router-{len(found)}"
        directory.mkdir()
        router = Router(directory, api, collector=url, sampling_percent=percent)
        stack.callback(router.stop)
        router.serve(model)
        router.ask({STABLE: 100, CANDIDATE: 0})
        await router.start()
        assert router.proxy is not None
        found.append(Asked(name, router.url, router.proxy.pid))
    return found


async def _start_servers(stack: AsyncExitStack, collector: Collector, scratch: Path) -> list[Asked]:
    traced = ServerTraces(
        endpoint=collector.url, model="digits", namespace="vision", revision=STABLE, version="1"
    )
    body = json.dumps({"inputs": [PIXELS]})
    found: list[Asked] = []
    for name, told in ((SERVER, None), (f"{SERVER}, traces on", traced)):
        place = scratch / f"triton-{len(found)}"
        repository, files = place / "models", place / "scratch"
        models.add_classifier(repository)
        files.mkdir()
        spec = a_traced_server("digits", told) if told else a_server("digits")
        server = stack.enter_context(running(spec, repository, files))
        await asyncio.to_thread(server.wait_ready)
        found.append(Asked(name, f"http://{server.http}", server.process.pid, body))
    last = found[-1]
    headers = tuple(TRACED.items())
    return [*found, Asked(f"{SERVER}, all traced", last.url, last.pid, body, headers)]


async def _turn(asked: Asked, requests: int) -> Cost:
    async with aiohttp.ClientSession(headers=dict(asked.headers)) as session:
        await _send(asked, session, requests // 10)
        before = cpu_seconds(asked.pid)
        times = await _send(asked, session, requests)
        spent = cpu_seconds(asked.pid) - before
    return Cost(spent / requests * 1e6, statistics.median(times) * 1e6)


async def _send(asked: Asked, session: aiohttp.ClientSession, requests: int) -> list[float]:
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        async with session.post(asked.url + INFER, data=asked.body) as answer:
            await answer.read()
            if answer.status != OK:
                raise AssertionError(f"status {answer.status}, expected {OK}")
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one turn of a thousand requests")
    turns, requests = (1, 1000) if parser.parse_args().quick else (20, 1500)
    with tempfile.TemporaryDirectory() as scratch:
        figures = asyncio.run(measure(turns, requests, Path(scratch)))
    sys.stdout.write("\n".join(format_table(figures)) + "\n")


if __name__ == "__main__":
    main()
