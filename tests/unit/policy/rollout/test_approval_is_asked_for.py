"""Whoever has to approve a step is told once, with what to run."""

from slipway.api.modeldeployment import Stage
from slipway.policy.audit import AuditLine, describe_audit

from tests.unit.policy.world import DecisionWorld, lived_once

ASKED = "dev.slipway.rollout.awaiting_approval"


@lived_once
def serving_one() -> DecisionWorld:
    world = DecisionWorld(1)
    world.ask_for("1")
    world.settle(200)
    assert world.serving() == "1"
    return world


def approved_at(*weights: int) -> list[dict[str, object]]:
    """Return steps of which these wait for approval."""
    steps: list[dict[str, object]] = [{"weight": 5}]
    return steps + [{"weight": weight, "approval": "Required"} for weight in weights]


def asked_for(world: DecisionWorld, passes: int = 60) -> list[AuditLine]:
    """Return what the audit trail says meanwhile about approvals."""
    found = []
    for _ in range(passes):
        facts = world.facts()
        decision = world.reconcile(facts=facts)
        lines = describe_audit(decision, facts, world.now)
        found += [line for line in lines if line.type == ASKED]
        world.advance()
    return found


def stage_of(world: DecisionWorld) -> Stage:
    assert world.md.status.rollout is not None
    return world.md.status.rollout.stage


def test_a_step_that_waits_is_told_once_with_the_command() -> None:
    world = serving_one()
    world.ask_for("2", rollout={"steps": approved_at(50)})

    [line] = asked_for(world, passes=200)

    name, namespace = world.md.metadata.name, world.md.metadata.namespace
    assert stage_of(world) is Stage.AWAITING_APPROVAL
    assert line.message == (
        "step 2 (50%) is waiting for approval; to approve: "
        f"kubectl slipway approve {name} -n {namespace}"
    )
    assert not line.is_warning


def test_a_wait_that_is_interrupted_keeps_its_id_so_that_no_sink_tells_it_twice() -> None:
    world = serving_one()
    world.ask_for("2", rollout={"steps": approved_at(50)})
    [first] = asked_for(world, passes=200)

    status = world.md.status
    assert status.rollout is not None
    other = status.rollout.model_copy(update={"stage": Stage.PROGRESSING})
    status = status.model_copy(update={"rollout": other})
    world.md = world.md.model_copy(update={"status": status})
    [again] = asked_for(world)

    assert again.id == first.id


def test_each_step_is_asked_for_by_itself() -> None:
    world = serving_one()
    world.ask_for("2", rollout={"steps": approved_at(50, 80)})
    [first] = asked_for(world, passes=200)

    world.act("approve")
    [second] = asked_for(world, passes=300)

    assert "step 3 (80%)" in second.message
    assert second.id != first.id


def test_a_switch_is_asked_for_too() -> None:
    world = serving_one()
    rollout = {"strategy": "BlueGreen", "bakeSeconds": 30, "approval": "Required"}
    world.ask_for("2", rollout=rollout)

    [line] = asked_for(world, passes=200)

    assert line.message.startswith("the switch (100%) is waiting for approval; to approve: kubectl")


def test_a_step_without_approval_asks_nobody() -> None:
    world = serving_one()
    world.ask_for("2", rollout={"steps": [{"weight": 5}, {"weight": 50}]})

    assert asked_for(world, passes=200) == []
    assert world.serving() == "2"
