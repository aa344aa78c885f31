"""How the adapter behaves against a small server: patience, the fence, and its headers."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio import client
from slipway.adapters.connection import Connection
from slipway.adapters.kube import KubeCluster
from slipway.adapters.metadata import KubeMetadata
from slipway.adapters.router_counters import AgentCounters
from slipway.api.kinds import JOB, MODEL_ROUTE, SERVICE_ACCOUNT
from slipway.errors import ClusterUnavailable, FencedError

from tests.certificates import Authority
from tests.unit.adapters.conftest import Server

ACCOUNT = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"namespace": "vision", "name": "digits"},
}


async def test_a_connection_knows_when_its_authorities_are_old(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(Authority.make("old").pem)
    configuration = client.Configuration(host="https://127.0.0.1:1")
    configuration.ssl_ca_cert = str(file)
    connection = Connection(configuration, user_agent="slipway-operator/test")
    assert connection.has_newest_authorities

    file.write_bytes(file.read_bytes() + Authority.make("new").pem)
    assert not connection.has_newest_authorities

    file.unlink()
    assert connection.has_newest_authorities, "a new process could not read it either"
    await connection.close()


async def test_without_a_file_of_authorities_none_is_old(connection: Connection) -> None:
    assert connection.has_newest_authorities


def busy() -> web.Response:
    return web.Response(status=429, headers={"Retry-After": "0"})


def cluster_with(connection: Connection, fence: Callable[[], None]) -> KubeCluster:
    return KubeCluster(connection, fence=fence)


async def test_a_busy_api_server_is_asked_again(server: Server, connection: Connection) -> None:
    server.answers = [busy(), busy()]
    await cluster_with(connection, lambda: None).create(ACCOUNT)
    assert len(server.requests) == 3


async def test_an_api_server_that_stays_busy_is_left_alone(
    server: Server, connection: Connection
) -> None:
    server.answers = [busy() for _ in range(10)]
    with pytest.raises(ClusterUnavailable):
        await cluster_with(connection, lambda: None).create(ACCOUNT)
    assert len(server.requests) == 3


async def test_the_fence_is_asked_before_every_attempt(
    server: Server, connection: Connection
) -> None:
    checks = iter([None, FencedError("lost in between")])

    def fence() -> None:
        if (error := next(checks)) is not None:
            raise error

    server.answers = [busy()]
    with pytest.raises(FencedError):
        await cluster_with(connection, fence).create(ACCOUNT)
    assert len(server.requests) == 1


async def test_requests_carry_the_user_agent_and_the_field_manager(
    server: Server, connection: Connection
) -> None:
    await cluster_with(connection, lambda: None).apply(ACCOUNT, existing_uid="u1")
    request = server.requests[0]
    assert request.headers["User-Agent"] == "slipway-operator/test"
    assert request.query["fieldManager"] == "slipway"
    assert request.query["force"] == "true"


async def test_what_is_believed_absent_is_applied_without_force(
    server: Server, connection: Connection
) -> None:
    await cluster_with(connection, lambda: None).apply(ACCOUNT, existing_uid=None)
    assert "force" not in server.requests[0].query


async def test_an_unreachable_api_server_is_a_transient_failure(server: Server) -> None:
    configuration = client.Configuration(host="http://127.0.0.1:1")
    connection = Connection(configuration, user_agent="test")

    with pytest.raises(ClusterUnavailable):
        await cluster_with(connection, lambda: None).get(SERVICE_ACCOUNT, "vision", "digits")

    await connection.close()
    assert not server.requests


async def test_credentials_that_hang_start_no_write_after_its_time(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> dict[str, str]:
        await asyncio.sleep(0.3)
        return {}

    monkeypatch.setattr(connection, "_credentials", hang)

    with pytest.raises(ClusterUnavailable, match="no answer within"):
        await connection.request("POST", "/x", timeout_seconds=0.05)

    await asyncio.sleep(0.4)
    assert server.requests == []


async def test_a_kind_that_is_not_served_points_at_its_crd(
    server: Server, connection: Connection
) -> None:
    server.answers = [web.Response(status=404, text="404 page not found")]
    with pytest.raises(ClusterUnavailable, match="is the CRD installed"):
        await KubeMetadata(connection).probe(MODEL_ROUTE, None)


async def test_a_missing_permission_is_named(server: Server, connection: Connection) -> None:
    message = 'jobs.batch is forbidden: User "u" cannot list resource "jobs" in API group "batch"'
    body = {"kind": "Status", "message": message}
    server.answers = [web.json_response(body, status=403)]
    with pytest.raises(ClusterUnavailable, match='cannot list resource "jobs"'):
        await KubeMetadata(connection).probe(JOB, None)


async def test_long_lists_are_read_in_chunks(server: Server, connection: Connection) -> None:
    def page(name: str, more: str) -> web.Response:
        item = {"metadata": {"namespace": "vision", "name": name, "uid": name}}
        return web.json_response({"metadata": {"continue": more}, "items": [item]})

    server.answers = [page("a", "token"), page("b", "")]
    refs = await KubeMetadata(connection).refs(JOB, None)
    assert [ref.name for ref in refs] == ["a", "b"]
    assert server.requests[1].query["continue"] == "token"
    assert server.requests[0].query["labelSelector"] == "app.kubernetes.io/managed-by=slipway"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(web.Response(status=503), id="an agent that is not ready"),
        pytest.param(web.Response(text="{}"), id="an agent of another version"),
    ],
)
async def test_an_agent_that_gives_no_counters_is_silent(
    server: Server, answer: web.Response
) -> None:
    counters = AgentCounters(port=server.port)
    server.answers = [answer]
    assert await counters.read("127.0.0.1") is None
    await counters.close()


async def test_an_agents_counters_are_read(server: Server) -> None:
    counters = AgentCounters(port=server.port)
    body = {"proxy": "p", "envoyStart": "1", "at": "2026-01-01T00:00:00Z", "routes": []}
    server.answers = [web.json_response(body)]
    answer = await counters.read("127.0.0.1")

    assert answer is not None
    assert answer.proxy == "p"

    await counters.close()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ({"major": "1", "minor": "36"}, (1, 36)),
        ({"major": "1", "minor": "33+"}, (1, 33)),
        ({"major": "", "minor": ""}, None),
        ({}, None),
    ],
)
async def test_the_version_is_asked_for_once(
    server: Server, connection: Connection, said: dict[str, str], version: tuple[int, int] | None
) -> None:
    server.answers = [web.json_response(said)]
    cluster = cluster_with(connection, lambda: None)

    assert [await cluster.version(), await cluster.version()] == [version, version]
    assert [request.path for request in server.requests] == ["/version"]
