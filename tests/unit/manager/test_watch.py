"""kopf's watches, as the operator runs them, against a server that only lists and sends bookmarks.

They run in a thread: when kopf ends, it cancels every younger task of its loop.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client
from slipway.adapters.connection import Connection
from slipway.api import kinds
from slipway.api.kinds import Kind
from slipway.manager.watch import WatchListener, run_watches, watch_names

from tests.unit.engine.test_worker import until

NAMESPACE = Kind("", "v1", "namespaces", "Namespace")
"""kopf begins when it has seen that there are such."""

GONE = "speech"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@dataclass
class BookmarkServer:
    """An API server that has nothing, and a stream for each watch."""

    url: str
    streams: dict[str, web.StreamResponse] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests for a namespace whose Role is gone, by path."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if f"/namespaces/{GONE}/" in request.path:
            self.refusals[request.path] += 1
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        kind = next((k for k in kinds.WATCHED if k.path("vision") == request.path), None)
        if kind is None:
            return web.json_response(discovery(request.path))
        if request.query.get("watch") != "true":
            return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
        self.streams[kind.plural] = stream = web.StreamResponse()
        await stream.prepare(request)
        await asyncio.Event().wait()
        return stream

    async def send_bookmark(self, kind: Kind) -> None:
        about = {"kind": kind.kind, "metadata": {"resourceVersion": "2"}}
        line = json.dumps({"type": "BOOKMARK", "object": about}) + "\n"
        await self.streams[kind.plural].write(line.encode())


def discovery(path: str) -> dict[str, Any]:
    if path == "/api":
        return {"versions": ["v1"]}
    if path == "/apis":
        groups = {(kind.group, kind.version) for kind in kinds.WATCHED if kind.group}
        return {"groups": [group(name, version) for name, version in sorted(groups)]}

    all_kinds = (*kinds.WATCHED, NAMESPACE)
    found = [kind for kind in all_kinds if kind.path(None).rpartition("/")[0] == path]
    return {
        "resources": [
            {
                "name": kind.plural,
                "kind": kind.kind,
                "singularName": kind.kind.lower(),
                "namespaced": kind is not NAMESPACE,
                "verbs": ["get", "list", "watch", "patch"],
            }
            for kind in found
        ]
    }


def group(name: str, version: str) -> dict[str, Any]:
    one = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [one], "preferredVersion": one}


class Watching(threading.Thread):
    """The watches of namespaces; counts their signs of life by name."""

    def __init__(self, url: str, *namespaces: str) -> None:
        super().__init__(daemon=True)
        self.beats: Counter[str] = Counter()
        self._url = url
        self._namespaces = namespaces
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Event | None = None

    def run(self) -> None:
        asyncio.run(self._watch())

    def end(self) -> None:
        assert self._loop is not None
        assert self._asked is not None
        self._loop.call_soon_threadsafe(self._asked.set)
        self.join(30)
        assert not self.is_alive()

    async def _watch(self) -> None:
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        configuration = client.Configuration(host=self._url)
        connection = Connection(configuration, user_agent="test")

        listener = WatchListener(
            on_seen=lambda _kind, _manifest: None,
            on_gone=lambda _kind, _manifest: None,
            on_listed=lambda: None,
            on_alive=lambda name: self.beats.update([name]),
        )

        await run_watches(
            connection,
            listener,
            namespaces=self._namespaces,
            stop=self._asked,
            on_started=lambda: None,
        )

        await connection.close()


@pytest.fixture
async def server(unused_tcp_port: int) -> AsyncIterator[BookmarkServer]:
    server = BookmarkServer(f"http://127.0.0.1:{unused_tcp_port}")
    application = web.Application()
    application.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield server
    await runner.cleanup()


async def test_a_bookmark_is_a_sign_of_life_of_its_watch_and_of_no_other(
    server: BookmarkServer,
) -> None:
    watching = Watching(server.url, "vision")
    watching.start()
    try:
        await until(lambda: len(server.streams) == len(kinds.WATCHED), 30)
        before = Counter(watching.beats)
        assert set(before) == set(watch_names(["vision"])), "each was heard when it was opened"
        await server.send_bookmark(kinds.POD)
        await until(lambda: watching.beats != before, 30)
        assert watching.beats - before == Counter(["pods.v1@vision"])
    finally:
        await asyncio.to_thread(watching.end)


async def test_a_namespace_that_refuses_ends_no_watch_of_another(server: BookmarkServer) -> None:
    watching = Watching(server.url, "vision", GONE)
    watching.start()
    try:
        await until(lambda: len(server.streams) == len(kinds.WATCHED), 30)
        refused = [kind.path(GONE) for kind in kinds.WATCHED]
        await until(lambda: all(server.refusals[path] > 2 for path in refused), 30)
        before = Counter(watching.beats)
        await server.send_bookmark(kinds.POD)
        await until(lambda: watching.beats != before, 30)
        assert watching.is_alive()
    finally:
        await asyncio.to_thread(watching.end)
