"""The operator's sinks as a process has them: a receiver that is away, and a kill in between."""

import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from slipway.adapters.connection import MERGE, Connection
from slipway.api.kinds import MODEL_DEPLOYMENT
from slipway.api.names import ANNOTATION_ACTION

from tests.contract.kube.conftest import KUBECONFIG
from tests.contract.kube.process import Office
from tests.contract.kube.test_bad_input import good
from tests.ports import free_port
from tests.unit.agent.waiting import until

pytestmark = pytest.mark.cluster

TOKEN = "Bearer of-the-archive"  # noqa: S105 -- of a server in this test
DONE = "dev.slipway.action.done"


@dataclass
class Archive:
    """A receiver of events that wants a token, and is not always there."""

    port: int = field(default_factory=free_port)
    events: list[dict[str, Any]] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        application = web.Application()
        application.router.add_post("/events", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    def actions(self) -> list[str]:
        return [event["id"] for event in self.events if event["type"] == DONE]

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/cloudevents+json"
        if request.headers.get("Authorization") != TOKEN:
            return web.Response(status=401)
        self.events.append(json.loads(await request.text()))
        return web.Response(status=202)


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
async def office(tmp_path: Path, namespace: str, archive: Archive) -> AsyncIterator[Office]:
    (tmp_path / "token").write_text(TOKEN)
    sink = {
        "name": "archive",
        "url": f"http://127.0.0.1:{archive.port}/events",
        "authorizationFile": str(tmp_path / "token"),
    }
    office = Office(tmp_path, namespace, audit={"source": "/tests", "sinks": [sink]})
    yield office
    await office.close()


async def pause(connection: Connection, namespace: str) -> int:
    """Ask for an action; return its id."""
    number = int(time.time() * 1000)
    body = {"metadata": {"annotations": {ANNOTATION_ACTION: f"pause#{number}"}}}
    path = MODEL_DEPLOYMENT.path(namespace, "digits")
    answer = await connection.request("PATCH", path, body=body, content_type=MERGE)
    assert answer.is_success, answer.body
    return number


async def is_answered(connection: Connection, namespace: str, asked: int) -> bool:
    answer = await connection.request("GET", MODEL_DEPLOYMENT.path(namespace, "digits"))
    found = answer.json().get("status", {}).get("lastAction", {})
    return bool(found.get("id") == asked)


async def test_what_a_killed_operator_could_not_send_its_successor_sends(
    office: Office, archive: Archive, connection: Connection, namespace: str
) -> None:
    created = await connection.request(
        "POST", MODEL_DEPLOYMENT.path(namespace), body=good(namespace)
    )
    assert created.is_success, created.body
    first = await office.start("first", KUBECONFIG)
    await first.until("is_leader", 1)
    asked = await pause(connection, namespace)
    await until("the action is answered", lambda: is_answered(connection, namespace, asked))
    await first.end(signal.SIGKILL)

    async with archive.serving():
        second = await office.start("second", KUBECONFIG)
        await until("the successor sends it", lambda: len(archive.actions()) == 1)
        assert await second.end(signal.SIGTERM) == 0

        third = await office.start("third", KUBECONFIG)
        await until("another one sends it again", lambda: len(archive.actions()) == 2)
        assert await third.end(signal.SIGTERM) == 0

    told = [event for event in archive.events if event["type"] == DONE]
    assert {event["id"] for event in told} == {
        f"{created.json()['metadata']['uid']}/action/{asked}"
    }
    assert told[0] == told[1]
    assert told[0]["subject"] == f"{namespace}/digits"
    assert told[0]["data"]["verb"] == "pause"
