"""The operator as processes that a test starts, and a wire to the API server that it can cut."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.ports import free_port

LEASE = {"durationSeconds": 5.5, "renewSeconds": 0.5, "writeWindowSeconds": 2}
START_SECONDS = 120
REACT_SECONDS = 90


@dataclass
class Wire:
    """A TCP proxy to the API server, which the test can cut."""

    host: str
    port: int
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    is_cut: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self.tasks.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            await _shut(writer)
            return
        upstream_reader, upstream = await asyncio.open_connection(self.host, self.port)
        self.writers |= {writer, upstream}
        if self.is_cut:
            self.cut()
        await asyncio.gather(self._pump(reader, upstream), self._pump(upstream_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            self.writers.discard(writer)
            await _shut(writer)

    def cut(self) -> None:
        self.is_cut = True
        for writer in list(self.writers):
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def close(self) -> None:
        """End every connection, and see it closed: the next test pays for what is left open."""
        self.cut()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _shut(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@dataclass
class Replica:
    """One operator process."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def metric(self, name: str) -> float | None:
        for line in (await self.get("metrics")).splitlines():
            if line.startswith(f"slipway_{name} "):
                return float(line.split()[1])
        return None

    async def get(self, path: str) -> str:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}/{path}") as answer,
            ):
                return await answer.text()
        except aiohttp.ClientError:
            return ""

    async def until(self, name: str, value: float, seconds: float = REACT_SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                while await self.metric(name) != value:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{name} is not {value}; log:\n{self.log.read_text()[-4000:]}")

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), REACT_SECONDS)


class Office:
    """Starts replicas, and ends them all."""

    def __init__(self, path: Path, namespace: str, **further: object) -> None:
        """`further` are settings beside those that every operator needs."""
        self._path = path
        self._replicas: list[Replica] = []
        settings = {
            "namespace": namespace,
            "watchNamespaces": [namespace],
            "lease": LEASE,
            "operatorImage": "registry.example/operator",
            "router": {"envoyImage": "registry.example/envoy"},
            **further,
        }
        (path / "settings.yaml").write_text(yaml.safe_dump(settings))

    async def start(self, name: str, kubeconfig: Path) -> Replica:
        log = self._path / f"{name}.log"
        port = free_port()

        with log.open("w") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "slipway", "manager"),
                *("--settings", str(self._path / "settings.yaml")),
                *("--kubeconfig", str(kubeconfig)),
                *("--port", str(port)),
                env={**os.environ, "POD_NAME": name},
                stderr=stderr,
            )

        replica = Replica(process, port, log)
        self._replicas.append(replica)

        async with asyncio.timeout(START_SECONDS):
            while await replica.get("readyz") != "ok\n":  # noqa: ASYNC110
                await asyncio.sleep(0.1)

        return replica

    async def close(self) -> None:
        for replica in self._replicas:
            if replica.process.returncode is None:
                replica.process.kill()
                await replica.process.wait()
