import asyncio
from collections.abc import AsyncIterator

import pytest
from slipway.agent.api_server import ApiServer, ApiServerClient
from slipway.agent.follow import NameFollower
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE
from slipway.engine import follow

from tests.unit.agent.fake_api import NAMESPACE, FakeApi
from tests.unit.agent.waiting import until

SPEC = {"port": 10_000, "model": "digits", "backends": []}


class Seen:
    """What a follower reported."""

    def __init__(self) -> None:
        self.objects: dict[str, int] = {}

    def put(self, manifest: Manifest) -> None:
        self.objects[manifest["metadata"]["name"]] = manifest["metadata"]["generation"]

    def remove(self, name: str) -> None:
        del self.objects[name]


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def seen(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seen]:
    monkeypatch.setattr(follow, "FIRST_PAUSE_SECONDS", 0.0)
    api.put_route("first", SPEC)
    cluster = ApiServerClient(ApiServer(api.url), NAMESPACE, "router-0")
    seen = Seen()
    follower = NameFollower(cluster, MODEL_ROUTE, put=seen.put, remove=seen.remove)
    task = asyncio.create_task(follower.run())
    await asyncio.wait_for(follower.listed.wait(), 5)
    yield seen
    task.cancel()
    await asyncio.wait([task])
    await cluster.close()


async def test_the_first_list_is_reported(seen: Seen) -> None:
    assert seen.objects == {"first": 1}


async def test_changes_are_reported_as_they_come(seen: Seen, api: FakeApi) -> None:
    api.put_route("second", SPEC)
    api.put_route("first", SPEC)
    await until("the follower reported it", lambda: seen.objects == {"first": 2, "second": 1})
    api.delete(MODEL_ROUTE.plural, "first")
    await until("the follower reported it", lambda: seen.objects == {"second": 1})

    assert api.requests.count("list modelroutes") == 1


async def test_what_vanished_during_an_outage_is_reported_after_a_new_list(
    seen: Seen, api: FakeApi
) -> None:
    await api.stop()
    del api.objects[MODEL_ROUTE.plural, "first"]
    api.put_route("second", SPEC)
    api.forget_history()
    await api.start()
    await until("the follower reported it", lambda: seen.objects == {"second": 1})


async def test_a_short_outage_needs_no_new_list(seen: Seen, api: FakeApi) -> None:
    await api.stop()
    api.put_route("second", SPEC)

    assert seen.objects == {"first": 1}

    await api.start()
    await until("the follower reported it", lambda: "second" in seen.objects)

    assert api.requests.count("list modelroutes") == 1


async def test_a_version_that_is_too_old_leads_to_a_new_list(seen: Seen, api: FakeApi) -> None:
    api.forget_history()
    await until("the follower reported it", lambda: api.requests.count("list modelroutes") == 2)
    api.put_route("first", SPEC)
    await until("the follower reported it", lambda: seen.objects == {"first": 2})


async def test_objects_longer_than_a_network_buffer_arrive_whole(seen: Seen, api: FakeApi) -> None:
    api.put_route("long", {**SPEC, "model": "m" * 500_000})
    await until("the follower reported it", lambda: "long" in seen.objects)
