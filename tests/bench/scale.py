"""Thousands of ModelDeployments at rest: ``python -m tests.bench.scale [--count N] [--keep DIR]``.

The operator makes the first fifty of them, with the stand-in of the other parts; the others are
copies (`tests.bench.copies`). Then it is started anew beside all of them, ended and started again.
`--keep` names a folder of etcds, which a later run finds again: it only measures starts.
"""

import argparse
import asyncio
import math
import os
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.apiserver import ApiServer, run_api_server, wait_until_idle
from tests.bench.copies import FLAGS, copy_namespace
from tests.bench.idle import MOST_SECONDS, SETTLE_SECONDS, until_promoted
from tests.bench.operator import Operator, run_operator, starting_operator
from tests.bench.people import People, connect_people
from tests.bench.standin import run_stand_in
from tests.bench.table import Figure, format_table
from tests.bench.writes import WriteLog, count_by_resource
from tests.cluster.progress import say

PER_NAMESPACE = 50
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/slipway-operator"
LEADING_SECONDS = 600.0
LOOK_SECONDS = 0.1
PASSES_LOOK_SECONDS = 2.0
"""Between two looks at how many passes are due: a look takes processor time of the operator."""
MEMORY_MIB = {5000: 300.0}
START_SECONDS = {5000: 20.0}
REST_PERCENT = {5000: 0.5}


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the operator beside objects at rest."""

    filled: float
    """Seconds from the start of the process until the cache was filled."""
    leading: float
    """Until it led."""
    passes: float
    """Until every object had its first pass."""
    cpu_leading: float
    """Processor time of the operator until it led, in seconds."""
    cpu_passes: float
    cpu_server: float
    """That of API server and etcd until the last first pass."""
    peak: float
    """Most resident memory until then, in MiB."""
    rest: float
    """Resident memory at rest, in MiB."""
    share: float
    """Of a core, at rest."""
    writes: int
    """From the start until the end of the rest."""


async def make(data: Path, count: int) -> None:
    """Fill an etcd with so many objects at rest."""
    with run_api_server(data, flags=FLAGS, bodies=True) as server:
        async with connect_people(server) as people:
            await people.define()
            await asyncio.to_thread(wait_until_idle, server)
            await _make_first(server, people, data.parent)
            spaces = [_space(n) for n in range(1, math.ceil(count / PER_NAMESPACE))]
            began = time.monotonic()
            await copy_namespace(server, _space(0), spaces)
            say(f"  {len(spaces)} copies in {time.monotonic() - began:.0f} s")


async def _make_first(server: ApiServer, people: People, place: Path) -> None:
    await people.namespace(_space(0))
    log = WriteLog(server.audit_log)
    async with run_operator(server, place), run_stand_in(people):
        promoted = asyncio.create_task(until_promoted(people, PER_NAMESPACE))
        await people.create_all((_space(0), f"model-{n}") for n in range(PER_NAMESPACE))
        async with asyncio.timeout(MOST_SECONDS):
            await promoted
        await log.until_quiet(SETTLE_SECONDS, MOST_SECONDS)


def _space(number: int) -> str:
    return f"full-{number:05}"


async def measure_start(
    server: ApiServer, people: People, place: Path, rest_seconds: float
) -> Start:
    """Start the operator, and watch it until it is at rest."""
    log = WriteLog(server.audit_log)
    log.new()
    served, began = server.cpu_seconds(), time.monotonic()
    async with starting_operator(server, place) as operator:
        async with asyncio.timeout(LEADING_SECONDS):
            while not await operator.is_ready():
                operator.require_running()
                await asyncio.sleep(LOOK_SECONDS)
            filled = time.monotonic() - began
            while not await _is_led(people):  # noqa: ASYNC110 -- another process leads
                await asyncio.sleep(LOOK_SECONDS)
        leading, used = time.monotonic() - began, operator.cpu_seconds()
        say(f"  cache filled after {filled:.1f} s, leading after {leading:.1f} s ({used:.1f} s)")

        await _until_passed(operator)
        passes, passed = time.monotonic() - began, operator.cpu_seconds()
        served = server.cpu_seconds() - served
        say(f"  first passes after {passes:.1f} s ({passed:.1f} s)")

        await asyncio.sleep(SETTLE_SECONDS)
        rested = operator.cpu_seconds()
        await asyncio.sleep(rest_seconds)
        share = (operator.cpu_seconds() - rested) / rest_seconds
        writes = log.new()
        for what, number in count_by_resource(writes).most_common():
            say(f"    {number} writes where none was expected: {what}")
        return Start(
            filled=filled,
            leading=leading,
            passes=passes,
            cpu_leading=used,
            cpu_passes=passed,
            cpu_server=served,
            peak=operator.peak_memory(),
            rest=operator.memory()[0],
            share=share,
            writes=len(writes),
        )


async def _is_led(people: People) -> bool:
    """Return whether the Lease has a holder; one that ended in order has released it."""
    return bool((await people.get(LEASE))["spec"].get("holderIdentity"))


async def _until_passed(operator: Operator) -> None:
    """Wait until no key is ready for a pass."""
    async with asyncio.timeout(LEADING_SECONDS):
        while await operator.metric("queue_ready"):  # noqa: ASYNC110 -- of another process
            await asyncio.sleep(PASSES_LOOK_SECONDS)


def figures(count: int, start: Start) -> list[Figure]:
    """Return the rows of the table."""
    limit = MEMORY_MIB.get(count)
    return [
        Figure(f"{count:,} objects: memory at rest, RSS", start.rest, "MiB", limit),
        Figure("  the most of it since the start", start.peak, "MiB", limit),
        Figure("  start -> cache filled", start.filled, "s"),
        Figure("  start -> leading", start.leading, "s", START_SECONDS.get(count)),
        Figure("    processor time of the operator", start.cpu_leading, "s"),
        Figure("  start -> every object had a pass", start.passes, "s"),
        Figure("    processor time of the operator", start.cpu_passes, "s"),
        Figure("    processor time of API server and etcd", start.cpu_server, "s"),
        Figure("  processor at rest, of a core", 100 * start.share, "%", REST_PERCENT.get(count)),
        Figure("  writes since the start", start.writes, "", 0),
    ]


async def measure(count: int, keep: Path | None, starts: int, rest_seconds: float) -> list[Figure]:
    """Measure with so many objects; of several starts the last one counts."""
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = (keep or place) / f"etcd-{count}"
        if not data.exists():
            say(f"{count} objects: making them")
            making = data.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            await make(making, count)
            making.rename(data)

        server = stack.enter_context(run_api_server(data))
        people = await stack.enter_async_context(connect_people(server))
        await asyncio.to_thread(wait_until_idle, server)
        table: list[Figure] = []
        for number in range(starts):
            say(f"{count} objects: start {number + 1}, load {os.getloadavg()[0]:.1f}")
            start = await measure_start(server, people, place, rest_seconds)
            table = figures(count, start)
            say("\n".join(format_table(table)))
    return table


def main() -> int:
    """Print the table; 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--count", type=int, action="append", help="default: 5000 and 10000")
    parser.add_argument("--keep", type=Path, help="folder of what was made, for other runs")
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--rest", type=float, default=60.0, help="seconds")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)

    table: list[Figure] = []
    for count in options.count or (5000, 10000):
        table += asyncio.run(measure(count, options.keep, options.starts, options.rest))
    say("\n" + "\n".join(format_table(table)))
    return int(any(figure.is_met is False for figure in table))


if __name__ == "__main__":
    sys.exit(main())
