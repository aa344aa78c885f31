"""Strategy Recreate: the two revisions never run at once, and the gap is announced and measured."""

from typing import Any

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import Outcome, Stage

from tests.unit.policy.rollout.history import RecordedWorld
from tests.unit.policy.world import DecisionWorld, lived_once

RECREATE = {"strategy": "Recreate", "bakeSeconds": 60}
GOLDEN = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}


@lived_once
def serving_one(seed: int = 1, replicas: int = 2, **rollout: Any) -> DecisionWorld:
    standing = {"rollout": {**RECREATE, **rollout}, "scaling": {"minReplicas": replicas}}
    world = RecordedWorld(seed, standing=standing, keeps_way_back=False)
    world.ask_for("1")
    world.settle(60)
    assert world.serving() == "1", world.log
    return world


def live(world: DecisionWorld, seconds: int = 300) -> None:
    """Let time pass; no two revisions may have pods at any moment."""
    for _ in range(seconds):
        world.advance()
        world.reconcile()
        running = [world.versions[name] for name, it in world.workloads.items() if it.wanted]
        assert len(running) <= 1, (running, world.log[-6:])


def gap_of(world: DecisionWorld) -> float:
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.recreate is not None
    assert rollout.recreate.gap_started_at is None
    return rollout.recreate.gap_seconds


def test_the_old_version_is_gone_before_the_new_one_starts_and_the_gap_is_measured() -> None:
    world = serving_one()
    world.ask_for("2")
    live(world)
    assert world.serving() == "2", world.log[-10:]
    log = world.written_weights()
    assert log[log.index({"1": 100}) + 1 :] == [{}, {"1": 0, "2": 100}, {"2": 100}]
    assert gap_of(world) > 0
    assert world.md.status.history[-1].unjudged is None


def test_nobody_is_said_to_be_answered_in_the_gap() -> None:
    world = serving_one()
    world.ask_for("2")
    seen = set()
    for _ in range(60):
        world.advance()
        world.reconcile()
        conditions = {it.type: it for it in world.md.status.conditions}
        if world.weights == {}:
            seen.add(conditions[ConditionType.AVAILABLE].reason)
    assert seen == {"Recreating"}


def test_a_version_that_fails_the_golden_set_gets_no_request_and_the_old_one_is_back() -> None:
    world = serving_one()
    world.faults["2"] = "golden"
    world.ask_for("2", **GOLDEN)
    live(world)
    assert world.serving() == "1"
    assert world.outcomes()[-1] == ("2", Outcome.REJECTED_BY_GOLDEN_SET)
    assert all(weights.get("2", 0) == 0 for weights in world.written_weights())
    assert gap_of(world) > 0


def test_a_version_that_fails_in_its_bake_is_stopped_before_the_old_one_starts_again() -> None:
    world = serving_one(bakeSeconds=600)
    world.ask_for("2")
    while world.md.status.rollout is None or world.md.status.rollout.stage is not Stage.BAKING:
        live(world, 1)
    first = gap_of(world)
    world.faults["2"] = "errors"
    live(world, 200)
    assert world.serving() == "1", world.log[-10:]
    assert world.outcomes()[-1] == ("2", Outcome.ABORTED)
    assert gap_of(world) > first
    assert [state.wanted for state in world.workloads.values()] == [2, 0]


def test_a_version_that_never_starts_does_not_keep_users_waiting_for_the_deadline() -> None:
    world = serving_one()
    world.faults["2"] = "never-ready"
    world.ask_for("2")
    live(world, 900)
    assert ("2", Outcome.FAILED_TO_START) in world.outcomes(), world.log[-6:]
    assert any(weights == {"1": 100} for weights in world.written_weights()[3:]), (
        world.written_weights()
    )


def test_a_version_that_crashes_in_the_gap_is_rejected_and_the_old_one_is_back() -> None:
    world = serving_one()
    world.faults["2"] = "crash"
    world.ask_for("2")
    for _ in range(60):
        for name, state in world.workloads.items():
            if world.versions[name] == "2" and state.wanted:
                state.exits, state.ready = 1, 0
        live(world, 1)
    live(world, 200)
    assert world.outcomes()[-1] == ("2", Outcome.ROLLED_BACK), world.log[-6:]
    assert world.serving() == "1"


def test_the_stop_waits_for_approval_while_the_old_version_serves() -> None:
    world = serving_one(approval="Required")
    world.ask_for("2")
    live(world, 100)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.stage is Stage.AWAITING_APPROVAL
    assert world.serving() == "1"
    world.act("approve")
    live(world, 200)
    assert world.serving() == "2", world.log[-5:]


def test_the_way_back_by_the_spec_stops_first_too() -> None:
    world = serving_one()
    world.ask_for("2")
    live(world)
    world.ask_for("1")
    live(world, 100)
    assert world.serving() == "1", world.log[-6:]
    assert (world.md.status.history[-1].unjudged or "").startswith("the way back")


@pytest.mark.parametrize("seed", range(8))
def test_whoever_kills_the_operator_no_two_revisions_run_at_once(seed: int) -> None:
    world = serving_one(seed)
    world.ask_for("2")
    for number in range(120):
        world.advance()
        world.reconcile(kill_after=(number + seed) % 4)
        assert sum(bool(it.wanted) for it in world.workloads.values()) <= 1, world.log[-6:]
    live(world, 200)
    assert world.serving() == "2", world.log[-6:]
