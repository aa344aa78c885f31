"""Workers: whatever a pass does, the others go on and its key comes up again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from slipway.engine import log_context
from slipway.engine.queue import Key, WorkQueue
from slipway.engine.worker import Worker
from slipway.errors import ClusterUnavailable, ConflictError, FencedError

KIND = "ModelDeployment"
GOOD = Key(KIND, "vision", "good")
BAD = Key(KIND, "vision", "bad")

Done = Callable[[], bool]


async def until(condition: Done, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- plain state has no event
            await asyncio.sleep(0.001)


async def open_gate() -> None:
    return


class Passes:
    """Remembers passes; raises what the test put under a key's name."""

    def __init__(self) -> None:
        self.seen: list[Key] = []
        self.errors: dict[Key, list[Exception]] = {}
        self.meanwhile: Callable[[Key], Awaitable[None]] | None = None

    async def __call__(self, key: Key) -> float | None:
        self.seen.append(key)
        if self.meanwhile is not None:
            await self.meanwhile(key)
        if self.errors.get(key):
            raise self.errors[key].pop(0)
        return None


@pytest.fixture
def passes() -> Passes:
    return Passes()


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("a bug"), id="a bug"),
        pytest.param(ClusterUnavailable("no answer"), id="a dependency that is away"),
        pytest.param(FencedError("not the leader"), id="the fence"),
        pytest.param(ConflictError("whose is it"), id="a refusal that was not handled"),
    ],
)
async def test_a_pass_that_fails_comes_up_again_and_holds_nobody_up(
    passes: Passes, error: Exception
) -> None:
    queue = WorkQueue()
    passes.errors[BAD] = [error]
    queue.add(BAD)
    queue.add(GOOD)
    worker = asyncio.create_task(Worker(queue, {KIND: passes}, gate=open_gate).serve())
    await until(lambda: passes.seen == [BAD, GOOD, BAD])
    worker.cancel()


async def test_an_event_that_lands_in_the_middle_of_a_pass_is_not_lost(passes: Passes) -> None:
    queue = WorkQueue()
    at_work, go_on = asyncio.Event(), asyncio.Event()

    async def stop_in_the_middle(_: Key) -> None:
        at_work.set()
        await go_on.wait()

    passes.meanwhile = stop_in_the_middle
    queue.add(GOOD)
    worker = asyncio.create_task(Worker(queue, {KIND: passes}, gate=open_gate).serve())
    await asyncio.wait_for(at_work.wait(), 5)
    queue.add(GOOD)
    go_on.set()
    await until(lambda: passes.seen == [GOOD, GOOD])
    worker.cancel()


async def test_nothing_is_worked_on_before_the_gate_opens(passes: Passes) -> None:
    queue = WorkQueue()
    gate = asyncio.Event()
    worker = asyncio.create_task(Worker(queue, {KIND: passes}, gate=gate.wait).serve())
    queue.add(GOOD)
    for _ in range(10):
        await asyncio.sleep(0)

    assert passes.seen == []

    gate.set()
    await until(lambda: passes.seen == [GOOD])
    worker.cancel()


async def test_draining_waits_for_the_pass_under_way(passes: Passes) -> None:
    queue = WorkQueue()
    go_on = asyncio.Event()

    async def wait(_: Key) -> None:
        await go_on.wait()

    passes.meanwhile = wait
    queue.add(GOOD)
    worker = Worker(queue, {KIND: passes}, gate=open_gate)
    task = asyncio.create_task(worker.serve())
    await until(lambda: passes.seen == [GOOD])
    drained = asyncio.create_task(worker.drain(5))
    await asyncio.sleep(0)

    assert not drained.done()

    go_on.set()
    await asyncio.wait_for(drained, 5)
    task.cancel()


async def test_a_pass_that_is_stuck_is_cut_off_and_tried_again(passes: Passes) -> None:
    queue = WorkQueue()
    never = asyncio.Event()

    async def hang_once(_: Key) -> None:
        if len(passes.seen) == 1:
            await never.wait()

    passes.meanwhile = hang_once
    queue.add(BAD)
    worker = Worker(queue, {KIND: passes}, gate=open_gate, limit_seconds=0.01)
    task = asyncio.create_task(worker.serve())
    await until(lambda: passes.seen == [BAD, BAD])
    task.cancel()


async def test_a_pass_knows_what_it_is_about_and_nothing_of_the_one_before(passes: Passes) -> None:
    fields: list[dict[str, str]] = []

    async def look(key: Key) -> None:
        log_context.add_fields(revision=f"of {key.name}" if key == GOOD else None)
        fields.append(dict(log_context.current_fields()))

    passes.meanwhile = look
    queue = WorkQueue()
    worker = Worker(queue, {KIND: passes}, gate=open_gate)
    for key in (GOOD, BAD):
        queue.add(key)
        assert queue.take() == key
        await worker.process(key)
    of = {"kind": KIND, "namespace": "vision"}

    assert fields == [{**of, "name": "good", "revision": "of good"}, {**of, "name": "bad"}]
