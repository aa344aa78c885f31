"""What Slipway takes on one small node at rest: operator, agent and Envoy, with its profile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from slipway.api.kinds import MODEL_DEPLOYMENT

from tests.bench.apiserver import ApiServer, cpu_seconds
from tests.bench.latency import is_promoted
from tests.bench.operator import run_operator
from tests.bench.people import People
from tests.bench.standin import run_stand_in
from tests.bench.table import Figure
from tests.bench.writes import WriteLog
from tests.cluster.progress import say
from tests.contract.envoy.harness import Router
from tests.contract.envoy.model import Model
from tests.install.helm import CHART
from tests.unit.agent.fake_api import FakeApi

MODELS = 3
NAMESPACE = "edge"
SETTLE_SECONDS = 20.0
MOST_SECONDS = 300.0
MOST_MEMORY, MOST_SHARE = 150.0, 1.0
"""MiB together, and percent of a core."""
STABLE = "aaaaaaaa"


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in MiB."""

    resident: float
    """With pages of files, which processes share and the kernel drops when it needs room."""
    own: float
    """Without pages of files: what a node without swap cannot do without."""


def read_memory(pid: int) -> Memory:
    """Return what a process has now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines}
    return Memory(sizes["Rss:"], sizes["Anonymous:"])


def read_profile() -> dict[str, Any]:
    """Return the operator's settings of the edge profile."""
    values = yaml.safe_load((CHART / "values-edge.yaml").read_text())
    return {name: values[name] for name in ("lease", "workers")}


async def measure(
    server: ApiServer, people: People, place: Path, *, rest_seconds: float
) -> list[Figure]:
    """Let three models serve, and look at everything at rest."""
    log = WriteLog(server.audit_log, with_lease=True)
    await people.namespace(NAMESPACE)
    async with AsyncExitStack() as stack:
        run = run_operator(server, place, **read_profile())
        operator = await stack.enter_async_context(run)
        await _fill(people)
        await log.until_quiet(SETTLE_SECONDS, MOST_SECONDS)
        router = await stack.enter_async_context(_run_router(place))
        assert router.agent is not None
        assert router.proxy is not None
        pids = {"operator": operator.pid, "agent": router.agent.pid, "Envoy": router.proxy.pid}
        await asyncio.sleep(SETTLE_SECONDS)

        log.new()
        used = {name: cpu_seconds(pid) for name, pid in pids.items()}
        await asyncio.sleep(rest_seconds)
        shares = {
            name: 100 * (cpu_seconds(pid) - used[name]) / rest_seconds for name, pid in pids.items()
        }
        memory = {name: read_memory(pid) for name, pid in pids.items()}
        writes = log.new()

    say(f"  {MODELS} models at rest for {rest_seconds:.0f} s")
    return [
        *_memory_figures(memory),
        *(Figure(f"processor, {name}, of a core", share, "%") for name, share in shares.items()),
        Figure("  together", sum(shares.values()), "%", MOST_SHARE),
        Figure(f"writes in {rest_seconds:.0f} s, the Lease included", len(writes), "", 0),
    ]


def _memory_figures(memory: dict[str, Memory]) -> list[Figure]:
    own = sum(each.own for each in memory.values())
    resident = sum(each.resident for each in memory.values())
    return [
        *(Figure(f"memory of its own, {name}", each.own, "MiB") for name, each in memory.items()),
        Figure("  together", own, "MiB", MOST_MEMORY),
        *(Figure(f"resident, {name}", each.resident, "MiB") for name, each in memory.items()),
        Figure("  together", resident, "MiB"),
    ]


async def _fill(people: People) -> None:
    waiting = {f"model-{number}" for number in range(MODELS)}
    async with run_stand_in(people), asyncio.timeout(MOST_SECONDS):
        await people.create_all([(NAMESPACE, name) for name in sorted(waiting)])
        async for found in promoted(people):
            waiting.discard(found)
            if not waiting:
                return


async def promoted(people: People) -> AsyncIterator[str]:
    """Yield the name of each model that serves."""
    async for _, found in people.watch(MODEL_DEPLOYMENT):
        if is_promoted(found):
            yield str(found["metadata"]["name"])


@asynccontextmanager
async def _run_router(place: Path) -> AsyncIterator[Router]:
    """Run a router pod's two processes, before a model that nobody asks."""
    api, model = FakeApi(), Model(STABLE)
    await api.start()
    await model.start()
    (place / "router").mkdir()
    try:
        async with Router(place / "router", api).before(model) as router:
            yield router
    finally:
        await model.stop()
        await api.stop()
