"""One replica alone: its Lease is written when it changes hands, and no safety is given up."""

import pytest
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.quiet_lease import QuietLeases

from tests.unit.engine.fakes import FakeClock, FakeLeases

TIMES = LeaseTimes(duration=30, renew=10, write_window=20)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


def alone(name: str, leases: FakeLeases, clock: FakeClock) -> Elector:
    return Elector(QuietLeases(leases), identity=name, times=TIMES, now=clock, wall=clock.wall)


async def test_a_day_of_leading_is_one_write(leases: FakeLeases, clock: FakeClock) -> None:
    a = alone("a", leases, clock)
    for _ in range(24 * 360):
        await a.tick()
        assert a.may_write()
        clock.forward(TIMES.renew)

    assert leases.writes == 1


async def test_who_ends_gives_it_back_at_once(leases: FakeLeases, clock: FakeClock) -> None:
    a, b = alone("a", leases, clock), alone("b", leases, clock)
    await a.tick()
    await a.tick()
    await a.release()
    await b.tick()

    assert (a.may_write(), b.may_write()) == (False, True)
    assert leases.writes == 3


async def test_who_cannot_reach_the_api_server_may_not_write(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = alone("a", leases, clock)
    await a.tick()
    leases.is_down = True
    clock.forward(TIMES.write_window + 1)
    await a.tick()

    assert not a.may_write()
    leases.is_down = False
    await a.tick()
    assert a.may_write()
    assert leases.writes == 1


async def test_one_that_died_is_followed_when_its_lease_runs_out(
    leases: FakeLeases, clock: FakeClock
) -> None:
    await alone("dead", leases, clock).tick()
    heir = alone("heir", leases, clock)
    await heir.tick()
    assert not heir.may_write()
    clock.forward(TIMES.duration + 1)
    await heir.tick()

    assert heir.may_write()
    assert heir.epoch == "1.heir"


async def test_a_second_one_that_takes_the_lease_ends_the_first(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = alone("a", leases, clock), alone("b", leases, clock)
    await a.tick()
    await b.tick()
    clock.forward(TIMES.duration + 1)
    await b.tick()
    await a.tick()

    assert (a.leading.is_set(), b.leading.is_set()) == (False, True)


async def test_a_lease_that_somebody_deleted_is_taken_again(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = alone("a", leases, clock)
    await a.tick()
    leases.record = None
    await a.tick()

    assert a.may_write()
    assert leases.record is not None
