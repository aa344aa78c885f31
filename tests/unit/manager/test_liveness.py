"""Liveness: what makes this process worth a restart, and what does not."""

import pytest
from slipway.api import kinds
from slipway.engine.queue import Key
from slipway.errors import ClusterUnavailable
from slipway.manager import liveness
from slipway.manager.watch import watch_names

from tests.unit.engine.fakes import FakeLeases, FakeLister
from tests.unit.manager.exposition import Exposed, expose
from tests.unit.reconcile.world import OperatorWorld

PODS = "pods.v1@None"


@pytest.fixture
async def exposed() -> Exposed:
    """A leader with a filled cache."""
    exposed = expose(OperatorWorld())
    exposed.machine.sweep.synced.set()
    await exposed.machine.elector.tick()
    return exposed


def lister(exposed: Exposed) -> FakeLister:
    found = exposed.machine.sweep._lister
    assert isinstance(found, FakeLister)
    return found


def broken(exposed: Exposed, *, watches_run: bool = True, trusts_newest: bool = True) -> list[str]:
    found = liveness.liveness_checks(exposed.machine, lambda: watches_run, lambda: trusts_newest)
    return [check.name for check in found if not check.holds()]


async def pass_time(exposed: Exposed, seconds: int, *, silent: str = "") -> None:
    """Let time pass in which everything but one watch gives signs of life."""
    for _ in range(seconds // 10):
        exposed.clock.forward(10)
        for watch in watch_names(()):
            if watch != silent:
                exposed.machine.heartbeats.beat(watch)
        await exposed.machine.elector.tick()


async def test_a_process_in_good_order_is_alive(exposed: Exposed) -> None:
    await pass_time(exposed, 1200)
    assert broken(exposed) == []


async def test_a_watch_that_falls_silent_is_noticed(exposed: Exposed) -> None:
    await pass_time(exposed, 290, silent=PODS)
    assert broken(exposed) == []

    await pass_time(exposed, 20, silent=PODS)
    assert broken(exposed) == ["every watch gives signs of life"]
    assert liveness.silent_kinds(exposed.machine) == ["Pod"]

    exposed.machine.heartbeats.beat(PODS)
    assert broken(exposed) == []


async def test_nobody_waits_for_a_watch_that_is_not_made(exposed: Exposed) -> None:
    exposed.machine.heartbeats.forget([PODS])
    await pass_time(exposed, 600, silent=PODS)
    assert broken(exposed) == []


async def test_silence_says_nothing_where_no_sign_was_ever_heard(exposed: Exposed) -> None:
    for _ in range(60):
        exposed.clock.forward(10)
        await exposed.machine.elector.tick()
    assert liveness.silent_kinds(exposed.machine) == []


async def test_an_api_server_that_is_away_is_no_reason_for_a_restart(exposed: Exposed) -> None:
    leases = FakeLeases(is_down=True)
    exposed.machine.elector._store = leases
    lister(exposed).is_down = True

    for minute in range(120):
        for _ in range(6):
            exposed.clock.forward(10)
            await exposed.machine.elector.tick()
        with pytest.raises(ClusterUnavailable):
            await exposed.machine.sweep.sweep()
        assert broken(exposed) == [], f"after {minute} minutes"
    leases.is_down = False
    await exposed.machine.elector.tick()

    assert broken(exposed) == [], "the watches need a moment, too"


async def test_rights_that_are_gone_are_no_reason_for_a_restart(exposed: Exposed) -> None:
    lister(exposed).forbidden = {(kind, None) for kind in kinds.WATCHED}
    for _ in range(10):
        await pass_time(exposed, 600)
        with pytest.raises(ClusterUnavailable):
            await exposed.machine.sweep.sweep()
        assert broken(exposed) == []


async def test_sweeps_that_stand_still_are_noticed(exposed: Exposed) -> None:
    await pass_time(exposed, 2390)
    assert broken(exposed) == []
    await pass_time(exposed, 20)
    assert broken(exposed) == ["the sweep runs"]


async def test_an_election_that_stands_still_is_noticed(exposed: Exposed) -> None:
    exposed.clock.forward(61)
    assert broken(exposed) == ["the election runs"]


async def test_watches_that_ended_are_noticed(exposed: Exposed) -> None:
    assert broken(exposed, watches_run=False) == ["the watches run"]


async def test_authorities_that_are_older_than_the_file_are_noticed(exposed: Exposed) -> None:
    found = broken(exposed, trusts_newest=False)
    assert found == ["the API server's newest authorities are trusted"]


async def test_a_queue_that_nobody_serves_is_noticed() -> None:
    world = OperatorWorld()
    exposed = expose(world)
    await exposed.machine.elector.tick()
    exposed.machine.queue.add(Key(kinds.MODEL_DEPLOYMENT.kind, "vision", "digits"))
    exposed.clock.forward(901)
    world.clock.pass_on(901)

    assert broken(exposed) == ["the queue moves"]


async def test_until_the_cache_is_filled_nothing_but_the_watches_counts() -> None:
    exposed = expose(OperatorWorld())
    exposed.clock.forward(100_000)
    assert broken(exposed) == []


def test_each_watch_of_each_namespace_has_a_pulse_of_its_own() -> None:
    names = watch_names(("a", "b"))
    assert len(names) == 2 * len(kinds.WATCHED)
    assert {"pods.v1@a", "pods.v1@b", "modeldeployments.v1alpha1.slipway.dev@a"} <= set(names)
