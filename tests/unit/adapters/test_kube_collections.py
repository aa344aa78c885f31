"""Lists by page and watches, against a small server."""

import contextlib
import json

import pytest
from aiohttp import web
from slipway.adapters import kube_collections
from slipway.adapters.connection import Connection
from slipway.adapters.kube_collections import PAGE, KubeCollections
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE, POD
from slipway.engine.watch_events import WatchEvent, WatchExpired
from slipway.errors import ClusterUnavailable, Forbidden, SlipwayError

from tests.unit.adapters.conftest import Server

OURS = "app.kubernetes.io/managed-by=slipway"
FORBIDDEN = 'pods is forbidden: User "slipway" cannot watch resource "pods"'


def a_page(name: str, *, rest: str = "") -> web.Response:
    metadata = {"resourceVersion": "7", "continue": rest}
    return web.json_response({"metadata": metadata, "items": [{"metadata": {"name": name}}]})


def a_status(code: int, message: str) -> Manifest:
    return {"kind": "Status", "code": code, "message": message}


def a_line(event: str, found: Manifest) -> bytes:
    return json.dumps({"type": event, "object": found}).encode() + b"\n"


def a_pod(name: str, version: str) -> Manifest:
    return {"metadata": {"name": name, "resourceVersion": version}}


async def first_events(collections: KubeCollections, number: int) -> list[WatchEvent]:
    async with contextlib.aclosing(collections.watch(POD, "7")) as events:
        return [await anext(events) for _ in range(number)]


async def test_a_list_comes_page_by_page_with_kind_and_version(
    server: Server, connection: Connection
) -> None:
    collections = KubeCollections(connection, "vision")
    server.answers = [a_page("one", rest="more"), a_page("two")]

    first = await collections.list(POD)
    second = await collections.list(POD, first.rest)

    assert [item["metadata"]["name"] for item in (*first.items, *second.items)] == ["one", "two"]
    assert first.items[0]["kind"] == "Pod"
    assert (second.version, second.rest) == ("7", "")
    asked = [dict(request.query) for request in server.requests]
    assert asked == [
        {"limit": str(PAGE), "labelSelector": OURS},
        {"limit": str(PAGE), "labelSelector": OURS, "continue": "more"},
    ]
    assert server.requests[0].path == POD.path("vision")


async def test_of_our_own_kinds_everything_is_asked_for_in_all_namespaces(
    server: Server, connection: Connection
) -> None:
    server.answers = [a_page("one")]

    await KubeCollections(connection, None).list(MODEL_ROUTE)

    assert "labelSelector" not in server.requests[0].query
    assert server.requests[0].path == MODEL_ROUTE.path(None)


async def test_a_page_that_is_too_old_says_so(server: Server, connection: Connection) -> None:
    server.answers = [web.json_response(a_status(410, "the token has expired"), status=410)]

    with pytest.raises(WatchExpired):
        await KubeCollections(connection, None).list(POD, "more")


async def test_a_watch_goes_on_from_its_version_and_gives_lines_whole_however_they_come(
    server: Server, connection: Connection
) -> None:
    long = a_pod("n" * 500_000, "9")
    lines = a_line("ADDED", a_pod("one", "8")) + a_line("MODIFIED", long)
    server.stream = [lines[:40], lines[40:300_000], lines[300_000:]]

    events = await first_events(KubeCollections(connection, "vision"), 2)

    assert [(event.type, event.version) for event in events] == [("ADDED", "8"), ("MODIFIED", "9")]
    assert events[1].object == long
    query = server.requests[0].query
    assert (query["resourceVersion"], query["allowWatchBookmarks"]) == ("7", "true")
    assert query["labelSelector"] == OURS
    assert server.requests[0].headers["User-Agent"] == "slipway-operator/test"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(a_status(410, "too old"), WatchExpired, id="too old"),
        pytest.param(a_status(403, FORBIDDEN), Forbidden, id="forbidden"),
        pytest.param(a_status(500, "etcd is away"), ClusterUnavailable, id="broken"),
    ],
)
async def test_a_watch_that_is_refused_says_why(
    server: Server, connection: Connection, answer: Manifest, error: type[SlipwayError]
) -> None:
    server.answers = [web.json_response(answer, status=answer["code"])]

    with pytest.raises(error, match=answer["message"] if error is not WatchExpired else "too old"):
        await first_events(KubeCollections(connection, None), 1)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        pytest.param(a_line("ERROR", a_status(410, "too old")), WatchExpired, id="expired"),
        pytest.param(a_line("ERROR", a_status(500, "away")), ClusterUnavailable, id="ended"),
        pytest.param(b"<html>\n", ClusterUnavailable, id="no JSON"),
    ],
)
async def test_a_watch_that_breaks_later_says_why(
    server: Server, connection: Connection, line: bytes, error: type[SlipwayError]
) -> None:
    server.stream = [a_line("ADDED", a_pod("one", "8")), line]

    with pytest.raises(error):
        await first_events(KubeCollections(connection, None), 2)


async def test_a_watch_that_is_silent_ends(
    server: Server, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_collections, "SILENCE_SECONDS", 0.05)
    server.stream = []

    with pytest.raises(ClusterUnavailable, match="pods"):
        await first_events(KubeCollections(connection, None), 1)


async def test_watches_take_no_connection_from_requests(
    server: Server, connection: Connection
) -> None:
    server.stream = [a_line("ADDED", a_pod("one", "8"))]
    watches = [KubeCollections(connection, None).watch(POD, "7") for _ in range(70)]
    for watch in watches:
        await anext(watch)

    server.answers = [a_page("one")]
    assert (await KubeCollections(connection, None).list(POD)).version == "7"
    for watch in watches:
        await watch.aclose()
