"""The operator as a process, against the real API server: hand-over and outage."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from slipway.adapters.connection import Connection
from slipway.adapters.kube import KubeCluster
from slipway.api.kinds import SERVICE_ACCOUNT

from tests.contract.kube.conftest import KUBECONFIG
from tests.contract.kube.objects import a_service_account
from tests.contract.kube.process import LEASE, Office, Wire

pytestmark = pytest.mark.cluster

LASTING_SECONDS = 120


@pytest.fixture
async def office(tmp_path: Path, namespace: str) -> AsyncIterator[Office]:
    office = Office(tmp_path, namespace)
    yield office
    await office.close()


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    kubeconfig: dict[str, Any] = yaml.safe_load(KUBECONFIG.read_text())
    cluster = kubeconfig["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    assert server.hostname
    wire = Wire(server.hostname, server.port or 443)
    listener = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    cluster["server"] = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    yield wire
    listener.close()
    await wire.close()


@pytest.fixture
async def lasting(tmp_path: Path, namespace: str) -> AsyncIterator[Office]:
    """Replicas whose Lease outlasts what any of these tests waits for."""
    office = Office(tmp_path, namespace, lease={**LEASE, "durationSeconds": LASTING_SECONDS})
    yield office
    await office.close()


async def test_a_leader_that_ends_hands_over_long_before_its_lease_is_over(lasting: Office) -> None:
    first = await lasting.start("first", KUBECONFIG)
    await first.until("is_leader", 1)
    second = await lasting.start("second", KUBECONFIG)
    assert await second.metric("is_leader") == 0
    assert await first.end(signal.SIGTERM) == 0
    await second.until("is_leader", 1, LASTING_SECONDS / 2)


async def test_a_leader_that_is_killed_is_followed_when_its_lease_is_over(office: Office) -> None:
    first = await office.start("first", KUBECONFIG)
    await first.until("is_leader", 1)
    await first.end(signal.SIGKILL)
    second = await office.start("second", KUBECONFIG)
    await second.until("is_leader", 1)


async def test_what_happens_while_the_api_server_is_away_is_known_soon_after(
    office: Office, wire: Wire, tmp_path: Path, connection: Connection, namespace: str
) -> None:
    cluster = KubeCluster(connection, fence=lambda: None)
    before = await cluster.create(a_service_account(namespace, "before"))
    replica = await office.start("only", tmp_path / "kubeconfig")

    await replica.until("is_leader", 1)
    assert await replica.metric("cache_objects") == 1

    wire.cut()
    await replica.until("is_leader", 0)
    uid = before["metadata"]["uid"]
    await cluster.delete(SERVICE_ACCOUNT, namespace, "before", uid=uid)
    for number in range(3):
        await cluster.create(a_service_account(namespace, f"after-{number}"))
    wire.mend()
    await replica.until("is_leader", 1)
    await replica.until("cache_objects", 3)

    assert await replica.get("healthz") == "ok\n"
    assert await replica.end(signal.SIGTERM) == 0
