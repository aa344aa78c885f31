"""Strategy BlueGreen: one switch at full capacity, judged by what stable was, and taken back."""

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.builders import QUICK
from tests.unit.policy.rollout.history import RecordedWorld
from tests.unit.policy.world import DecisionWorld, lived_once

BLUE_GREEN = {"strategy": "BlueGreen", "bakeSeconds": 60}
GOLDEN = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}


@lived_once
def serving_one(seed: int = 1, **standing: object) -> DecisionWorld:
    rollout = {**BLUE_GREEN, **standing.pop("rollout", {})}  # type: ignore[dict-item]
    world = RecordedWorld(seed, standing={"rollout": rollout, **standing})
    world.ask_for("1")
    world.settle(60)
    assert world.serving() == "1", world.log
    return world


def weights_of(world: DecisionWorld) -> list[dict[str, int]]:
    """Return what was written since version 1 serves."""
    log = world.written_weights()
    return log[log.index({"1": 100}) + 1 :]


def switched(world: DecisionWorld, **spec: object) -> DecisionWorld:
    """Ask for version 2, and return when every proxy has switched to it."""
    world.ask_for("2", **spec)
    for _ in range(300):
        world.advance()
        world.reconcile()
        rollout = world.md.status.rollout
        if rollout is not None and rollout.stage is Stage.BAKING:
            return world
    raise AssertionError(world.log[-5:])


def test_a_good_version_gets_everything_in_one_switch_and_is_promoted_on_evidence() -> None:
    world = serving_one()
    world.ask_for("2")
    world.settle(300)
    assert world.serving() == "2", world.log[-10:]
    assert weights_of(world) == [{"1": 100, "2": 0}, {"1": 0, "2": 100}, {"2": 100}]
    assert world.md.status.history[-1].unjudged is None
    assert world.md.status.after_promotion is not None


def test_the_switch_waits_for_every_replica_of_the_candidate_and_stable_keeps_its_own() -> None:
    world = serving_one(scaling={"minReplicas": 4})
    switched(world)
    numbers = [(state.wanted, state.ready) for state in world.workloads.values()]
    assert numbers == [(4, 4), (4, 4)]


def test_a_version_that_fails_after_the_switch_is_taken_back_whole_and_held() -> None:
    world = switched(serving_one())
    world.faults["2"] = "errors"
    world.settle(100)
    assert world.serving() == "1"
    assert weights_of(world)[1:3] == [{"1": 0, "2": 100}, {"1": 100, "2": 0}]
    assert world.outcomes()[-1] == ("2", Outcome.ABORTED), world.log[-8:]
    last = world.md.status.last_rollback
    assert last is not None
    assert last.metric == "errors"
    assert "on stable before the switch" in last.trigger
    assert world.md.status.hold is not None


def test_stables_own_errors_are_no_reason_to_go_back() -> None:
    world = serving_one()
    world.faults |= {"1": "errors", "2": "errors"}
    world.ask_for("2")
    world.settle(300)
    assert world.outcomes()[-1] == ("2", Outcome.PROMOTED), world.log[-8:]


@pytest.mark.parametrize("limit", [{}, {"max": 0.05}])
def test_metrics_that_need_stables_requests_do_not_hold_the_bake(limit: dict[str, float]) -> None:
    metrics = [{"name": "triton", "preset": "TritonErrors", **limit}]
    world = serving_one(rollout={"analysis": {**QUICK, "metrics": metrics}})
    world.ask_for("2")
    world.settle(300)
    assert world.outcomes()[-1] == ("2", Outcome.PROMOTED), world.log[-4:]


def test_the_record_is_stored_before_the_switch_and_outlives_the_operator() -> None:
    world = serving_one()
    world.ask_for("2")
    recorded = False
    for _ in range(300):
        world.advance()
        world.first = world.first if not recorded else None  # a new process has read nothing yet
        world.reconcile()
        rollout = world.md.status.rollout
        recorded = rollout is not None and rollout.recorded is not None
        if {"1": 0, "2": 100} in world.written_weights():
            break
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.recorded is not None
    assert world.md.status.rollout.recorded.requests >= 100


@pytest.mark.parametrize("verb", ["approve", "promote"])
def test_the_switch_waits_for_approval_where_the_spec_asks_for_it(verb: str) -> None:
    world = serving_one(rollout={"approval": "Required"})
    world.ask_for("2")
    world.settle(120)
    rollout = world.md.status.rollout
    assert rollout is not None
    assert rollout.stage is Stage.AWAITING_APPROVAL
    assert "the switch (100%) is waiting for approval" in rollout.message
    assert world.serving() == "1" or world.weights is not None

    world.act(verb)
    world.settle(200)
    assert world.serving() == "2", world.log[-6:]


def test_a_version_that_fails_the_golden_set_is_never_switched_to() -> None:
    world = serving_one()
    world.faults["2"] = "golden"
    world.ask_for("2", **GOLDEN)
    world.settle(100)
    assert world.outcomes()[-1] == ("2", Outcome.REJECTED_BY_GOLDEN_SET)
    assert all(weights.get("2", 0) == 0 for weights in world.written_weights())


def test_without_requests_nothing_is_switched_by_itself() -> None:
    world = serving_one()
    world._load = lambda: None  # type: ignore[method-assign]
    for proxy in world.counts.values():
        proxy.clear()
    world.ask_for("2", rollout={"deadlineSeconds": 60})
    world.settle(200)
    assert world.serving() is None or world.serving() == "1"
    assert all(weights.get("2", 0) == 0 for weights in world.written_weights())


def test_a_record_that_was_lost_is_replaced_by_what_the_routers_counted_before() -> None:
    world = switched(serving_one())
    world.lose_status()
    world.settle(100)
    assert world.serving() == "2"
    assert world.outcomes()[-1] == ("2", Outcome.PROMOTED), world.log[-5:]
    assert world.md.status.history[-1].unjudged is None
