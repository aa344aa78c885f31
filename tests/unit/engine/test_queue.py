"""The work queue: no wake-up lost, nothing done twice at a time, the earliest wish counts."""

import asyncio

import pytest
from slipway.engine.queue import LAST_BACKOFF_SECONDS, Key, WorkQueue

from tests.unit.engine.fakes import FakeClock

DIGITS = Key("ModelDeployment", "vision", "digits")
FACES = Key("ModelDeployment", "vision", "faces")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> WorkQueue:
    return WorkQueue(now=clock, chance=lambda: 0.5)


def test_a_key_that_was_added_twice_comes_up_once(queue: WorkQueue) -> None:
    queue.add(DIGITS)
    queue.add(DIGITS)
    assert queue.take() == DIGITS
    assert queue.take() is None


def test_keys_come_up_in_the_order_in_which_they_were_added(queue: WorkQueue) -> None:
    queue.add(FACES)
    queue.add(DIGITS)
    assert [queue.take(), queue.take()] == [FACES, DIGITS]


def test_an_event_during_a_pass_brings_the_key_up_again_right_after(queue: WorkQueue) -> None:
    queue.add(DIGITS)
    queue.take()
    queue.add(DIGITS)

    assert queue.take() is None, "never two passes of one key at a time"

    queue.done(DIGITS)
    assert queue.take() == DIGITS


def test_an_event_during_a_failing_pass_is_not_delayed_by_the_back_off(queue: WorkQueue) -> None:
    queue.add(DIGITS)
    queue.take()
    queue.add(DIGITS)
    queue.failed(DIGITS)

    assert queue.take() == DIGITS


def test_of_several_due_times_the_earliest_counts(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add_after(DIGITS, 10)
    queue.add_after(DIGITS, 3)
    queue.add_after(DIGITS, 20)
    clock.forward(2.9)

    assert queue.take() is None

    clock.forward(0.1)
    assert queue.take() == DIGITS

    queue.done(DIGITS)
    clock.forward(100)
    assert queue.take() is None, "the later wishes went with the earliest"


def test_a_pass_that_comes_early_replaces_the_wish_for_a_later_one(
    queue: WorkQueue, clock: FakeClock
) -> None:
    queue.add_after(DIGITS, 10)
    queue.add(DIGITS)
    queue.take()
    queue.done(DIGITS, requeue_after=30)
    clock.forward(20)

    assert queue.take() is None

    clock.forward(10)
    assert queue.take() == DIGITS


def test_a_wish_made_during_a_pass_outlives_it(queue: WorkQueue, clock: FakeClock) -> None:
    queue.add(DIGITS)
    queue.take()
    queue.add_after(DIGITS, 5)
    queue.done(DIGITS, requeue_after=60)
    clock.forward(5)

    assert queue.take() == DIGITS


def test_back_off_doubles_up_to_its_limit_and_starts_anew_after_a_success(
    queue: WorkQueue, clock: FakeClock
) -> None:
    waits = []

    for _ in range(12):
        queue.add(DIGITS)
        queue.take()
        waits.append(queue.failed(DIGITS))
    assert waits[:4] == pytest.approx([0.2, 0.4, 0.8, 1.6])
    assert waits[-1] == LAST_BACKOFF_SECONDS

    clock.forward(LAST_BACKOFF_SECONDS)
    queue.take()
    queue.done(DIGITS)
    queue.add(DIGITS)
    queue.take()

    assert queue.failed(DIGITS) == pytest.approx(0.2)


def test_the_failures_of_one_key_do_not_delay_another(queue: WorkQueue) -> None:
    queue.add(DIGITS)
    queue.take()
    queue.failed(DIGITS)
    queue.add(FACES)

    assert queue.take() == FACES


def test_jitter_spreads_back_offs_to_both_sides() -> None:
    for chance, wait in ((0.0, 0.16), (1.0, 0.24)):
        queue = WorkQueue(now=FakeClock(), chance=lambda chance=chance: chance)  # type: ignore[misc]
        queue.add(DIGITS)
        queue.take()
        assert queue.failed(DIGITS) == pytest.approx(wait)


async def test_a_waiting_worker_is_woken_by_an_event() -> None:
    queue = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(DIGITS)

    assert await asyncio.wait_for(worker, 5) == DIGITS


async def test_a_waiting_worker_is_woken_when_a_key_falls_due() -> None:
    queue = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after(FACES, 0.02)
    queue.add_after(DIGITS, 0.01)

    assert await asyncio.wait_for(worker, 5) == DIGITS
    assert await asyncio.wait_for(queue.get(), 5) == FACES


async def test_a_cancelled_worker_passes_its_wake_up_on() -> None:
    queue = WorkQueue()
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(DIGITS)
    first.cancel()

    assert await asyncio.wait_for(second, 5) == DIGITS


def test_the_oldest_key_is_the_one_that_waits_longest(queue: WorkQueue, clock: FakeClock) -> None:
    assert queue.longest_wait == 0

    queue.add(DIGITS)
    clock.forward(3)
    queue.add(FACES)
    queue.add(DIGITS)

    assert queue.longest_wait == 3

    queue.take()
    assert queue.longest_wait == 0

    clock.forward(2)
    queue.add(DIGITS)
    clock.forward(5)

    assert queue.longest_wait == 7, (
        "faces has waited longer than the word that came during the pass"
    )

    queue.take()
    queue.done(DIGITS)
    assert queue.longest_wait == 5, "what came during the pass waits since it came"
