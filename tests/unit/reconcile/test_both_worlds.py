"""The same stories in both worlds: what is decided in one is written in the other."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.policy.world import DecisionWorld
from tests.unit.reconcile.world import OperatorWorld
from tests.unit.worlds import RolloutWorld

LATE_SECONDS = 150
"""Longer than the rollout's deadline."""
SPEC: dict[str, Any] = {
    "model": {"goldenSet": {"uri": "https://models.example/golden.tar"}},
    "rollout": {"steps": [{"weight": 10}, {"weight": 50}], "deadlineSeconds": 120},
}
UP = [{"1": 90, "2": 10}, {"1": 50, "2": 50}]


@dataclass(frozen=True)
class Story:
    """Version 1 serves, version 2 is asked for, and a person may act at 10%."""

    fault: str = ""
    action: str = ""
    serving: str = "1"
    outcome: str = ""
    stage: str = "Idle"
    """At the end: a version that did not start is tried again."""
    weights: list[dict[str, int]] = field(default_factory=list)
    """From the first share of version 2 on."""


STORIES = {
    "a good version": Story(
        serving="2",
        outcome="Promoted",
        weights=[*UP, {"1": 5, "2": 95}, {"1": 0, "2": 100}, {"2": 100}],
    ),
    "a version with errors": Story(
        fault="errors", outcome="RolledBack", weights=[UP[0], {"1": 100, "2": 0}, {"1": 100}]
    ),
    "a version that fails its golden set": Story(fault="golden", outcome="RejectedByGoldenSet"),
    "a version that never starts": Story(
        fault="never-ready", outcome="FailedToStart", stage="Starting"
    ),
    "a version that a person aborts": Story(
        action="abort", outcome="Aborted", weights=[UP[0], {"1": 100, "2": 0}, {"1": 100}]
    ),
    "a version that a person promotes": Story(
        action="promote",
        serving="2",
        outcome="Promoted",
        weights=[UP[0], {"1": 0, "2": 100}, {"2": 100}],
    ),
}


def in_decisions(story: Story) -> RolloutWorld:
    world = DecisionWorld(1)
    world.ask_for("1", **SPEC)
    world.settle()

    world.faults["2"] = story.fault
    world.ask_for("2", **SPEC)
    if story.action:
        while UP[0] not in world.written_weights():
            world.advance()
            world.reconcile()
        world.act(story.action)
    for _ in range(LATE_SECONDS):
        world.advance()
        world.reconcile()
    world.settle()

    return world


async def in_the_operator(story: Story) -> RolloutWorld:
    world = OperatorWorld()
    await world.ask_for("1", **SPEC)
    await world.settle()

    world.controllers.faults["2"] = story.fault
    await world.ask_for("2", **SPEC)
    if story.action:
        await world.until(lambda: UP[0] in world.written_weights())
        await world.act(story.action)
    await world.live(LATE_SECONDS)
    await world.settle()

    return world


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_a_story_takes_the_same_course_in_both_worlds(story: Story) -> None:
    decided, written = in_decisions(story), await in_the_operator(story)

    assert decided.written_weights() == written.written_weights()
    assert decided.outcomes() == written.outcomes()
    for world in (decided, written):
        weights = world.written_weights()
        first = next((n for n, shares in enumerate(weights) if shares.get("2")), len(weights))
        assert weights[first:] == story.weights
        assert world.serving() == story.serving
        assert world.stage() == story.stage
        assert world.outcomes() == [("1", "Promoted"), ("2", story.outcome)]
