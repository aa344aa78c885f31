"""The sweep: ghosts go, new objects stay, and work starts only when the cache is filled."""

import asyncio
from dataclasses import replace
from functools import partial

import pytest
from slipway.api.kinds import DEPLOYMENT, POD
from slipway.engine.cache import Cache, Ref
from slipway.engine.sweep import BARRIER_POLL_SECONDS, BARRIER_SECONDS, Sweep
from slipway.errors import ClusterUnavailable, Forbidden

from tests.unit.engine.fakes import FakeClock, FakeLister
from tests.unit.engine.test_worker import until

DIGITS = Ref(DEPLOYMENT, "vision", "digits", uid="u1", version=5)
FACES = Ref(DEPLOYMENT, "vision", "faces", uid="u2", version=6)
LAST = Ref(POD, "vision", "digits-0", uid="u3", version=7)
KINDS = (DEPLOYMENT, POD)


class World:
    """A cluster, a cache, and the ghosts that were found."""

    def __init__(self, *namespaces: str) -> None:
        self.cache = Cache()
        self.lister = FakeLister()
        self.clock = FakeClock()
        self.ghosts: list[Ref] = []
        self.sweep = Sweep(
            self.cache,
            self.lister,
            KINDS,
            namespaces=namespaces,
            on_ghost=self.remove,
            now=self.clock,
        )

    def remove(self, ref: Ref) -> None:
        self.ghosts.append(ref)
        self.cache.remove(ref)

    def show(self, *refs: Ref) -> None:
        for ref in refs:
            self.cache.store(ref, "projection")


def is_behind(world: World, number: int) -> bool:
    return world.sweep.behind == number


async def test_an_object_whose_deletion_was_missed_is_removed() -> None:
    world = World()
    world.show(DIGITS, FACES)
    world.lister.add(DIGITS)
    await world.sweep.sweep()

    assert world.ghosts == [FACES]
    assert len(world.cache) == 1


async def test_an_object_that_appears_during_the_list_is_no_ghost() -> None:
    world = World()
    world.lister.meanwhile = lambda: world.show(FACES)
    await world.sweep.sweep()
    assert world.ghosts == []


async def test_namespaces_that_are_not_swept_are_no_ghosts_of_those_that_are() -> None:
    world = World("vision", "speech")
    heard = Ref(POD, "speech", "p", uid="u3")
    world.show(DIGITS, heard)
    world.lister.add(DIGITS, heard)
    await world.sweep.sweep()

    assert world.ghosts == []


async def test_nothing_is_removed_when_the_api_server_does_not_answer() -> None:
    world = World()
    world.show(DIGITS)
    world.lister.is_down = True

    with pytest.raises(ClusterUnavailable):
        await world.sweep.sweep()
    assert len(world.cache) == 1


async def test_a_namespace_whose_rights_are_gone_costs_no_other_its_sweep() -> None:
    world = World("gone", "vision")
    lost = Ref(DEPLOYMENT, "gone", "digits", uid="u9")

    world.show(lost, DIGITS, FACES)
    world.lister.add(DIGITS)
    world.lister.forbidden = {(kind, "gone") for kind in KINDS}
    await world.sweep.sweep()

    assert world.ghosts == [FACES], "of what cannot be listed nothing is known"
    assert set(world.sweep.failures) == world.lister.forbidden

    world.lister.forbidden = set()
    await world.sweep.sweep()
    assert world.ghosts == [FACES, lost]
    assert world.sweep.failures == {}


async def test_a_kind_without_an_answer_costs_no_other_its_sweep() -> None:
    world = World()
    heard = Ref(POD, "vision", "p", uid="u3")
    world.show(FACES, heard)
    world.lister.broken = {DEPLOYMENT}

    with pytest.raises(ClusterUnavailable):
        await world.sweep.sweep()
    assert world.ghosts == [heard]
    assert set(world.sweep.failures) == {(DEPLOYMENT, None)}


async def test_a_right_that_is_missing_everywhere_is_no_sweep() -> None:
    world = World()
    world.lister.forbidden = {(POD, None)}
    with pytest.raises(ClusterUnavailable, match="cannot list"):
        await world.sweep.sweep()


async def test_only_a_sweep_in_which_nothing_failed_went_well_and_any_goes_on() -> None:
    world = World("gone", "vision")
    world.lister.forbidden = {(POD, "gone")}
    world.clock.forward(100)
    await world.sweep.sweep()

    assert (world.sweep.age, world.sweep.idle) == (100, 0)

    world.lister.forbidden = set()
    await world.sweep.sweep()
    assert world.sweep.age == 0


async def test_work_does_not_wait_for_a_namespace_whose_rights_are_gone() -> None:
    world = World("gone", "vision")
    world.lister.add(DIGITS)
    world.show(DIGITS)
    world.lister.forbidden = {(kind, "gone") for kind in KINDS}
    running = asyncio.create_task(world.sweep.run())
    await until(world.sweep.synced.is_set)
    running.cancel()


async def test_work_waits_for_an_api_server_that_answers_in_part() -> None:
    world = World()
    world.lister.broken = {POD}
    running = asyncio.create_task(world.sweep.run())
    await asyncio.sleep(0.05)

    assert not world.sweep.synced.is_set()

    running.cancel()


async def test_what_is_left_out_is_not_swept_and_stays_known_as_missing() -> None:
    world = World("gone", "vision")
    why = Forbidden("cannot list pods")
    world.sweep.leave_out({(POD, "gone"): why})
    world.lister.add(Ref(DEPLOYMENT, "gone", "digits", uid="u9"))
    await world.sweep.sweep()

    assert world.sweep.behind == 0
    assert world.sweep.failures == {(POD, "gone"): why}


async def test_work_waits_until_the_watches_have_shown_every_object() -> None:
    world = World()
    world.lister.add(DIGITS, FACES)
    running = asyncio.create_task(world.sweep.run())
    await asyncio.sleep(0.01)
    world.show(DIGITS)
    await asyncio.sleep(0.15)

    assert not world.sweep.synced.is_set()

    world.show(FACES)
    await until(world.sweep.synced.is_set)
    running.cancel()


async def test_work_waits_longer_while_the_watches_show_more_and_more() -> None:
    world = World()

    world.lister.add(DIGITS, FACES, LAST)
    running = asyncio.create_task(world.sweep.run())
    for ref, left in ((DIGITS, 2), (FACES, 1)):
        world.show(ref)
        await until(partial(is_behind, world, left))
        world.clock.forward(0.9 * BARRIER_SECONDS)
        await asyncio.sleep(3 * BARRIER_POLL_SECONDS)
        assert not world.sweep.synced.is_set()
    world.clock.forward(BARRIER_SECONDS)
    await until(world.sweep.synced.is_set)

    assert world.sweep.behind == 1

    running.cancel()


async def test_a_watch_that_does_not_catch_up_between_two_sweeps_is_dead() -> None:
    world = World()
    world.show(DIGITS)
    world.lister.add(replace(DIGITS, version=9))
    await world.sweep.sweep()

    assert not world.sweep.watch_is_dead, "it may just be late"

    await world.sweep.sweep()
    assert world.sweep.watch_is_dead

    world.show(replace(DIGITS, version=9))
    await world.sweep.sweep()
    assert not world.sweep.watch_is_dead


async def test_a_busy_object_whose_watch_keeps_up_is_not_taken_for_dead() -> None:
    world = World()
    for version in range(10, 15):
        world.lister.add(replace(DIGITS, version=version))
        await world.sweep.sweep()
        world.show(replace(DIGITS, version=version))
    assert not world.sweep.watch_is_dead
