"""Outside of its windows a rollout waits; what goes back, and what a person promotes, does not."""

from tests.unit.policy.rollout.test_fast_lane import promoted, weights_of
from tests.unit.policy.world import DecisionWorld, lived_once

HOUR = 3600
STEPS = [{"weight": 10}, {"weight": 50}]
TONIGHT = [{"schedule": "0 22 * * *", "durationMinutes": 60}]
"""The world begins at noon."""


def asked(world: DecisionWorld, version: str, **rollout: object) -> None:
    world.ask_for(
        version, rollout={"steps": STEPS, "bakeSeconds": 60, "windows": TONIGHT, **rollout}
    )
    world.settle(60)


@lived_once
def served(**rollout: object) -> DecisionWorld:
    world = promoted("1")
    asked(world, "2", **rollout)
    return world


def message(world: DecisionWorld) -> str:
    assert world.md.status.rollout is not None
    return world.md.status.rollout.message


def until_tonight(world: DecisionWorld) -> None:
    later = world.now.replace(hour=22, minute=0, second=1) - world.now
    world.advance(int(later.total_seconds()))


def test_a_candidate_is_checked_and_waits_without_traffic_until_the_window_opens() -> None:
    world = served()
    assert world.stage() == "Paused"
    day = world.now.date()
    assert message(world) == f"waiting for the window that opens at {day}T22:00:00.000Z before 10%"
    assert weights_of(world, "2") in ([0], [])

    until_tonight(world)
    world.settle(300)
    assert world.serving() == "2"


def test_the_clock_of_the_deadline_stands_still_meanwhile() -> None:
    world = served(deadlineSeconds=600)
    until_tonight(world)
    world.settle(300)
    assert world.serving() == "2"


def test_a_window_that_closes_in_the_bake_holds_its_next_weight() -> None:
    world = served(windows=[{"schedule": "0 12 * * *", "durationMinutes": 20}], bakeSeconds=HOUR)
    for _ in range(600):
        world.advance(5)
        world.reconcile()
    assert world.serving() != "2"
    assert message(world).endswith("before 95%")


def test_a_bad_candidate_goes_back_outside_of_every_window() -> None:
    held = [{"weight": 10, "holdSeconds": 2 * HOUR}]
    world = served(windows=[{"schedule": "0 12 * * *", "durationMinutes": 20}], steps=held)
    world.advance(HOUR)
    world.faults["2"] = "errors"
    world.settle(120)
    assert ("2", "RolledBack") in world.outcomes()


def test_a_person_promotes_outside_of_every_window() -> None:
    world = served()
    world.act("promote")
    world.settle(60)
    assert world.serving() == "2"


def test_the_way_back_to_an_earlier_version_needs_no_window() -> None:
    world = promoted("1", "2")
    asked(world, "1")
    assert world.serving() == "1"


def test_the_first_version_needs_no_window() -> None:
    world = DecisionWorld(1)
    asked(world, "1")
    assert world.serving() == "1"
