"""A router without a cluster: real Envoy, real agent, an API server and models that are fakes."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from slipway.api import pairs
from slipway.api.base import Manifest
from slipway.api.counters import PATH, Counters, RouteCounters
from slipway.api.names import HOLDING_VARIABLE, LIVE_PORT_VARIABLE
from slipway.api.pairs import Pairs
from slipway.api.shadow_orders import COMPARER_VARIABLE
from slipway.render import envoy
from slipway.render.traces import ENDPOINT_VARIABLE, PERCENT_VARIABLE

from tests.contract.envoy.agent_process import POLL_VARIABLE
from tests.contract.envoy.model import Model, bracketed
from tests.ports import free_port
from tests.unit.agent.fake_api import NAMESPACE, FakeApi
from tests.unit.agent.waiting import until

POD = "slipway-router-0"
ROOT = Path(__file__).parents[3]


def envoy_binary() -> str:
    """Return the binary that the development dependency brings."""
    found = find_spec("envoy")
    assert found is not None
    assert found.submodule_search_locations is not None
    return str(Path(next(iter(found.submodule_search_locations))) / "_bin" / "envoy")


@dataclass
class Router:
    """One router pod: an agent process, an Envoy process, and what they share."""

    directory: Path
    api: FakeApi
    port: int = field(default_factory=lambda: free_port(11_000, 19_000))
    agent_port: int = field(default_factory=lambda: free_port(20_000, 25_000))
    live_port: int = field(default_factory=lambda: free_port(25_000, 30_000))
    agent: subprocess.Popen[bytes] | None = None
    proxy: subprocess.Popen[bytes] | None = None
    comparer: subprocess.Popen[bytes] | None = None
    has_comparer: bool = False
    can_hold: bool = False
    collector: str = ""
    """Where spans go; empty: nowhere."""
    sampling_percent: float = 0
    poll_timeout: str = envoy.POLL_TIMEOUT

    async def start(self) -> None:
        """As the pod does: Envoy starts when the agent says so."""
        self.start_agent()
        await until("the agent has started", lambda: self.probe("startedz"))
        self.start_envoy()
        await until("the router is ready", lambda: self.probe("readyz"))

    def start_agent(self) -> None:
        self.agent = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.envoy.agent_process"],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}",
                "POD_NAME": POD,
                "POD_UID": "pod-uid",
                "POD_NAMESPACE": NAMESPACE,
                "XDS_DIRECTORY": str(self.directory),
                "AGENT_PORT": str(self.agent_port),
                "API_URL": self.api.url,
                COMPARER_VARIABLE: str(self.has_comparer).lower(),
                HOLDING_VARIABLE: str(self.can_hold).lower(),
                LIVE_PORT_VARIABLE: str(self.live_port),
                ENDPOINT_VARIABLE: self.collector,
                PERCENT_VARIABLE: str(self.sampling_percent),
                POLL_VARIABLE: self.poll_timeout,
            },
        )

    def start_comparer(self, *, niceness: int = 0) -> None:
        """As the container does, once the agent has written orders."""
        self.comparer = subprocess.Popen(
            ["nice", "-n", str(niceness), sys.executable, "-m", "slipway", "comparer"],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'operator'}",
                "XDS_DIRECTORY": str(self.directory),
                "LOG_LEVEL": "WARNING",
            },
        )

    def start_envoy(self) -> None:
        bootstrap = str(self.directory / envoy.BOOTSTRAP_FILE)
        with self.log.open("ab") as output:
            self.proxy = subprocess.Popen(
                [
                    envoy_binary(),
                    "-c",
                    bootstrap,
                    "--concurrency",
                    "1",
                    "--log-level",
                    "error",
                    "--use-dynamic-base-id",
                    "--drain-time-s",
                    "5",
                ],
                stdout=output,
            )

    @property
    def log(self) -> Path:
        return self.directory / "envoy.log"

    def output(self) -> list[str]:
        """Return what Envoy wrote to its standard output."""
        return self.log.read_text().splitlines()

    def kill(self, process: subprocess.Popen[bytes] | None) -> None:
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        self.kill(self.comparer)
        self.kill(self.agent)
        self.kill(self.proxy)

    async def probe(self, name: str) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.agent_port}/{name}") as answer,
            ):
                return bool(answer.status == 200)
        return False

    async def statistics(self) -> dict[str, int]:
        """Return Envoy's own counters and gauges."""
        connector = aiohttp.UnixConnector(str(self.directory / envoy.ADMIN_SOCKET))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get("http://envoy/stats?format=json") as answer,
        ):
            found = (await answer.json())["stats"]
        return {each["name"]: each["value"] for each in found if "value" in each}

    async def counters(self) -> Counters:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.agent_port}{PATH}") as answer,
        ):
            assert answer.status == 200, await answer.text()
            return Counters.model_validate_json(await answer.text())

    async def pairs(self) -> Pairs:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.agent_port}{pairs.PATH}") as answer,
        ):
            assert answer.status == 200, await answer.text()
            return Pairs.model_validate_json(await answer.text())

    async def counters_of(self, revision: str, *, pinned: bool = False) -> RouteCounters:
        found = await self.counters()
        return next(
            each for each in found.routes if (each.revision, each.pinned) == (revision, pinned)
        )

    def entry(self, route: str = "digits") -> Manifest:
        """Return what the agent last said about the route."""
        return next((each for each in self.api.proxies(route) if each["name"] == POD), {})

    @contextlib.asynccontextmanager
    async def before(self, model: Model) -> AsyncIterator["Router"]:
        """Run in front of one model, which gets everything, while the block runs."""
        everything = {model.revision: 100}
        self.serve(model)
        self.ask(everything)
        try:
            await self.start()
            await self.in_force(everything)
            yield self
        finally:
            self.stop()

    async def in_force(self, weights: dict[str, int], *, route: str = "digits") -> None:
        def holds() -> bool:
            entry = self.entry(route)
            newest: Manifest = self.api.objects["modelroutes", route]
            current: bool = entry.get("generation") == newest["metadata"]["generation"]
            return current and bool(entry["effectiveWeights"] == weights)

        await until(f"{weights} in force", holds)

    @property
    def url(self) -> str:
        return self.url_at("127.0.0.1")

    def url_at(self, host: str) -> str:
        return f"http://{bracketed(host)}:{self.port}"

    def spec(self, weights: dict[str, int], **more: Any) -> Manifest:
        """Return a ModelRoute's spec with a Service ``digits-<revision>`` for each revision."""
        minimum = more.pop("min_endpoints", 1)

        return {
            "port": self.port,
            "model": "digits",
            "backends": [
                {
                    "revision": revision,
                    "service": f"digits-{revision}",
                    "weight": weight,
                    "minEndpoints": minimum,
                }
                for revision, weight in weights.items()
            ],
            **more,
        }

    def ask(self, weights: dict[str, int], **more: Any) -> None:
        self.api.put_route("digits", self.spec(weights, **more))

    def serve(
        self,
        model: Model,
        *,
        ready: bool = True,
        terminating: bool = False,
        unready: bool = False,
    ) -> None:
        """Say in an EndpointSlice where the model's pod is.

        `unready` lists it as a pod that runs and does not serve; neither lists it not at all.
        """
        hosts = (model.host,)
        self.api.put_endpoints(
            f"digits-{model.revision}",
            {"http": model.http_port, "grpc": model.grpc_port},
            ready=hosts if ready and not unready else (),
            terminating=hosts if terminating else (),
            unready=hosts if unready else (),
            family="IPv6" if ":" in model.host else "IPv4",
            pod=f"pod-of-{model.revision}",
        )


@dataclass
class Load:
    """Clients that never retry; what they saw, by revision, and everything that was no 200."""

    revisions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.revisions.total() + self.failures.total()


async def send(
    session: aiohttp.ClientSession, url: str, load: Load, headers: dict[str, str] | None = None
) -> None:
    """Send one inference request."""
    try:
        async with session.post(
            f"{url}/v2/models/digits/infer", data=b"{}", headers=headers
        ) as answer:
            await answer.read()
            if answer.status == 200:
                load.revisions[answer.headers[envoy.REVISION_HEADER]] += 1
            else:
                load.failures[f"status {answer.status}"] += 1
    except aiohttp.ClientError as error:
        load.failures[repr(error)] += 1


async def send_many(url: str, count: int, headers: dict[str, str] | None = None) -> Load:
    """Send so many requests over a few connections."""
    load, left = Load(), iter(range(count))
    async with aiohttp.ClientSession() as session:

        async def client() -> None:
            for _ in left:
                await send(session, url, load, headers)

        await asyncio.gather(*(client() for _ in range(8)))
    return load


@contextlib.asynccontextmanager
async def steady_load(url: str, clients: int = 4) -> AsyncIterator[Load]:
    """Send for as long as the block runs, and at least one request before and after it."""
    load, stop = Load(), asyncio.Event()

    async def client(session: aiohttp.ClientSession) -> None:
        while not stop.is_set():
            await send(session, url, load)

    async with aiohttp.ClientSession() as session:
        running = [asyncio.create_task(client(session)) for _ in range(clients)]
        await until("the load flows", lambda: load.sent > 10)
        try:
            yield load
            before = load.sent
            await until("the load still flows", lambda: load.sent > before + 10)
        finally:
            stop.set()
            await asyncio.gather(*running)
