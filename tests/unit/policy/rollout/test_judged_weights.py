"""A weight counts as judged, asked about or approved by its own record, not by its place."""

from slipway.api.modeldeployment import HookVerdict, Outcome, Stage

from tests.unit.policy.world import DecisionWorld, lived_once


@lived_once
def promoted() -> DecisionWorld:
    world = DecisionWorld(1)
    world.ask_for("1")
    world.settle(60)
    return world


def test_a_first_weight_above_the_bakes_is_judged_before_the_promotion() -> None:
    world = promoted()
    world._load = lambda: None  # type: ignore[method-assign]
    world.ask_for("2", rollout={"steps": [{"weight": 80}], "bakeControlPercent": 50})
    world.settle(120)
    assert world.outcomes() == [("1", Outcome.PROMOTED)]

    del world._load
    judged = set()
    for _ in range(120):
        world.advance()
        world.reconcile()
        assert world.md.status.rollout is not None
        judged.add(world.md.status.rollout.judged_weight)
    assert judged <= {0, 80}, "only the weight that had requests"
    assert world.outcomes()[-1] == ("2", Outcome.PROMOTED)
    assert world.md.status.history[-1].unjudged is None


def test_blue_and_green_without_anything_to_compare_with_ends_at_the_deadline() -> None:
    world = promoted()
    blue_green = {"steps": [], "bakeControlPercent": 0, "deadlineSeconds": 60}
    world.ask_for("2", rollout=blue_green)
    for _ in range(120):
        world.advance()
        world.reconcile()

    stalled = [entry for entry in world.md.status.conditions if entry.type == "Stalled"]
    assert [entry.reason for entry in stalled] == ["DeadlineExceeded"]
    assert "no step was judged" in stalled[0].message
    assert world.outcomes() == [("1", Outcome.PROMOTED)]


def test_an_approval_lets_the_candidate_leave_one_weight_and_no_other() -> None:
    world = promoted()
    needs = {"approval": "Required"}
    world.ask_for("2", rollout={"steps": [{"weight": 5, **needs}, {"weight": 50, **needs}]})
    for expected in (5, 50):
        wait_for_approval(world)
        world.act("approve")
        world.settle(3)
        assert world.md.status.rollout is not None
        assert world.md.status.rollout.acked_weight == expected
        assert world.md.status.rollout.approved_weight == 0


def wait_for_approval(world: DecisionWorld) -> None:
    for _ in range(100):
        rollout = world.md.status.rollout
        if rollout is not None and rollout.stage is Stage.AWAITING_APPROVAL:
            return
        world.advance()
        world.reconcile()
    raise AssertionError(world.log[-5:])


def test_the_answer_of_a_hook_counts_for_its_weight_only() -> None:
    hook = {"name": "gate", "stage": "Step", "webhook": {"url": "http://gate.vision.svc/ask"}}
    world = promoted()
    analysis = {"intervalSeconds": 1, "minSamples": 30, "warmUpSeconds": 0, "hooks": [hook]}
    steps = [{"weight": 5}, {"weight": 50}]
    world.ask_for("2", rollout={"steps": steps, "analysis": analysis})
    asked: list[int] = []
    for _ in range(60):
        world.advance()
        asked += [call.weight for call in world.reconcile().calls]
    assert set(asked) == {5}

    rollout = world.md.status.rollout
    assert rollout is not None
    answer = {"name": "gate", "step": 1, "weight": 20, "verdict": HookVerdict.PASSED}
    hooks = [rollout.hooks[0].model_copy(update=answer)] if rollout.hooks else []
    told = world.md.status.model_copy(
        update={"rollout": rollout.model_copy(update={"hooks": hooks})}
    )
    world.md = world.md.model_copy(update={"status": told})
    assert world.reconcile().calls, "an answer about 20% is none about 5%"
