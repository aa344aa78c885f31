"""Leader election: one leader, a fence in time, and no trust in foreign clocks."""

from dataclasses import replace
from datetime import timedelta

import pytest
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.quiet_lease import QuietLeases
from slipway.errors import FencedError

from tests.unit.engine.fakes import FakeClock, FakeLeases

TIMES = LeaseTimes(duration=15, renew=2, write_window=7)
ALONE = LeaseTimes(duration=30, renew=10, write_window=20)
"""Of a single replica, whose Lease is written when it changes hands."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


def elector(name: str, leases: FakeLeases, clock: FakeClock) -> Elector:
    return Elector(leases, identity=name, times=TIMES, now=clock, wall=clock.wall)


def alone(name: str, leases: FakeLeases, clock: FakeClock) -> Elector:
    return Elector(QuietLeases(leases), identity=name, times=ALONE, now=clock, wall=clock.wall)


async def test_the_first_to_come_leads(leases: FakeLeases, clock: FakeClock) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    await a.tick()
    await b.tick()

    assert (a.leading.is_set(), b.leading.is_set()) == (True, False)
    assert (a.may_write(), b.may_write()) == (True, False)


async def test_a_leader_that_renews_is_never_replaced(leases: FakeLeases, clock: FakeClock) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    for _ in range(60):
        await a.tick()
        await b.tick()
        clock.forward(2)
    assert a.leading.is_set()
    assert not b.leading.is_set()


async def test_the_fence_falls_before_another_may_take_over(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)

    await a.tick()
    await b.tick()
    clock.forward(7)

    assert a.may_write()

    clock.forward(0.1)
    assert not a.may_write()
    with pytest.raises(FencedError):
        a.ensure_may_write()

    clock.forward(7.8)
    await b.tick()
    assert not b.leading.is_set(), "the lease has not run out"

    clock.forward(0.2)
    await b.tick()
    assert b.may_write()
    assert not a.may_write()


async def test_a_released_lease_is_taken_at_once(leases: FakeLeases, clock: FakeClock) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    await a.tick()
    await b.tick()
    await a.release()

    assert not a.may_write()

    await b.tick()
    assert b.may_write()

    await a.tick()
    assert not a.leading.is_set(), "who released does not come back"


async def test_a_connection_error_is_survived_and_the_lease_kept(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = elector("a", leases, clock)

    await a.tick()
    leases.is_down = True
    clock.forward(5)

    assert not await a.tick()
    assert a.may_write(), "the last renewal is recent enough"

    clock.forward(5)
    await a.tick()
    assert not a.may_write()
    assert a.leading.is_set(), "no other replica can have taken it yet"

    leases.is_down = False
    await a.tick()
    assert a.may_write()


async def test_a_leader_that_could_not_renew_in_time_stands_back(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = elector("a", leases, clock)
    await a.tick()
    leases.is_down = True
    clock.forward(15.1)
    await a.tick()

    assert not a.leading.is_set()


async def test_a_renewal_whose_answer_was_lost_does_not_cost_the_lease(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = elector("a", leases, clock)
    await a.tick()
    leases.loses_answers = True
    clock.forward(2)
    await a.tick()
    leases.loses_answers = False
    clock.forward(2)
    await a.tick()

    assert a.may_write()
    assert leases.record is not None
    assert leases.record.transitions == 0


async def test_a_leader_that_was_stopped_for_a_minute_finds_its_successor(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    await a.tick()
    await b.tick()
    clock.forward(60)
    await b.tick()

    assert b.may_write()
    assert not a.may_write(), "before it even asked"

    await a.tick()
    assert not a.leading.is_set()
    assert leases.record is not None
    assert leases.record.holder == "b"


async def test_a_foreign_clock_that_is_wrong_by_an_hour_changes_nothing(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    await a.tick()
    assert leases.record is not None

    leases.record = replace(leases.record, renewed=leases.record.renewed - timedelta(hours=1))
    await b.tick()
    assert not b.leading.is_set()


async def test_transitions_are_counted_and_name_each_leadership(
    leases: FakeLeases, clock: FakeClock
) -> None:
    epochs = []
    for name in ("a", "b", "a"):
        leader = elector(name, leases, clock)
        await leader.tick()
        epochs.append(leader.epoch)
        await leader.release()
    assert epochs == ["0.a", "1.b", "2.a"]


async def test_a_new_process_waits_a_full_lease_for_a_holder_it_never_saw_renew(
    leases: FakeLeases, clock: FakeClock
) -> None:
    await elector("dead", leases, clock).tick()
    clock.forward(14)
    late = elector("late", leases, clock)
    await late.tick()
    clock.forward(14)
    await late.tick()

    assert not late.leading.is_set()

    clock.forward(1.1)
    await late.tick()
    assert late.leading.is_set()


async def test_a_race_for_a_lease_that_ran_out_has_one_winner(
    leases: FakeLeases, clock: FakeClock
) -> None:
    await elector("dead", leases, clock).tick()
    a, b = elector("a", leases, clock), elector("b", leases, clock)
    await a.tick()
    await b.tick()
    clock.forward(16)
    await a.tick()
    await b.tick()

    assert [a.leading.is_set(), b.leading.is_set()] == [True, False]


async def test_a_day_of_leading_alone_is_one_write(leases: FakeLeases, clock: FakeClock) -> None:
    a = alone("a", leases, clock)
    for _ in range(24 * 360):
        await a.tick()
        assert a.may_write()
        clock.forward(ALONE.renew)

    assert leases.writes == 1


async def test_who_led_alone_gives_the_lease_back_at_once(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = alone("a", leases, clock), alone("b", leases, clock)
    await a.tick()
    await a.tick()
    await a.release()
    await b.tick()

    assert (a.may_write(), b.may_write()) == (False, True)
    assert leases.writes == 3


async def test_who_leads_alone_and_cannot_reach_the_api_server_may_not_write(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = alone("a", leases, clock)
    await a.tick()
    leases.is_down = True
    clock.forward(ALONE.write_window + 1)
    await a.tick()

    assert not a.may_write()
    leases.is_down = False
    await a.tick()
    assert a.may_write()
    assert leases.writes == 1


async def test_one_that_died_alone_is_followed_when_its_lease_runs_out(
    leases: FakeLeases, clock: FakeClock
) -> None:
    await alone("dead", leases, clock).tick()
    heir = alone("heir", leases, clock)
    await heir.tick()
    assert not heir.may_write()
    clock.forward(ALONE.duration + 1)
    await heir.tick()

    assert heir.may_write()
    assert heir.epoch == "1.heir"


async def test_a_second_one_that_takes_the_lease_ends_who_led_alone(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a, b = alone("a", leases, clock), alone("b", leases, clock)
    await a.tick()
    await b.tick()
    clock.forward(ALONE.duration + 1)
    await b.tick()
    await a.tick()

    assert (a.leading.is_set(), b.leading.is_set()) == (False, True)


async def test_a_lease_that_somebody_deleted_is_taken_again_by_who_led_alone(
    leases: FakeLeases, clock: FakeClock
) -> None:
    a = alone("a", leases, clock)
    await a.tick()
    leases.record = None
    await a.tick()

    assert a.may_write()
    assert leases.record is not None
