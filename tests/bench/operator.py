"""The operator as a process of its own, and what it costs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yaml

from tests.bench.apiserver import ApiServer, cpu_seconds
from tests.ports import free_port

READY_SECONDS = 180.0
STOP_SECONDS = 40.0
SETTINGS = {
    "namespace": "default",
    "operatorImage": "registry.example/operator:1",
    "router": {"envoyImage": "registry.example/envoy:1"},
}


@dataclass(frozen=True, slots=True)
class Operator:
    """A running one."""

    pid: int
    port: int
    log: Path
    process: asyncio.subprocess.Process

    def require_running(self) -> None:
        """Raise RuntimeError with the end of its log where it has ended."""
        if self.process.returncode is not None:
            raise RuntimeError(f"the operator ended: {self.log.read_text()[-2000:]}")

    def memory(self) -> tuple[float, float]:
        """Return the resident memory and the process's own share of it, in MiB."""
        return resident_memory(self.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time since its start."""
        return cpu_seconds(self.pid)

    def peak_memory(self) -> float:
        """Return the most resident memory since its start, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    async def is_ready(self) -> bool:
        """Return whether its cache is filled."""
        status, _ = await self._get("readyz")
        return status == 200

    async def metric(self, name: str) -> float:
        """Return one of its own metrics; 0 while it does not answer."""
        _, text = await self._get("metrics")
        lines = text.splitlines()
        found = [line.split()[1] for line in lines if line.startswith(f"slipway_{name} ")]
        return float(found[0]) if found else 0

    async def _get(self, page: str) -> tuple[int, str]:
        """Return status and text of one of its pages; 0 and nothing while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/{page}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""


def resident_memory(pid: int) -> tuple[float, float]:
    """Return the resident memory of a process and its own share of it, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split()[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return sizes["Rss:"] / 1024, sizes["Pss:"] / 1024


@asynccontextmanager
async def run_operator(server: ApiServer, place: Path, **more: object) -> AsyncIterator[Operator]:
    """Start the operator with these settings, wait until it leads, and end it by SIGTERM."""
    async with starting_operator(server, place, **more) as operator:
        async with asyncio.timeout(READY_SECONDS):
            while not await operator.metric("is_leader"):
                operator.require_running()
                await asyncio.sleep(0.1)
        yield operator


@asynccontextmanager
async def starting_operator(
    server: ApiServer, place: Path, **more: object
) -> AsyncIterator[Operator]:
    """Start the operator with these settings, and end it by SIGTERM."""
    settings = place / "settings.yaml"
    settings.write_text(yaml.safe_dump({**SETTINGS, **more}))
    port, log = free_port(), place / "operator.log"

    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "slipway", "manager"),
            *("--settings", str(settings)),
            *("--kubeconfig", str(server.kubeconfig)),
            *("--port", str(port)),
            env={**os.environ, "POD_NAME": "bench"},
            stderr=stderr,
        )

    try:
        yield Operator(process.pid, port, log, process)
    finally:
        await end_process(process)


async def end_process(process: asyncio.subprocess.Process) -> None:
    """End a process by SIGTERM, and by force where that does not help."""
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
