"""A crash around any write ends where no crash ends, and breaks no promise on the way."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slipway.errors import ClusterUnavailable
from slipway.policy.action_grammar import VERBS

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import OperatorWorld, differences, final_state

QUIET_SECONDS = 12
"""Longer than every wait of these rollouts: acknowledgements are looked at every 5 s."""
QUICK = {"intervalSeconds": 1, "minSamples": 10, "warmUpSeconds": 0}
SPEC: dict[str, Any] = {
    "rollout": {"bakeSeconds": 4, "analysis": QUICK},
    "scaling": {"minReplicas": 2},
}


async def served() -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1", **SPEC)
    await world.settle(quiet_seconds=QUIET_SECONDS)
    assert world.serving() == "1"
    return world


async def create(world: OperatorWorld) -> None:
    await world.ask_for("1", **SPEC)
    await world.settle(quiet_seconds=QUIET_SECONDS)


async def forward(world: OperatorWorld) -> None:
    await world.ask_for("2", **SPEC)
    await world.settle(quiet_seconds=QUIET_SECONDS)


async def switch(world: OperatorWorld) -> None:
    await world.ask_for("2", **by_strategy("BlueGreen"))
    await world.settle(quiet_seconds=QUIET_SECONDS)


async def recreate(world: OperatorWorld) -> None:
    await world.ask_for("2", **by_strategy("Recreate"))
    await world.settle(quiet_seconds=QUIET_SECONDS)


def by_strategy(strategy: str) -> dict[str, Any]:
    return {**SPEC, "rollout": {**SPEC["rollout"], "strategy": strategy, "steps": None}}


async def back(world: OperatorWorld) -> None:
    world.controllers.faults["2"] = "errors"
    await forward(world)


async def refused(world: OperatorWorld) -> None:
    world.controllers.faults["2"] = "golden"
    await forward(world)


WORKLOADS = {
    "create": create,
    "forward": forward,
    "switch": switch,
    "recreate": recreate,
    "back": back,
    "refused": refused,
    "revert": create,
}
ENDS = {
    "create": "1",
    "forward": "2",
    "switch": "2",
    "recreate": "2",
    "back": "1",
    "refused": "1",
    "revert": "1",
}


class Watched(Trouble):
    """Keeps the world as it is around every write: what a killed operator leaves behind."""

    def __init__(self, world: OperatorWorld) -> None:
        self._world = world
        self._last: object = None
        self.writes: list[Write] = []
        self.killed: list[tuple[str, OperatorWorld]] = []

    def before(self, write: Write) -> None:
        self._keep(f"before {write}")

    def after(self, write: Write) -> None:
        self.writes.append(write)
        self._keep(f"after {write}")

    def _keep(self, moment: str) -> None:
        state = (self._world.clock.now(), self._world.api.changes)
        if state != self._last:  # after one write is before the next, unless the world went on
            self._last = state
            self.killed.append((moment, self._world.fork()))


class Lost(Trouble):
    """One write, or the answer to it, gets lost, and the operator lives on."""

    def __init__(self, number: int, *, is_written: bool) -> None:
        self._left = number
        self._is_written = is_written
        self.write: Write | None = None

    def before(self, write: Write) -> None:
        self._left -= 1
        if not self._left and not self._is_written:
            self.write = write
            raise ClusterUnavailable("the write is lost")

    def after(self, write: Write) -> None:
        if not self._left and self.write is None:
            self.write = write
            raise ClusterUnavailable("the answer is lost")


async def calm(workload: str) -> tuple[OperatorWorld, Watched, dict[str, Any]]:
    """Return the start, what any kill leaves, and the end of an undisturbed run."""
    match workload:
        case "create":
            start = OperatorWorld()
        case "revert":
            start = await served_twice()
        case _:
            start = await served()
    world = start.fork()
    world.trouble = watched = Watched(world)
    world.start()
    await WORKLOADS[workload](world)
    assert world.serving() == ENDS[workload]
    return start, watched, final_state(world)


@pytest.mark.parametrize("workload", WORKLOADS)
async def test_a_kill_around_any_write_changes_nothing_in_the_end(workload: str) -> None:
    _, watched, wanted = await calm(workload)
    assert len(watched.killed) > len(watched.writes) > 10
    for moment, world in watched.killed:
        await world.settle(quiet_seconds=QUIET_SECONDS)
        found = differences(final_state(world), wanted)
        assert not found, moment
        assert not world.controllers.lost, moment


def telling(writes: list[Write], *, every: int) -> list[int]:
    """Return numbers of writes: all that are no status, and some of the many that are."""
    numbers = range(1, len(writes) + 1)
    told = [number for number in numbers if writes[number - 1].verb == "status"]
    return sorted({*numbers} - {*told} | {*told[::4]})[::every]


@pytest.mark.parametrize("is_written", [True, False])
@pytest.mark.parametrize("workload", WORKLOADS)
async def test_a_lost_answer_or_write_changes_nothing_in_the_end(
    workload: str, is_written: bool
) -> None:
    start, watched, wanted = await calm(workload)
    for number in telling(watched.writes, every=1 if is_written else 3):
        world = start.fork()
        world.trouble = lost = Lost(number, is_written=is_written)
        world.start()
        await WORKLOADS[workload](world)
        found = differences(final_state(world), wanted)
        assert not found, str(lost.write)
        assert lost.write is not None
        assert not world.controllers.lost


# ── actions ──

HELD: list[dict[str, Any]] = [
    {"weight": 10, "holdSeconds": 600},
    {"weight": 50, "holdSeconds": 600},
]
FREE: list[dict[str, Any]] = [{"weight": 10}, HELD[1]]
APPROVED: list[dict[str, Any]] = [{"weight": 10}, {**HELD[1], "approval": "Required"}]


def stepped(*steps: dict[str, Any]) -> dict[str, Any]:
    return {**SPEC, "rollout": {**SPEC["rollout"], "steps": [*steps]}}


async def begun(*steps: dict[str, Any]) -> OperatorWorld:
    """Return a world in which version 2 has its first weight, and rests there."""
    world = await served()
    await world.ask_for("2", **stepped(*steps))
    await world.until(lambda: world.status()["rollout"].get("ackedWeight") == 10)
    await world.settle(quiet_seconds=QUIET_SECONDS)
    assert world.weights() == {"1": 90, "2": 10}
    return world


async def in_a_hold() -> OperatorWorld:
    return await begun(*HELD)


async def awaiting() -> OperatorWorld:
    return await begun(*APPROVED)


async def paused() -> OperatorWorld:
    world = await served()
    await world.act("pause")
    await world.ask_for("2", **stepped(*FREE))
    await world.until(lambda: world.stage() == "Paused")
    await world.settle(quiet_seconds=QUIET_SECONDS)
    return world


async def in_a_paused_hold() -> OperatorWorld:
    world = await begun(*HELD)
    await world.act("pause")
    await world.settle(quiet_seconds=QUIET_SECONDS)
    return world


async def refused_before() -> OperatorWorld:
    world = await served()
    await refused(world)
    world.controllers.faults.clear()
    return world


async def served_twice() -> OperatorWorld:
    world = await served()
    await forward(world)
    return world


ACTIONS: dict[str, tuple[Callable[[], Awaitable[OperatorWorld]], dict[str, int]]] = {
    "skip": (in_a_hold, {"1": 50, "2": 50}),
    "skip@{candidate}/1": (in_a_hold, {"1": 50, "2": 50}),
    "approve": (awaiting, {"1": 50, "2": 50}),
    "promote": (in_a_paused_hold, {"2": 100}),
    "abort": (in_a_hold, {"1": 100}),
    "rollback={first}": (served_twice, {"1": 100}),
    "pause": (in_a_hold, {"1": 90, "2": 10}),
    "resume": (paused, {"1": 50, "2": 50}),
    "retry": (refused_before, {"2": 100}),
}
"""Each with where it is asked, and the weights in the end."""


def test_every_action_is_killed_somewhere() -> None:
    assert {re.split("[=@]", verb)[0] for verb in ACTIONS} == VERBS


@pytest.mark.parametrize("verb", ACTIONS)
async def test_a_kill_around_any_write_of_an_action_changes_nothing_in_the_end(verb: str) -> None:
    make, wanted = ACTIONS[verb]
    world = await make()
    first = world.status()["history"][0]["revision"]
    candidate = world.status().get("candidate", {}).get("revision")
    world.trouble = watched = Watched(world)

    world.start()
    await world.act(verb.format(first=first, candidate=candidate))
    await world.settle(quiet_seconds=QUIET_SECONDS)

    assert world.weights() == wanted
    assert world.status()["lastAction"]["result"] == "Done"

    end = final_state(world)
    assert watched.killed

    for moment, twin in watched.killed:
        await twin.settle(quiet_seconds=QUIET_SECONDS)
        assert not differences(final_state(twin), end), moment
        assert not twin.controllers.lost, moment
