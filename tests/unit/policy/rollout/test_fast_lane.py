"""A spec that names what was promoted before: capacity first, all traffic in one step, no bake."""

import pytest
from slipway.api.modeldeployment import HistoryEntry, Outcome
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.fast_lane import takes_fast_lane
from slipway.policy.rollout.recall import recall

from tests.unit.policy.rollout.test_after_promotion import FINDING, turn_worse
from tests.unit.policy.world import DecisionWorld, lived_once

ROLLOUT = {"bakeSeconds": 60}


@lived_once
def promoted(*versions: str, **rollback: object) -> DecisionWorld:
    """Each version was asked for, judged and promoted, one after the other."""
    world = DecisionWorld(1)
    for version in versions:
        ask(world, version, **rollback)
        world.settle(300)
        assert world.serving() == version
    return world


def ask(world: DecisionWorld, version: str, **rollback: object) -> None:
    world.ask_for(version, rollout=ROLLOUT, rollback=rollback)


def weights_of(world: DecisionWorld, version: str) -> list[int]:
    """Every weight that a version had since the log was emptied, without repetitions."""
    weights = [entry.get(version, 0) for entry in world.weight_log]
    return [it for number, it in enumerate(weights) if number == 0 or weights[number - 1] != it]


def newest(world: DecisionWorld) -> HistoryEntry:
    return world.md.status.history[-1]


def revision_of(world: DecisionWorld, version: str) -> str:
    return next(name for name, known in world.versions.items() if known == version)


def qualifies(world: DecisionWorld, version: str) -> bool:
    facts = world.facts()
    name = revision_of(world, version)
    return takes_fast_lane(Draft(recall(facts), facts, world.now), name)


def test_a_revert_gets_all_traffic_in_one_step_without_check_and_analysis() -> None:
    world = promoted("1", "2")
    checks = len(world.jobs)
    world.weight_log.clear()
    ask(world, "1")
    world.settle(60)
    assert world.serving() == "1"
    assert weights_of(world, "1") == [0, 100]
    assert len(world.jobs) == checks
    assert newest(world).unjudged == "the way back to version 1"
    assert newest(world).against is None


def test_capacity_comes_before_the_traffic() -> None:
    world = promoted("1", "2")
    world.faults["1"] = "never-ready"
    ask(world, "1")
    world.settle(120)
    assert world.serving() == "2"
    assert world.md.status.rollout is not None
    assert world.md.status.rollout.acked_weight == 0

    del world.faults["1"]
    world.settle(120)
    assert world.serving() == "1"


def test_it_is_noted_as_a_roll_back_with_its_moments() -> None:
    world = promoted("1", "2")
    ask(world, "1")
    world.settle(60)
    last = world.md.status.last_rollback
    assert last is not None
    assert (world.versions[last.from_], last.trigger) == ("2", "the way back to version 1")
    assert last.traffic_restored_at is not None


def test_with_none_it_is_rolled_out_like_any_other() -> None:
    world = promoted("1", "2", fastLaneRevisions=0)
    world.weight_log.clear()
    ask(world, "1", fastLaneRevisions=0)
    world.settle(300)
    assert world.serving() == "1"
    assert weights_of(world, "1")[:2] == [0, 5]
    assert newest(world).unjudged is None


def test_only_the_newest_promoted_revisions_qualify() -> None:
    world = promoted("1", "2", "3", fastLaneRevisions=1)
    assert qualifies(world, "2")
    assert not qualifies(world, "1")
    assert not qualifies(world, "3")


def test_what_was_reverted_may_come_back_as_fast() -> None:
    world = promoted("1", "2")
    ask(world, "1")
    world.settle(60)
    ask(world, "2")
    world.settle(60)
    assert world.serving() == "2"
    assert newest(world).unjudged == "the way back to version 2"


def test_what_was_found_worse_is_judged_again() -> None:
    world = promoted("1", "2")
    turn_worse(world)
    world.worsening = None
    ask(world, "1")
    world.settle(60)
    assert world.serving() == "1"
    assert newest(world).against == FINDING
    assert not qualifies(world, "2")

    # Once its own new rollout has shown that it is good, the finding is history.
    ask(world, "2")
    world.settle(300)
    assert world.serving() == "2"
    assert newest(world).unjudged is None
    ask(world, "1")
    world.settle(60)
    assert qualifies(world, "2")


def test_what_a_person_rolled_back_is_judged_again() -> None:
    world = promoted("1", "2")
    world.act(f"rollback={revision_of(world, '1')}")
    world.settle(60)
    assert world.serving() == "1"
    assert newest(world).against is not None
    world.act("retry")
    world.weight_log.clear()
    world.settle(300)
    assert world.serving() == "2"
    assert weights_of(world, "2")[:2] == [0, 5]


def test_what_was_rejected_since_is_judged_again() -> None:
    world = promoted("1", "2")
    one = revision_of(world, "1")
    facts = world.facts()
    entry = newest(world).model_copy(update={"revision": one, "outcome": Outcome.ROLLED_BACK})
    history = (*recall(facts).history, entry)
    status = world.md.status.model_copy(update={"history": list(history)})
    world.md = world.md.model_copy(update={"status": status})
    assert not qualifies(world, "1")


def test_where_the_status_was_lost_nobody_qualifies() -> None:
    world = promoted("1", "2")
    status = world.md.status.model_copy(update={"history": []})
    world.md = world.md.model_copy(update={"status": status})
    assert not qualifies(world, "1")


def test_what_older_releases_noted_of_a_roll_back_counts() -> None:
    world = promoted("1", "2")
    world.act(f"rollback={revision_of(world, '1')}")
    world.settle(60)
    old = [entry.model_copy(update={"against": None}) for entry in world.md.status.history]
    status = world.md.status.model_copy(update={"history": old, "hold": None})
    world.md = world.md.model_copy(update={"status": status})
    assert not qualifies(world, "2")


def test_a_bake_ends_for_a_revert() -> None:
    world = promoted("1", "2")
    world.ask_for("3", rollout={"bakeSeconds": 3600})
    for _ in range(400):
        world.advance()
        world.reconcile()
        if world.stage() == "Baking":
            break
    assert world.stage() == "Baking"
    ask(world, "1")
    world.settle(60)
    assert world.serving() == "1"


def test_it_is_watched_afterwards_against_its_own_rollout() -> None:
    world = promoted("1", "2", "3")
    level = world.md.status.history[1].level
    assert level is not None
    ask(world, "2")
    world.settle(60)
    watched = world.md.status.after_promotion
    assert watched is not None
    assert world.versions[watched.revision] == "2"
    assert (watched.requests, watched.errors) == (level.requests, level.errors)


def test_the_first_version_is_watched_against_what_it_replaces() -> None:
    world = promoted("1", "2")
    before = world.md.status.after_promotion
    ask(world, "1")
    world.settle(60)
    watched = world.md.status.after_promotion
    assert before is not None
    assert watched is not None
    assert world.versions[watched.revision] == "1"
    assert watched.requests == before.requests


def test_a_finding_after_a_revert_goes_nowhere_else() -> None:
    world = DecisionWorld(1)
    rollout = {**ROLLOUT, "afterPromotion": {"mode": "RollBack"}}
    for version in ("1", "2", "1"):
        world.ask_for(version, rollout=rollout)
        world.settle(300)
    turn_worse(world)
    assert world.serving() == "1"
    assert world.md.status.after_promotion is not None
    assert world.md.status.after_promotion.finding == FINDING


@pytest.mark.parametrize("number", range(8))
def test_it_survives_every_crash(number: int) -> None:
    world = promoted("1", "2")
    world.weight_log.clear()
    ask(world, "1")
    for step in range(30):
        world.advance()
        world.reconcile(kill_after=(number + step) % 4)
    world.settle(120)
    assert world.serving() == "1"
    assert weights_of(world, "1") == [0, 100]
    assert newest(world).unjudged == "the way back to version 1"
