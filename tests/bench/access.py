"""``python -m tests.bench.access [--quick]``: what it costs a router to ask who calls.

One route of one router, which asks for nothing, for a key, for a token, and so on, by turns. The
processor time of Envoy says more than a latency does: it is the same on a busy machine.
"""

import argparse
import asyncio
import base64
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.apiserver import cpu_seconds
from tests.bench.table import Figure, format_table
from tests.contract.envoy.conftest import CANDIDATE, STABLE
from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.tokens import AUDIENCE, Issuer, hash_key
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

NAMES = 100
"""Keys in the Secret."""
ISSUER = Issuer()
OK = 200


@dataclass(frozen=True, slots=True)
class Way:
    """How a route tells callers apart, and what a caller shows."""

    name: str
    access: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one turn: of a request, in microseconds."""

    processor: float
    median: float


def ways() -> list[Way]:
    """Return what is compared; the first one asks for nothing."""
    word = base64.b64encode(b"caller-7:secret").decode()
    key, token = f"Basic {word}", f"Bearer {ISSUER.token()}"
    keys = {"apiKeys": {"secretRef": {"name": "digits-keys"}}}
    jwks = {"configMapRef": {"name": "issuer"}}
    tokens = {"jwt": [{"issuer": ISSUER.name, "audiences": [AUDIENCE], "jwks": jwks}]}
    limit = {"rateLimit": {"requestsPerSecond": 1_000_000}}
    return [
        Way("open to anybody", {}, {}),
        Way(f"a key of {NAMES}", keys, {"authorization": key}),
        Way("a token", tokens, {"authorization": token}),
        Way("a key, and a limit", {**keys, **limit}, {"authorization": key}),
        Way("open, and the log", {"log": "Requests"}, {}),
    ]


async def measure(turns: int, requests: int, scratch: Path) -> list[Figure]:
    """Return what each way costs, beside none."""
    found: dict[str, list[Cost]] = {}
    async with AsyncExitStack() as stack:
        router = await _start(stack, scratch)
        for _ in range(turns):
            for way in ways():
                found.setdefault(way.name, []).append(await _turn(router, way, requests))

    figures = []
    for name, costs in found.items():
        processor = statistics.median(each.processor for each in costs)
        median = statistics.median(each.median for each in costs)
        figures += [
            Figure(f"{name}: Envoy's processor time", processor, "µs"),
            Figure(f"{name}: a request, p50", median, "µs"),
        ]
    return figures


async def _start(stack: AsyncExitStack, scratch: Path) -> Router:
    api, model = FakeApi(), Model(STABLE)
    await api.start()
    stack.push_async_callback(api.stop)
    await model.start()
    stack.push_async_callback(model.stop)

    api.readable_secrets.add("digits-keys")
    api.readable_config_maps.add("issuer")
    hashed = {f"caller-{number}": hash_key("secret") for number in range(NAMES)}
    api.put_secret("digits-keys", hashed)
    api.put_config_map("issuer", {"jwks.json": json.dumps(ISSUER.key_set())})

    router = Router(scratch, api)
    stack.callback(router.stop)
    router.serve(model)
    router.ask({STABLE: 100, CANDIDATE: 0})
    await router.start()
    return router


async def _turn(router: Router, way: Way, requests: int) -> Cost:
    router.ask({STABLE: 100, CANDIDATE: 0}, access=dict(way.access) or None)
    async with aiohttp.ClientSession(headers=way.headers) as session:
        await _wait_until_asked(router, way, session)
        await _send(router, session, requests // 10)
        before = _processor_seconds(router)
        times = await _send(router, session, requests)
        spent = _processor_seconds(router) - before
    return Cost(spent / requests * 1e6, statistics.median(times) * 1e6)


async def _wait_until_asked(router: Router, way: Way, session: aiohttp.ClientSession) -> None:
    """Wait until the route asks as it should: of strangers, too."""

    async def holds() -> bool:
        async with aiohttp.ClientSession() as stranger:
            refused = await _status(router, stranger) != OK
        asks = way.access.keys() & {"apiKeys", "jwt"}
        return refused is bool(asks) and await _status(router, session) == OK

    await until(way.name, holds)


async def _status(router: Router, session: aiohttp.ClientSession) -> int:
    async with session.post(f"{router.url}/v2/models/digits/infer", data=b"{}") as answer:
        await answer.read()
        return answer.status


async def _send(router: Router, session: aiohttp.ClientSession, requests: int) -> list[float]:
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        status = await _status(router, session)
        times.append(time.perf_counter() - began)
        if status != OK:
            raise AssertionError(f"status {status}, expected {OK}")
    return times


def _processor_seconds(router: Router) -> float:
    if router.proxy is None:
        raise AssertionError("no Envoy runs")
    return cpu_seconds(router.proxy.pid)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one turn of a thousand requests")
    turns, requests = (1, 1000) if parser.parse_args().quick else (5, 10_000)
    with tempfile.TemporaryDirectory() as scratch:
        figures = asyncio.run(measure(turns, requests, Path(scratch)))
    sys.stdout.write("\n".join(format_table(figures)) + "\n")


if __name__ == "__main__":
    main()
