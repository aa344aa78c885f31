"""``python -m tests.bench [--quick] [latency] [burst] [idle] [edge]``: one table of figures."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import bare, burst, edge, idle, latency
from tests.bench.apiserver import ApiServer, run_api_server, wait_until_idle
from tests.bench.asked import MODELS
from tests.bench.operator import run_operator
from tests.bench.people import People, connect_people
from tests.bench.table import Figure, format_table
from tests.cluster.progress import say


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    latency: int = 200
    burst: int = 1000
    idle: tuple[int, ...] = (0, 100, 1000, 5000)
    rest_seconds: float = 60.0
    edge_seconds: float = 300.0


QUICK = Size(latency=40, burst=200, idle=(0, 100), rest_seconds=15, edge_seconds=60)
Part = Callable[[ApiServer, People, Path, Size], Awaitable[list[Figure]]]


async def _latency(server: ApiServer, users: People, place: Path, size: Size) -> list[Figure]:
    async with bare.run_bare_handler(server, users):
        least = await latency.measure_creations(users, "bare", size.latency)
    async with run_operator(server, place):
        ours = await latency.measure_creations(users, "latency", size.latency)
        changes = await latency.measure_changes(users, "latency", size.latency)
    return latency.latency_figures(least, ours, changes)


async def _burst(server: ApiServer, users: People, place: Path, size: Size) -> list[Figure]:
    number = size.burst
    async with bare.run_bare_handler(server, users) as pid:
        await _listens(users)
        two = replace(MODELS, children={"deployments": 1, "services": 1})
        least = await burst.measure_burst(users, server, pid, number, prefix="bare", asked=two)
    async with run_operator(server, place) as operator:
        ours = await burst.measure_burst(users, server, operator.pid, number, prefix="burst")
    return burst.burst_figures(least, ours)


async def _listens(users: People) -> None:
    """Wait until the operator that runs answers to a ModelDeployment."""
    await latency.measure_creations(users, "listens", 1)


async def _idle(server: ApiServer, users: People, place: Path, size: Size) -> list[Figure]:
    cluster = idle.Idle(server, users, place, rest_seconds=size.rest_seconds)
    return await cluster.measure(size.idle)


async def _edge(server: ApiServer, users: People, place: Path, size: Size) -> list[Figure]:
    return await edge.measure(server, users, place, rest_seconds=size.edge_seconds)


PARTS: dict[str, Part] = {"latency": _latency, "burst": _burst, "idle": _idle, "edge": _edge}


async def _run(names: list[str], size: Size) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        say(f"{name}: starting an API server")
        async with AsyncExitStack() as stack:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(run_api_server())
            users = await stack.enter_async_context(connect_people(server))
            await users.define()
            await asyncio.to_thread(wait_until_idle, server)
            figures += await PARTS[name](server, users, place, size)
    return figures


def main() -> int:
    """Print the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="fewer objects, less time")
    options = parser.parse_args()
    unknown = sorted({*options.parts} - {*PARTS})
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    size = QUICK if options.quick else Size()
    figures = asyncio.run(_run(options.parts or list(PARTS), size))
    say("\n" + "\n".join(format_table(figures)))
    return int(any(figure.is_met is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
