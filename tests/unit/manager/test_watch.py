"""The watches, as the operator runs them, against a server that lists and sends events.

They run in a thread: when kopf ends, it cancels every younger task of its loop.
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client
from slipway.adapters.connection import Connection
from slipway.api import kinds
from slipway.api.kinds import Kind
from slipway.manager.watch import FOLLOWED, run_watches, watch_names
from slipway.manager.watch_listener import WatchListener

from tests.unit.engine.test_worker import until

NAMESPACE = Kind("", "v1", "namespaces", "Namespace")
"""kopf begins when it has seen that there are such."""

GONE = "speech"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@dataclass
class EventServer:
    """An API server that lists what it is told, and has a stream for each watch."""

    url: str
    listed: dict[str, list[str]] = field(default_factory=dict)
    """Names of objects, by plural."""
    streams: dict[str, web.StreamResponse] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    """Requests for a namespace whose Role is gone, by path."""
    labels: dict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    """That lists and watches were limited to, by plural."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if f"/namespaces/{GONE}/" in request.path:
            self.refusals[request.path] += 1
            return web.json_response({"kind": "Status", "code": 403}, status=403)
        kind = next((k for k in kinds.WATCHED if k.path("vision") == request.path), None)
        if kind is None:
            return web.json_response(discovery(request.path))
        self.labels[kind.plural].add(request.query.get("labelSelector"))
        if request.query.get("watch") != "true":
            items = [about(kind, name) for name in self.listed.get(kind.plural, ())]
            return web.json_response({"items": items, "metadata": {"resourceVersion": "1"}})
        self.streams[kind.plural] = stream = web.StreamResponse()
        await stream.prepare(request)
        await asyncio.Event().wait()
        return stream

    async def send_bookmark(self, kind: Kind) -> None:
        await self._send(kind, ("BOOKMARK", {"metadata": {"resourceVersion": "2"}}))

    async def send_expiry(self, kind: Kind) -> None:
        status = {"kind": "Status", "code": 410, "message": "too old resource version"}
        await self._send(kind, ("ERROR", status))

    async def send(self, kind: Kind, *events: tuple[str, str]) -> None:
        """Send types and names of events in one piece."""
        await self._send(kind, *((event, about(kind, name)) for event, name in events))

    async def _send(self, kind: Kind, *events: tuple[str, dict[str, Any]]) -> None:
        lines = (json.dumps({"type": event, "object": found}) + "\n" for event, found in events)
        await self.streams[kind.plural].write("".join(lines).encode())


def about(kind: Kind, name: str) -> dict[str, Any]:
    return kind.manifest("vision", name, metadata={"uid": name, "resourceVersion": "2"})


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
    """The watches of namespaces; counts their signs of life by name, and notes what they saw."""

    def __init__(self, url: str, *namespaces: str) -> None:
        super().__init__(daemon=True)
        self.beats: Counter[str] = Counter()
        self.heard: list[tuple[str, str]] = []
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

    def of(self, name: str) -> list[str]:
        return [what for what, about in self.heard if about == name]

    def _hear(self, what: str, manifest: dict[str, Any]) -> None:
        self.heard.append((what, manifest["metadata"]["name"]))

    async def _watch(self) -> None:
        self._loop, self._asked = asyncio.get_running_loop(), asyncio.Event()
        configuration = client.Configuration(host=self._url)
        connection = Connection(configuration, user_agent="test")

        listener = WatchListener(
            on_seen=lambda kind, manifest: self._hear(f"seen {kind.kind}", manifest),
            on_gone=lambda kind, manifest: self._hear(f"gone {kind.kind}", manifest),
            on_listed=lambda: self.heard.append(("listed", "")),
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
async def server(unused_tcp_port: int) -> AsyncIterator[EventServer]:
    server = EventServer(f"http://127.0.0.1:{unused_tcp_port}")
    application = web.Application()
    application.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield server
    await runner.cleanup()


async def test_a_bookmark_is_a_sign_of_life_of_its_watch_and_of_no_other(
    server: EventServer,
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


async def test_a_namespace_that_refuses_ends_no_watch_of_another(server: EventServer) -> None:
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


async def test_what_is_listed_and_what_changes_is_passed_on_in_the_order_of_each_object(
    server: EventServer,
) -> None:
    server.listed[kinds.POD.plural] = ["one", "two"]
    watching = Watching(server.url, "vision")
    watching.start()
    try:
        await until(lambda: len(server.streams) == len(kinds.WATCHED), 30)
        await server.send(
            kinds.POD, ("ADDED", "three"), ("DELETED", "one"), ("ADDED", "one"), ("MODIFIED", "two")
        )
        await until(lambda: len(watching.heard) == 6 + len(FOLLOWED), 30)
    finally:
        await asyncio.to_thread(watching.end)

    seen, gone = "seen Pod", "gone Pod"
    assert watching.of("one") == [seen, gone, seen]
    assert watching.of("two") == [seen, seen]
    assert watching.of("three") == [seen]
    assert watching.of("").count("listed") == len(FOLLOWED), "a sweep is due after each list"


async def test_all_kinds_but_our_own_are_watched_by_our_label(server: EventServer) -> None:
    watching = Watching(server.url, "vision")
    watching.start()
    try:
        await until(lambda: len(server.streams) == len(kinds.WATCHED), 30)
    finally:
        await asyncio.to_thread(watching.end)

    ours = {kinds.MODEL_DEPLOYMENT.plural, kinds.MODEL_ROUTE.plural}
    for kind in kinds.WATCHED:
        label = None if kind.plural in ours else "app.kubernetes.io/managed-by=slipway"
        assert server.labels[kind.plural] == {label}


async def test_a_watch_that_is_too_old_lists_again(server: EventServer) -> None:
    server.listed[kinds.POD.plural] = ["one"]
    watching = Watching(server.url, "vision")
    watching.start()
    try:
        await until(lambda: len(server.streams) == len(kinds.WATCHED), 30)
        await server.send_expiry(kinds.POD)
        await until(lambda: watching.of("one") == ["seen Pod", "seen Pod"], 30)
        await until(lambda: watching.of("").count("listed") == len(FOLLOWED) + 1, 30)
    finally:
        await asyncio.to_thread(watching.end)
