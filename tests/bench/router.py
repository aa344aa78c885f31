"""``python -m tests.bench.router [--quick]``: what the router takes, beside a bare Envoy hop.

One real Triton is asked directly, through an Envoy that does nothing but forward, and through the
router, in turns, over one connection each. Everything is on loopback and needs no cluster, so what
a cluster's network adds is not in it: `make bench-cluster` has that.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http

from tests.bench.table import Figure, format_table
from tests.contract.envoy.conftest import STABLE
from tests.contract.envoy.harness import Router, envoy_binary
from tests.contract.triton import models
from tests.contract.triton.server import Running, a_server, running
from tests.ports import free_port
from tests.unit.agent.fake_api import FakeApi
from tests.unit.agent.waiting import until

DIRECT, BARE, ROUTED = "direct", "a bare Envoy hop", "the router"
SMALL_NUMBERS = 64
LARGE_NUMBERS = 16 << 20
"""64 MiB of FP32."""
WARM_UP = 20
MOST_ADDED_MILLIS, LEAST_ANSWERS, LEAST_OF_LARGE = 0.2, 90.0, 80.0
RECEIVED = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How long is measured."""

    turns: int = 12
    requests: int = 400
    """Small ones in a turn."""
    large: int = 2
    """Large ones in a turn."""


@dataclass(slots=True)
class Way:
    """One of the ways to Triton: where it begins, and the proxy on it."""

    port: int
    proxy: int | None = None
    """Process id."""
    connection: socket.socket | None = None
    millis: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Medians of turns, by model."""
    processor_micros: list[float] = field(default_factory=list)
    """Of the proxy for one small request, by turn."""


def measure(size: Size, ways: dict[str, Way]) -> list[Figure]:
    """Ask by turns, and compare the ways with the direct one."""
    small, large = _write_request("echo", SMALL_NUMBERS), _write_request("size", LARGE_NUMBERS)
    for way in ways.values():
        way.connection = socket.create_connection(("127.0.0.1", way.port))
        way.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(WARM_UP):
            _ask(way.connection, small)
        _ask(way.connection, large)

    for turn in range(size.turns):
        for way in list(ways.values())[:: 1 if turn % 2 else -1]:
            _take_turn(way, "small", small, size.requests)
            _take_turn(way, "large", large, size.large)
    return _compare(ways)


def _take_turn(way: Way, name: str, request: bytes, count: int) -> None:
    assert way.connection is not None
    _ask(way.connection, request)
    before, times = _processor_nanos(way.proxy), []
    for _ in range(count):
        began = time.perf_counter()
        _ask(way.connection, request)
        times.append(1000 * (time.perf_counter() - began))

    way.millis[name].append(statistics.median(times))
    if name == "small":
        way.processor_micros.append((_processor_nanos(way.proxy) - before) / count / 1000)


def _compare(ways: dict[str, Way]) -> list[Figure]:
    small = {name: statistics.median(way.millis["small"]) for name, way in ways.items()}
    large = {name: statistics.median(way.millis["large"]) for name, way in ways.items()}

    figures = [Figure("direct, p50", small[DIRECT], "ms")]
    for name in (BARE, ROUTED):
        is_ours = name == ROUTED
        figures += [
            Figure(
                f"{name}, added to p50",
                small[name] - small[DIRECT],
                "ms",
                MOST_ADDED_MILLIS if is_ours else None,
            ),
            Figure(
                "  answers over one connection, of direct",
                100 * small[DIRECT] / small[name],
                "%",
                LEAST_ANSWERS if is_ours else None,
                at_least=True,
            ),
            Figure("  its processor time", statistics.median(ways[name].processor_micros), "us"),
        ]

    figures.append(Figure("direct, a body of 64 MiB", large[DIRECT], "ms"))
    for name in (BARE, ROUTED):
        bound = LEAST_OF_LARGE if name == ROUTED else None
        share = 100 * large[DIRECT] / large[name]
        figures.append(Figure(f"  through {name}, of direct", share, "%", bound, at_least=True))

    return figures


def _write_request(model: str, numbers: int) -> bytes:
    tensor = tritonclient.http.InferInput("x", [numbers], "FP32")
    tensor.set_data_from_numpy(np.arange(numbers, dtype=np.float32))
    content, length = tritonclient.http.InferenceServerClient.generate_request_body([tensor])
    head = (
        f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: digits\r\n"
        f"Inference-Header-Content-Length: {length}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + bytes(content)


def _ask(connection: socket.socket, request: bytes) -> None:
    """Send a request and read its answer; a whole HTTP client would take longer than a proxy."""
    connection.sendall(request)
    answer = connection.recv(RECEIVED)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(RECEIVED)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), answer[:500]

    left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(RECEIVED))


def _processor_nanos(pid: int | None) -> int:
    """Return what the process has used, to the nanosecond; see proc(5)."""
    if pid is None:
        return 0
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


@contextmanager
def _served(scratch: Path) -> Iterator[Running]:
    """Run a Triton that answers at once."""
    repository = scratch / "models"
    repository.mkdir()
    models.add_echo(repository)
    models.add_model(
        repository,
        "size",
        """
        max_batch_size: 0
        input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
        output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]
        """,
        """
        def execute(self, requests):
            return [pb.InferenceResponse([
                pb.Tensor("y", np.array([pb.get_input_tensor_by_name(request, "x").as_numpy().size],
                                        dtype=np.float32))
            ]) for request in requests]
        """,
    )

    with running(a_server("echo"), repository, scratch) as server:
        yield server.wait_ready()


@contextmanager
def _forwarded(scratch: Path, upstream: int) -> Iterator[Way]:
    """Run an Envoy that forwards whatever comes."""
    port, config = free_port(11_000, 19_000), scratch / "bare.json"
    config.write_text(json.dumps({"static_resources": _bare_resources(port, upstream)}))
    words = ("--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id")
    process = subprocess.Popen([envoy_binary(), "-c", str(config), *words])
    try:
        yield Way(port, process.pid)
    finally:
        process.kill()
        process.wait()


def _bare_resources(port: int, upstream: int) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{types}.http.router.v3.Router"},
    }

    route = {"match": {"prefix": "/"}, "route": {"cluster": "triton", "timeout": "0s"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bare",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [router],
    }

    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    endpoint = {"endpoint": {"address": _address(upstream)}}
    loads = {"cluster_name": "triton", "endpoints": [{"lb_endpoints": [endpoint]}]}

    return {
        "listeners": [{"name": "bare", "address": _address(port), "filter_chains": [chain]}],
        "clusters": [{"name": "triton", "type": "STATIC", "load_assignment": loads}],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def _routed(scratch: Path, server: Running) -> AsyncIterator[Way]:
    """Run a router in front of it."""
    api = FakeApi()
    await api.start()
    ports = {"http": server.ports["http"], "grpc": server.ports["grpc"]}
    api.put_endpoints(f"digits-{STABLE}", ports, ready=("127.0.0.1",))
    (scratch / "router").mkdir()
    router = Router(scratch / "router", api)
    router.ask({STABLE: 100})

    try:
        await router.start()
        await router.in_force({STABLE: 100})
        assert router.proxy is not None
        yield Way(router.port, router.proxy.pid)
    finally:
        router.stop()
        await api.stop()


async def _run(size: Size, scratch: Path) -> list[Figure]:
    with _served(scratch) as server, _forwarded(scratch, server.ports["http"]) as bare:
        await until("Envoy forwards", lambda: _is_open(bare.port))
        async with _routed(scratch, server) as routed:
            ways = {DIRECT: Way(server.ports["http"]), BARE: bare, ROUTED: routed}
            return await asyncio.to_thread(measure, size, ways)


def _is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(words: list[str]) -> int:
    """Measure, and print the table; fail where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.router", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten seconds")
    size = Size(turns=4, requests=200) if parser.parse_args(words).quick else Size()

    with tempfile.TemporaryDirectory() as scratch:
        figures = asyncio.run(_run(size, Path(scratch)))
    print("\n".join(format_table(figures)))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
