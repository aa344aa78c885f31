"""How long rollouts, detections and roll backs took: counted once, by whoever wrote their end."""

from collections import Counter
from typing import Any

import pytest
from slipway.policy.durations import Duration, Span

from tests.unit.manager.exposition import expose
from tests.unit.reconcile.test_crashes import QUIET_SECONDS, Watched, back, served
from tests.unit.reconcile.world import OperatorWorld

HOLD: dict[str, Any] = {"steps": [{"weight": 10, "holdSeconds": 600}]}
ONCE = {
    (Span.ROLLOUT, "RolledBack"): 1,
    (Span.DETECTION, "Progressing"): 1,
    (Span.ROLLBACK, "Stable"): 1,
}
"""What a candidate leaves that is rolled back in a step."""


async def serving(version: str = "1") -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for(version)
    await world.until(lambda: world.serving() == version)
    await world.settle()
    world.durations.seen.clear()
    return world


async def ended(world: OperatorWorld, outcome: str) -> None:
    await world.until(lambda: world.outcomes()[-1] == ("2", outcome), 900)
    await world.live()


def count(seen: list[Duration]) -> Counter[tuple[Span, str]]:
    return Counter((it.span, it.subject) for it in seen)


async def test_a_promotion_counts_from_the_begin_of_its_rollout() -> None:
    world = await serving()
    await world.ask_for("2", rollout=HOLD)
    await ended(world, "Promoted")

    ((outcome, seconds),) = world.durations.of(Span.ROLLOUT)
    assert outcome == "Promoted"
    assert 600 < seconds < 900
    assert world.durations.of(Span.DETECTION) == world.durations.of(Span.ROLLBACK) == []


async def test_a_roll_back_counts_once_for_each_of_its_times() -> None:
    world = await serving()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await ended(world, "RolledBack")

    assert count(world.durations.seen) == ONCE
    ((_, found_after),) = world.durations.of(Span.DETECTION)
    ((_, rolled_out),) = world.durations.of(Span.ROLLOUT)
    assert 0 < found_after < rolled_out
    ((_, taken_back),) = world.durations.of(Span.ROLLBACK)
    assert taken_back <= 2


async def test_a_rollout_that_a_newer_version_ends_is_no_detection() -> None:
    world = await serving()
    await world.ask_for("2", rollout=HOLD)
    await world.until(lambda: world.status()["rollout"]["ackedWeight"] == 10)
    await world.ask_for("3")
    await world.until(lambda: world.serving() == "3")
    await world.live()

    assert [it[0] for it in world.durations.of(Span.ROLLOUT)] == ["Superseded", "Promoted"]
    assert world.durations.of(Span.DETECTION) == []
    assert [it[0] for it in world.durations.of(Span.ROLLBACK)] == ["Stable"]


async def test_what_a_person_ends_is_no_detection() -> None:
    world = await serving()
    await world.ask_for("2", rollout=HOLD)
    await world.until(lambda: world.status()["rollout"]["ackedWeight"] == 10)
    await world.act("abort")
    await ended(world, "Aborted")

    assert count(world.durations.seen) == {
        (Span.ROLLOUT, "Aborted"): 1,
        (Span.ROLLBACK, "Stable"): 1,
    }


async def test_a_way_back_to_an_earlier_revision_is_told_apart() -> None:
    world = await serving()
    old = world.status()["stable"]["revision"]
    await world.ask_for("2")
    await world.until(lambda: world.serving() == "2")
    await world.settle()
    world.durations.seen.clear()

    await world.act(f"rollback={old}")
    await world.until(lambda: world.serving() == "1")
    await world.settle()

    assert count(world.durations.seen) == {
        (Span.ROLLOUT, "Promoted"): 1,
        (Span.ROLLBACK, "Earlier"): 1,
    }


async def test_a_version_that_no_user_met_has_neither_detection_nor_roll_back() -> None:
    world = await serving()
    world.controllers.faults["2"] = "golden"
    await world.ask_for("2", model={"goldenSet": {"uri": "https://models.example/golden.tar"}})
    await ended(world, "RejectedByGoldenSet")
    assert count(world.durations.seen) == {(Span.ROLLOUT, "RejectedByGoldenSet"): 1}


async def test_nothing_counts_at_rest_or_again_after_a_restart() -> None:
    world = await serving()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await ended(world, "RolledBack")
    await world.settle()
    world.durations.seen.clear()

    world.start()
    await world.live(120)
    assert world.durations.seen == []


class Counted(Watched):
    """Keeps beside each world what had been counted by then."""

    def __init__(self, world: OperatorWorld) -> None:
        super().__init__(world)
        self.counted: list[list[Duration]] = []

    def _keep(self, moment: str) -> None:
        kept = len(self.killed)
        super()._keep(moment)
        if len(self.killed) > kept:
            self.counted.append(list(self._world.durations.seen))


async def test_a_restart_at_any_moment_counts_nothing_twice_and_loses_at_most_its_own_write() -> (
    None
):
    world = (await served()).fork()
    world.trouble = watched = Counted(world)
    world.start()
    await back(world)
    assert count(world.durations.seen) == ONCE

    lost = 0
    for (moment, killed), before in zip(watched.killed, watched.counted, strict=True):
        await killed.settle(quiet_seconds=QUIET_SECONDS)
        found = count([*before, *killed.durations.seen])
        if found != ONCE:
            assert moment.startswith("after status"), moment
            assert found < Counter(ONCE), moment
            lost += 1
    assert lost <= len(ONCE)


@pytest.mark.parametrize(
    ("series", "label", "subjects"),
    [
        ("slipway_rollout_seconds", "outcome", {"Promoted", "Superseded", "RolledBack"}),
        ("slipway_detection_seconds", "stage", {"Progressing", "Baking"}),
        ("slipway_rollback_seconds", "to", {"Stable", "Earlier"}),
    ],
)
async def test_everything_that_can_end_begins_at_0(
    series: str, label: str, subjects: set[str]
) -> None:
    world = await serving()
    empty = expose(world)
    assert set(empty.values(f"{series}_count")) == {0}
    for subject in subjects:
        assert empty.values(f"{series}_count", **{label: subject}) == [0]

    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await ended(world, "RolledBack")
    assert sum(expose(world).values(f"{series}_count")) == 1
