import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from slipway.agent import follow
from slipway.agent.api_server import (
    ApiServer,
    ApiServerClient,
    ListedObjects,
    WatchEvent,
    WatchExpired,
)
from slipway.agent.follow import HEALTHY_SECONDS, LONGEST_PAUSE_SECONDS, Follower
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE, Kind
from slipway.errors import ClusterUnavailable

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


class BrokenApi(ApiServerClient):
    """Ends every watch as a test says: at once, from the `heals_after`th on after a while."""

    def __init__(self, ends: Exception | None, heals_after: int = 1000) -> None:
        super().__init__(ApiServer("http://nowhere"), NAMESPACE, "router-0")
        self.ends = ends
        self.heals_after = heals_after
        self.now = 0.0
        self.watches = 0
        self.pauses: list[float] = []

    async def list(self, kind: Kind) -> ListedObjects:
        del kind
        return ListedObjects([], "1")

    async def watch(self, kind: Kind, version: str) -> AsyncIterator[WatchEvent]:
        bookmark = {"kind": kind.kind, "metadata": {"resourceVersion": version}}
        yield WatchEvent("BOOKMARK", bookmark)
        self.watches += 1
        if self.watches > self.heals_after:
            self.now += HEALTHY_SECONDS + 1
        if self.ends is not None:
            raise self.ends

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def run(self, watches: int) -> None:
        """Follow until so many watches have ended."""
        follower = Follower(
            self,
            MODEL_ROUTE,
            put=lambda _: None,
            remove=lambda _: None,
            clock=lambda: self.now,
            sleep=self.sleep,
        )
        task = asyncio.create_task(follower.run())
        await until("the watches ended", lambda: self.watches >= watches)
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param(WatchExpired("too old"), id="answered 410"),
        pytest.param(None, id="closed at once"),
        pytest.param(ClusterUnavailable("reset"), id="broken"),
    ],
)
async def test_watches_that_end_at_once_are_tried_ever_more_seldom(ends: Exception | None) -> None:
    api = BrokenApi(ends)

    await api.run(10)

    assert len(api.pauses) >= api.watches - 1
    assert sum(api.pauses[:9]) > LONGEST_PAUSE_SECONDS
    assert max(api.pauses) <= LONGEST_PAUSE_SECONDS


async def test_after_a_watch_that_held_the_next_one_begins_soon() -> None:
    api = BrokenApi(None, heals_after=6)

    await api.run(10)

    assert max(api.pauses[:6]) > follow.FIRST_PAUSE_SECONDS
    assert max(api.pauses[6:9]) <= follow.FIRST_PAUSE_SECONDS


class AwayForDays(ApiServerClient):
    """Answers once, and then not for a day."""

    def __init__(self) -> None:
        super().__init__(ApiServer("http://nowhere"), NAMESPACE, "router-0")
        self.now = 0.0
        self.failures = 0
        self.lists = 0

    async def list(self, kind: Kind) -> ListedObjects:
        del kind
        self.lists += 1
        return ListedObjects([{"metadata": {"name": "digits", "generation": self.lists}}], "1")

    async def watch(self, kind: Kind, version: str) -> AsyncIterator[WatchEvent]:
        del kind, version
        if 0.0 < self.now < AWAY_SECONDS:
            self.failures += 1
            raise ClusterUnavailable("no answer")
        if self.lists == 2:
            await asyncio.Event().wait()
        if self.now >= AWAY_SECONDS:
            raise WatchExpired("too old after a day")
        return
        yield  # makes it a generator

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


AWAY_SECONDS = 86_400.0


async def test_a_day_without_an_api_server_takes_nothing_away_and_ends_with_a_new_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)  # it says so every few seconds
    api, seen = AwayForDays(), Seen()
    follower = Follower(
        api,
        MODEL_ROUTE,
        put=seen.put,
        remove=seen.remove,
        clock=lambda: api.now,
        sleep=api.sleep,
    )
    task = asyncio.create_task(follower.run())

    await until("a second list", lambda: api.lists == 2)
    task.cancel()
    await asyncio.wait([task])

    assert seen.objects == {"digits": 2}
    assert api.failures >= AWAY_SECONDS / LONGEST_PAUSE_SECONDS
    assert api.failures <= 2 * AWAY_SECONDS / LONGEST_PAUSE_SECONDS + 10
    # The pause that a failure began, and the one before the list.
    assert api.now - AWAY_SECONDS <= 2 * LONGEST_PAUSE_SECONDS


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    yield api
    await api.stop()


@pytest.fixture
async def seen(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seen]:
    monkeypatch.setattr(follow, "LONGEST_PAUSE_SECONDS", 0.01)
    api.put_route("first", SPEC)
    cluster = ApiServerClient(ApiServer(api.url), NAMESPACE, "router-0")
    seen = Seen()
    follower = Follower(cluster, MODEL_ROUTE, put=seen.put, remove=seen.remove)
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
