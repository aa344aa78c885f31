"""Rollouts in a small world: the outcomes, and a random walk that kills the operator anywhere."""

import random
from datetime import timedelta
from itertools import cycle

import pytest
from slipway.api.modeldeployment import Outcome, Stage

from tests.builders import QUICK
from tests.unit.policy.world import DecisionWorld, lived_once

VERBS = ("abort", "retry", "pause", "resume", "approve", "promote", "skip", "rollback")
GOLDEN = {"model": {"goldenSet": {"uri": "https://models.example/golden.tar"}}}


@lived_once
def promoted(
    version: str = "1", *, seed: int = 1, standing: dict[str, object] | None = None
) -> DecisionWorld:
    world = DecisionWorld(seed, standing=standing or {})
    world.ask_for(version)
    world.settle(60)
    assert world.serving() == version, world.log
    return world


def test_the_first_revision_serves_without_steps() -> None:
    world = promoted()
    assert world.outcomes() == [("1", Outcome.PROMOTED)]
    assert [line for line in world.log if line.startswith("weights")] == [
        "weights {} Packaging",
        "weights {'1': 100} AwaitingAcknowledgement",
    ]


def test_a_good_version_climbs_every_step_bakes_and_is_promoted() -> None:
    world = promoted()

    world.ask_for("2")
    world.settle(200)
    written = [line.split("} ")[0] + "}" for line in world.log if line.startswith("weights")]

    assert world.serving() == "2"
    assert written[2:] == [
        "weights {'1': 100, '2': 0}",
        "weights {'1': 95, '2': 5}",
        "weights {'1': 90, '2': 10}",
        "weights {'1': 75, '2': 25}",
        "weights {'1': 50, '2': 50}",
        "weights {'1': 5, '2': 95}",
        "weights {'1': 0, '2': 100}",
        "weights {'2': 100}",
    ]
    assert [state.wanted for state in world.workloads.values()] == [0, 1]


def test_a_version_that_fails_the_golden_set_never_gets_a_request() -> None:
    world = promoted()
    world.faults["2"] = "golden"
    world.ask_for("2", **GOLDEN)
    world.settle(100)
    assert world.serving() == "1"
    assert world.outcomes()[-1] == ("2", Outcome.REJECTED_BY_GOLDEN_SET)
    assert "'2': 5" not in "".join(world.log)
    assert world.md.status.conditions[1].reason == "RevisionRejected"


def test_a_version_that_answers_with_errors_is_rolled_back_and_stays_out() -> None:
    world = promoted()
    world.faults["2"] = "errors"
    world.ask_for("2")
    world.settle(300)
    assert world.serving() == "1"
    assert world.outcomes() == [("1", Outcome.PROMOTED), ("2", Outcome.ROLLED_BACK)]
    last = world.md.status.last_rollback
    assert last is not None
    assert last.traffic_restored_at is not None
    assert last.metric == "errors"


def test_a_version_that_crashes_in_traffic_is_rolled_back() -> None:
    world = promoted(seed=3)
    world.faults["2"] = "crash"
    world.ask_for("2", rollout={"bakeSeconds": 600})
    world.settle(500)
    assert world.outcomes()[-1] == ("2", Outcome.ROLLED_BACK), world.log


WITHOUT_CONTROL = {"bakeControlPercent": 0, "bakeSeconds": 60}


def weights_of(world: DecisionWorld) -> list[str]:
    return [line.split("} ")[0] + "}" for line in world.log if line.startswith("weights")]


@lived_once
def baking_without_control() -> DecisionWorld:
    world = promoted()
    world.ask_for("2", rollout=WITHOUT_CONTROL)
    for _ in range(200):
        world.advance()
        world.reconcile()
        rollout = world.md.status.rollout
        if rollout is not None and rollout.acked_weight == 100 and rollout.stage is Stage.BAKING:
            return world
    raise AssertionError(world.log[-5:])


def test_a_late_fault_without_control_first_gives_a_share_back_and_is_then_rolled_back() -> None:
    world = baking_without_control()
    world.faults["2"] = "errors"
    world.settle(200)
    assert "weights {'1': 20, '2': 80}" in weights_of(world)
    assert world.outcomes()[-1] == ("2", Outcome.ROLLED_BACK)
    assert world.serving() == "1"


def test_an_outage_of_both_is_no_reason_to_roll_back() -> None:
    world = baking_without_control()
    world.faults |= {"1": "errors", "2": "errors"}
    world.settle(300)
    assert "weights {'1': 20, '2': 80}" in weights_of(world)
    assert world.outcomes()[-1] == ("2", Outcome.PROMOTED)


def test_a_good_version_bakes_without_control_and_without_alarm() -> None:
    world = baking_without_control()
    world.settle(200)
    assert world.serving() == "2"
    assert "weights {'1': 20, '2': 80}" not in weights_of(world)
    assert world.md.status.history[-1].unjudged is None


def test_the_golden_set_lifts_its_own_rejection_when_it_changes() -> None:
    world = promoted()
    world.faults["2"] = "golden"
    world.ask_for("2", **GOLDEN)
    world.settle(100)
    world.faults.clear()
    world.ask_for("2", model={"goldenSet": {"uri": "https://models.example/better.tar"}})
    world.settle(200)
    assert world.serving() == "2"


def test_retry_lets_a_rejected_version_try_again() -> None:
    world = promoted()
    world.faults["2"] = "errors"
    world.ask_for("2")
    world.settle(200)
    world.faults.clear()
    world.act("retry")
    world.settle(200)
    assert world.serving() == "2"


def test_a_step_that_needs_approval_waits_for_it() -> None:
    world = promoted()
    steps = [{"weight": 5}, {"weight": 50, "approval": "Required"}]
    world.ask_for("2", rollout={"steps": steps})
    world.settle(100)
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.stage is Stage.AWAITING_APPROVAL
    assert "'2': 50" not in "".join(world.log)
    world.act("approve")
    world.settle(100)
    assert world.serving() == "2"


def test_abort_holds_the_input_until_the_spec_changes() -> None:
    world = promoted()
    world.ask_for("2", rollout={"bakeSeconds": 600})
    world.settle(30)
    world.act("abort")
    world.settle(100)
    assert world.serving() == "1"
    assert world.md.status.hold is not None
    world.ask_for("3")
    world.settle(200)
    assert world.serving() == "3"
    assert world.md.status.hold is None


def test_a_fix_reaches_users_at_once_when_stable_is_down() -> None:
    world = promoted()
    stable = next(iter(world.workloads))
    world.faults["1"] = "never-ready"
    world.workloads[stable].ready = 0
    world.workloads[stable].down_since = world.now
    world.ask_for("2")
    world.settle(100)
    assert world.serving() == "2"
    assert world.md.status.history[-1].unjudged == "StableDown"


def test_no_requests_hold_the_step_and_never_promote() -> None:
    world = promoted()
    world._load = lambda: None  # type: ignore[method-assign]
    world.ask_for("2")
    world.settle(300)
    assert world.serving() is None
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.acked_weight == 5


def test_the_spec_back_at_stable_takes_the_candidate_away() -> None:
    world = promoted()
    world.ask_for("2", rollout={"bakeSeconds": 600})
    world.settle(40)
    world.ask_for("1")
    world.settle(100)
    assert world.serving() == "1"
    assert world.outcomes()[-1] == ("2", Outcome.SUPERSEDED)


def test_a_newer_version_takes_the_place_of_a_candidate() -> None:
    world = promoted()
    world.ask_for("2", rollout={"steps": [{"weight": 5, "holdSeconds": 600}]})
    world.settle(30)
    world.ask_for("3")
    world.settle(200)
    assert world.serving() == "3"
    assert ("2", Outcome.SUPERSEDED) in world.outcomes()


def test_a_pause_holds_the_weight_and_a_resume_goes_on() -> None:
    world = promoted()
    world.ask_for("2")
    world.settle(8)
    world.act("pause")
    world.settle(100)
    assert world.serving() is None or world.serving() == "1"
    world.act("resume")
    world.settle(200)
    assert world.serving() == "2"


def test_a_lost_status_is_found_again_in_revisions_and_route() -> None:
    world = promoted()
    world.lose_status()
    world.settle(10)
    assert world.serving() == "1"
    assert world.md.status.stable is not None
    world.ask_for("2", rollout={"bakeSeconds": 60})
    world.settle(25)
    world.lose_status()
    world.settle(300)
    assert world.serving() == "2"


@pytest.mark.parametrize("header", [None, {"name": "x-model-candidate", "value": "true"}])
def test_the_candidate_is_named_to_the_router_only_where_a_header_reaches_it(
    header: dict[str, str] | None,
) -> None:
    world = promoted()
    traffic = {"traffic": {"candidateHeader": header}} if header else {}
    world.ask_for("2", rollout={"bakeSeconds": 600}, **traffic)
    named = set()
    for _ in range(40):
        world.advance()
        named.add(world.reconcile().header_revision is not None)
    assert named == ({False, True} if header else {False})


STEPS: tuple[dict[str, object], ...] = (
    {},
    {"steps": [{"weight": 5}]},
    {"steps": [{"weight": 20, "holdSeconds": 30}, {"weight": 60}]},
    {"steps": [{"weight": 80}], "bakeControlPercent": 50},
    {"steps": [], "bakeControlPercent": 20},
    {"bakeControlPercent": 0, "bakeSeconds": 30},
    {"afterPromotion": {"mode": "RollBack"}},
    {"afterPromotion": {"mode": "Off"}},
    {"strategy": "BlueGreen"},
    {"strategy": "BlueGreen", "bakeSeconds": 30, "approval": "Required"},
    {"strategy": "Recreate"},
)
"""What people make of the steps of a rollout that is under way."""


def disturb(world: DecisionWorld, chance: random.Random) -> None:
    """Do what people and time do to the children: edit, delete, and leave alone for hours."""
    match chance.randrange(6):
        case 0:
            asked = world.md.spec.model.version
            world.ask_for(asked, rollout=chance.choice(STEPS))
        case 1 if world.weights:
            names = list(world.weights)
            first = chance.randint(0, 100)
            shares = [first, 100 - first, *[0] * len(names)] if len(names) > 1 else [100]
            world.edit_weights(dict(zip(names, shares, strict=False)))
        case 2 if world.workloads:
            world.delete_workload(chance.choice(list(world.workloads)))
        case 3 if len(world.revisions) > 1:
            world.delete_revision(chance.choice(list(world.revisions)))
        case 4:
            world.advance(chance.choice((600, 3600, 8 * 3600)))
        case _:
            offset = chance.choice((-3600, -40, 40, 3600))
            world.skew = {chance.choice(("router-a", "router-b")): timedelta(seconds=offset)}


def crowd(replicas: int) -> dict[str, object]:
    """A spec whose metrics ask each of so many servers."""
    metrics = [{"name": "triton", "preset": "TritonErrors"}]
    return {
        "scaling": {"minReplicas": replicas},
        "rollout": {"analysis": {**QUICK, "metrics": metrics}},
    }


def switching(strategy: str, replicas: int) -> dict[str, object]:
    """A spec whose rollouts have one switch and no steps."""
    rollout = {"strategy": strategy, "bakeSeconds": 30}
    return {"scaling": {"minReplicas": replicas}, "rollout": rollout}


ONE_SERVER = [pytest.param(seed, 1, {}, id=str(seed)) for seed in range(40)]
MANY_SERVERS = [
    pytest.param(seed, replicas, crowd(replicas), id=f"{seed} with {replicas} servers")
    for seed, replicas in ((40, 3), (41, 41), (42, 45), (43, 60), (44, 80))
]


ONE_SWITCH = [
    pytest.param(seed, replicas, switching(strategy, replicas), id=f"{seed} by {strategy}")
    for strategy, seeds in (("BlueGreen", range(100, 112)), ("Recreate", range(120, 136)))
    for seed, replicas in zip(seeds, cycle((1, 3)), strict=False)
]


@pytest.mark.parametrize(
    ("seed", "replicas", "standing"), [*ONE_SERVER, *MANY_SERVERS, *ONE_SWITCH]
)
def test_a_random_walk_keeps_every_promise_and_ends_where_a_calm_one_does(
    seed: int, replicas: int, standing: dict[str, object]
) -> None:
    """Every pass may be killed after any write; people and pods do what they like meanwhile."""
    world = promoted(seed=seed, standing=standing)
    chance = random.Random(seed)
    version = 1

    for _ in range(chance.randint(30, 150)):
        world.advance(chance.choice((0.2, 1, 1, 5)))
        world.reconcile(kill_after=chance.choice((None, None, 0, 1, 2, 3)))
        world.worsening = "errors: many" if chance.random() < 0.01 else None
        draw = chance.random()
        if draw < 0.02:
            version += 1
            fault = chance.choice(("", "", "errors", "golden", "crash", "never-ready"))
            world.faults[str(version)] = fault
            golden = GOLDEN if chance.random() < 0.5 else {}
            world.ask_for(str(version), **golden)
        elif draw < 0.05:
            world.act(chance.choice(VERBS))
        elif draw < 0.07:
            world.act(f"rollback={chance.choice(list(world.revisions))}")
        elif draw < 0.075:
            world.lose_status()
        elif draw < 0.085 and world.workloads:
            state = chance.choice(list(world.workloads.values()))
            state.ready = 0
            state.down_since = world.now
        elif draw < 0.12:
            disturb(world, chance)

    world.worsening = None
    world.faults.clear()
    world.skew.clear()
    for state in world.workloads.values():
        state.exits = 0
    world.act("resume")
    world.settle(5)
    world.act("retry")
    world.settle(500)

    assert world.serving() == world.md.spec.model.version, world.log[-15:]
    assert sum(state.wanted for state in world.workloads.values()) == replicas

    before = world.writes
    world.settle(60)
    assert world.writes == before, ("writes at rest", world.log[-5:])
