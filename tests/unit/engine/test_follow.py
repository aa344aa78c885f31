"""Following a collection: pages, watches that end, and API servers that are away."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_ROUTE, Kind
from slipway.engine.follow import (
    FIRST_PAUSE_SECONDS,
    HEALTHY_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Follower,
    ListedObjects,
)
from slipway.engine.watch_events import WatchEvent, WatchExpired
from slipway.errors import ClusterUnavailable

from tests.unit.engine.test_worker import until


def an_object(name: str) -> Manifest:
    return {"metadata": {"name": name, "resourceVersion": "2", "generation": 1}}


def generation_of(found: Manifest) -> dict[str, int]:
    return {found["metadata"]["name"]: found["metadata"]["generation"]}


class BrokenWatches:
    """Ends every watch as a test says: at once, from the `heals_after`th on after a while."""

    def __init__(self, ends: Exception | None, heals_after: int = 1000) -> None:
        self.ends = ends
        self.heals_after = heals_after
        self.now = 0.0
        self.watches = 0
        self.pauses: list[float] = []

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        del kind, rest
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
        await until(lambda: self.watches >= watches, 10)
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
    api = BrokenWatches(ends)

    await api.run(10)

    assert len(api.pauses) >= api.watches - 1
    assert sum(api.pauses[:9]) > LONGEST_PAUSE_SECONDS
    assert max(api.pauses) <= LONGEST_PAUSE_SECONDS


async def test_after_a_watch_that_held_the_next_one_begins_soon() -> None:
    api = BrokenWatches(None, heals_after=6)

    await api.run(10)

    assert max(api.pauses[:6]) > FIRST_PAUSE_SECONDS
    assert max(api.pauses[6:9]) <= FIRST_PAUSE_SECONDS


class AwayForDays:
    """Answers once, and then not for a day."""

    def __init__(self) -> None:
        self.now = 0.0
        self.failures = 0
        self.lists = 0

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        del kind, rest
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
    caplog.set_level(logging.WARNING)
    api = AwayForDays()
    seen: dict[str, int] = {}
    follower = Follower(
        api,
        MODEL_ROUTE,
        put=lambda found: seen.update(generation_of(found)),
        remove=lambda _: None,
        clock=lambda: api.now,
        sleep=api.sleep,
    )
    task = asyncio.create_task(follower.run())

    await until(lambda: api.lists == 2, 30)
    task.cancel()
    await asyncio.wait([task])

    assert seen == {"digits": 2}
    assert api.failures >= AWAY_SECONDS / LONGEST_PAUSE_SECONDS
    assert api.failures <= 2 * AWAY_SECONDS / LONGEST_PAUSE_SECONDS + 10
    assert [record.getMessage() for record in caplog.records] == ["modelroutes: no answer"]
    # The pause that a failure began, and the one before the list.
    assert api.now - AWAY_SECONDS <= 2 * LONGEST_PAUSE_SECONDS


class Pages:
    """A list of three pages, whose second one is too old at first, and a watch after it."""

    def __init__(self, *events: WatchEvent) -> None:
        self.events = events
        self.asked: list[str] = []
        self.watched_from: list[str] = []

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        del kind
        self.asked.append(rest)
        if self.asked == ["", "second"]:
            raise WatchExpired("the pages have changed")
        after = {"": "second", "second": "third", "third": ""}[rest]
        return ListedObjects([an_object(f"after {rest or 'nothing'}")], "7", after)

    async def watch(self, kind: Kind, version: str) -> AsyncIterator[WatchEvent]:
        del kind
        self.watched_from.append(version)
        for event in self.events:
            yield event
        await asyncio.Event().wait()


class Heard:
    """What a follower reports, in its order."""

    def __init__(self) -> None:
        self.of: list[tuple[str, str]] = []
        self.listed: list[set[str]] = []
        self.signs = Counter[str]()

    async def follow(self, pages: Pages, events: int) -> None:
        follower = Follower(
            pages,
            MODEL_ROUTE,
            put=lambda found: self.of.append(("put", found["metadata"]["name"])),
            remove=lambda found: self.of.append(("remove", found["metadata"]["name"])),
            on_listed=lambda names: self.listed.append(set(names)),
            on_alive=lambda: self.signs.update(["alive"]),
            sleep=lambda _: asyncio.sleep(0),
        )
        task = asyncio.create_task(follower.run())
        await until(lambda: len(self.of) >= events, 10)
        assert follower.listed.is_set()
        task.cancel()
        await asyncio.wait([task])


async def test_a_list_is_read_page_by_page_and_from_its_begin_where_a_page_is_too_old() -> None:
    pages, heard = Pages(WatchEvent("ADDED", an_object("new"))), Heard()

    await heard.follow(pages, 5)

    assert pages.asked == ["", "second", "", "second", "third"]
    assert heard.listed == [{"after nothing", "after second", "after third"}]
    assert pages.watched_from == ["7"]
    assert heard.of[-1] == ("put", "new")


async def test_what_changes_and_goes_is_reported_in_order_and_bookmarks_are_signs_of_life() -> None:
    changed, bookmark = an_object("new"), {"metadata": {"resourceVersion": "9"}}
    events = (
        WatchEvent("ADDED", changed),
        WatchEvent("BOOKMARK", bookmark),
        WatchEvent("MODIFIED", changed),
        WatchEvent("DELETED", changed),
    )
    silent, heard, other = Heard(), Heard(), Pages()

    await silent.follow(other, 4)
    await heard.follow(Pages(*events), 7)

    assert heard.of[-3:] == [("put", "new"), ("put", "new"), ("remove", "new")]
    assert heard.signs["alive"] == silent.signs["alive"] + len(events)
