"""A first version that never serves: it is rejected, and nothing is said to go back."""

from slipway.api.modeldeployment import Outcome
from slipway.api.reasons import Reason
from slipway.policy.audit import describe_audit, recall_audit
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts

from tests.unit.policy.world import DecisionWorld, lived_once


@lived_once
def serving_nothing() -> DecisionWorld:
    """Version 1 is being started, and its container has ended twice."""
    world = DecisionWorld(1)
    world.faults["1"] = "never-ready"
    world.ask_for("1")
    for _ in range(100):
        if world.workloads:
            next(iter(world.workloads.values())).exits = 2
            return world
        world.advance()
        world.reconcile()
    raise AssertionError(world.log[-5:])


def until_it_ends(world: DecisionWorld) -> tuple[Facts, Decision]:
    """Return the pass that ended the first revision."""
    for _ in range(100):
        facts = world.facts()
        decision = world.reconcile(facts=facts)
        if world.md.status.history:
            return facts, decision
        world.advance()
    raise AssertionError(world.log[-5:])


def test_its_events_say_that_it_was_rejected_and_none_that_anything_went_back() -> None:
    world = serving_nothing()

    _, decision = until_it_ends(world)

    assert [it.why.reason for it in decision.events if it.warning] == [Reason.REVISION_REJECTED]
    assert "Crashing: its containers ended 2 times" in decision.events[-1].message
    assert decision.last_rollback is None


def test_its_end_has_one_id_and_one_type_in_the_audit_trail_also_when_it_is_told_again() -> None:
    world = serving_nothing()

    facts, decision = until_it_ends(world)

    told = [it for it in describe_audit(decision, facts, world.now) if "ended" in it.fields]
    again = [it for it in recall_audit(world.md, world.now) if "ended" in it.fields]
    assert [it.type for it in told] == ["dev.slipway.rollout.revision_rejected"]
    assert [(it.id, it.type) for it in told] == [(it.id, it.type) for it in again]


def test_the_status_keeps_the_word_that_every_release_knows_and_keeps_the_version_out() -> None:
    world = serving_nothing()
    until_it_ends(world)

    world.settle(50)

    assert world.outcomes() == [("1", Outcome.ROLLED_BACK)]
    assert [it.outcome for it in world.md.status.rejected] == [Outcome.ROLLED_BACK]
    stalled = [it.reason for it in world.md.status.conditions if it.type == "Stalled"]
    assert stalled == [Reason.REVISION_REJECTED]
