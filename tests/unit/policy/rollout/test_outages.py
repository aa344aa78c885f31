"""Stable or the only server is gone: users keep what answers, and a fix can still be rolled out."""

from datetime import timedelta

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.unit.policy.world import DecisionWorld, lived_once

LONG_BAKE = {"bakeSeconds": 600}


@lived_once
def promoted(**spec: object) -> DecisionWorld:
    world = DecisionWorld(1)
    world.ask_for("1", **spec)
    world.settle(60)
    assert world.serving() == "1"
    return world


@lived_once
def baking(**spec: object) -> DecisionWorld:
    world = promoted(**spec)
    world.ask_for("2", rollout=LONG_BAKE, **spec)
    return until(world, Stage.BAKING)


def until(world: DecisionWorld, stage: Stage) -> DecisionWorld:
    for _ in range(200):
        rollout = world.md.status.rollout
        if rollout is not None and rollout.stage is stage:
            return world
        world.advance()
        world.reconcile()
    raise AssertionError((stage, world.log[-5:]))


def name_of(world: DecisionWorld, version: str) -> str:
    return next(name for name, known in world.versions.items() if known == version)


def take_down(world: DecisionWorld, version: str) -> None:
    world.faults[version] = "never-ready"
    world.workloads[name_of(world, version)].ready = 0


def answered(world: DecisionWorld) -> bool:
    """Return whether a revision with a ready replica has some of the traffic."""
    return any(
        weight and world.workloads[name].ready for name, weight in (world.weights or {}).items()
    )


def test_a_bake_that_a_person_ends_is_promoted_before_the_next_version_gets_its_turn() -> None:
    world = baking()
    world.ask_for("3")
    world.act("promote")
    world.settle(300)
    assert world.outcomes()[1:] == [("2", Outcome.PROMOTED), ("3", Outcome.PROMOTED)]


def test_a_bake_that_repairs_an_outage_is_promoted_before_the_next_version_gets_its_turn() -> None:
    world = baking()
    world.ask_for("3")
    take_down(world, "1")
    world.settle(400)
    assert world.outcomes()[1:] == [("2", Outcome.PROMOTED), ("3", Outcome.PROMOTED)]


@pytest.mark.parametrize("missing_for", [timedelta(), timedelta(hours=1)], ids=str)
def test_stable_is_down_only_when_no_replica_was_ready_for_half_a_minute(
    missing_for: timedelta,
) -> None:
    """Wants four; one has had no node for long; the other three miss one probe together."""
    world = promoted(scaling={"minReplicas": 4})
    stable = world.workloads[name_of(world, "1")]
    stable.ready = 3
    stable.down_since = world.now - missing_for
    world.ask_for("2", scaling={"minReplicas": 4}, rollout={"steps": [{"weight": 5}]})
    until(world, Stage.PROGRESSING)

    world.faults["1"] = "never-ready"
    stable.ready = 0
    for _ in range(20):
        world.advance()
        decision = world.reconcile()
        assert decision.weights.get(name_of(world, "2"), 0) < 100

    world.settle(60)
    assert world.serving() == "2"
    assert world.md.status.history[-1].unjudged == "StableDown"


def test_stable_that_comes_back_is_not_down_any_more() -> None:
    world = promoted()
    stable = world.workloads[name_of(world, "1")]
    for _ in range(3):
        stable.ready = 0
        world.reconcile()
        assert world.md.status.rollout is not None
        assert world.md.status.rollout.stable_down_since is not None

        world.now += timedelta(seconds=20)
        stable.ready = 1
        world.reconcile()
        assert world.md.status.rollout.stable_down_since is None


def test_the_first_revision_serves_until_the_next_one_can() -> None:
    """It has 100% written, one of two proxies serves it, and the user applies version 2."""
    world = DecisionWorld(1)
    world.ask_for("1")
    while world.weights in (None, {}):
        world.advance()
        world.reconcile()
    world.acked = {"router-a": (world.generation, dict(world.weights or {}), world.now)}

    world.ask_for("2")
    for _ in range(200):
        world.reconcile()
        assert world.weights
        world.advance()
    assert world.serving() == "2"


def test_a_fix_is_rolled_out_though_stable_has_died_under_a_candidate() -> None:
    world = promoted()
    world.ask_for("2", rollout={"steps": [{"weight": 5, "holdSeconds": 600}]})
    until(world, Stage.PROGRESSING)
    world.settle(10)
    world.act("abort")
    take_down(world, "1")
    take_down(world, "2")
    world.settle(60)

    world.ask_for("3")
    world.settle(200)
    assert world.serving() == "3"


def test_what_serves_alone_keeps_answering_though_it_is_aborted_in_an_outage() -> None:
    world = promoted()
    world.ask_for("2", rollout={"steps": [{"weight": 50, "holdSeconds": 600}]})
    until(world, Stage.PROGRESSING)
    for _ in range(20):
        world.advance()
        world.reconcile()

    take_down(world, "1")
    world.act("abort")
    for _ in range(120):
        world.advance()
        world.reconcile()
        assert answered(world), world.log[-5:]
    assert world.outcomes()[-1] == ("2", Outcome.ABORTED)

    del world.faults["1"]
    world.settle(60)
    assert world.serving() == "1"


def test_stable_stays_stable_though_its_controller_revision_is_deleted() -> None:
    world = promoted()
    world.ask_for("2")
    world.settle(200)
    stable = name_of(world, "2")
    world.delete_revision(stable)
    for _ in range(30):
        world.reconcile()
        assert (world.weights or {}).get(stable) == 100
        world.advance()

    assert world.revisions[stable].outcome is Outcome.PROMOTED
    world.lose_status()
    world.settle(30)
    assert world.serving() == "2"
