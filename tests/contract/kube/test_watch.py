"""The watches against the real API server.

They run in a thread: when kopf ends, it cancels every younger task of its loop, the test's too.
"""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from slipway.adapters.connection import Connection, connect
from slipway.adapters.kube import KubeCluster
from slipway.api.base import Manifest
from slipway.api.kinds import SERVICE_ACCOUNT, Kind
from slipway.manager.watch import run_watches
from slipway.manager.watch_listener import WatchListener

from tests.contract.kube.conftest import KUBECONFIG
from tests.contract.kube.objects import a_service_account

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Ear:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def seen(self, kind: Kind, manifest: Manifest) -> None:
        self.heard.append((f"seen {kind.kind}", manifest["metadata"]["name"]))

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        self.heard.append((f"gone {kind.kind}", manifest["metadata"]["name"]))

    async def until(self, what: str, name: str) -> None:
        async with asyncio.timeout(90):
            while (what, name) not in self.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


class Watching(threading.Thread):
    """The watches of one namespace, in a loop of their own."""

    def __init__(self, ear: Ear, namespace: str) -> None:
        super().__init__(daemon=True)
        self._ear = ear
        self._namespace = namespace
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None

    def run(self) -> None:
        asyncio.run(self._watch())

    def end(self) -> None:
        if self._loop is not None and self._asked is not None:
            self._loop.call_soon_threadsafe(self._asked.set)
        self.join(30)
        assert not self.is_alive()

    async def _watch(self) -> None:
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        connection = await connect(KUBECONFIG, user_agent="slipway-contract-test")
        await run_watches(
            connection,
            WatchListener(self._ear.seen, self._ear.gone, on_listed=lambda: None),
            namespaces=[self._namespace],
            stop=self._asked,
            on_started=lambda: None,
        )
        await connection.close()


@pytest.fixture
async def ear(namespace: str) -> AsyncIterator[Ear]:
    ear = Ear()
    watching = Watching(ear, namespace)
    watching.start()
    yield ear
    await asyncio.to_thread(watching.end)


async def test_our_objects_are_heard_of_and_foreign_ones_are_not(
    ear: Ear, connection: Connection, namespace: str
) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    foreign = a_service_account(namespace, "foreign")
    foreign["metadata"]["labels"] = {}
    await cluster.create(foreign)
    made = await cluster.create(a_service_account(namespace, "ours"))
    await ear.until("seen ServiceAccount", "ours")
    await cluster.delete(SERVICE_ACCOUNT, namespace, "ours", uid=made["metadata"]["uid"])
    await ear.until("gone ServiceAccount", "ours")
    assert not [entry for entry in ear.heard if entry[1] in {"foreign", "default"}]


async def test_watching_writes_nothing(ear: Ear, connection: Connection, namespace: str) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    made = await cluster.create(a_service_account(namespace, "ours"))
    await ear.until("seen ServiceAccount", "ours")
    live = await cluster.get(SERVICE_ACCOUNT, namespace, "ours")
    assert live == made
