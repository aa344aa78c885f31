"""After the promotion: what became worse is told once, and taken back where the spec says so."""

import pytest
from slipway.api.modeldeployment import AfterPromotionStatus

from tests.unit.policy.world import DecisionWorld, lived_once

FINDING = "errors: 5.10% of 3,000 requests in the last minutes, 0.97% of 57,000 before"


@lived_once
def two_promoted(mode: str, **spec: object) -> DecisionWorld:
    """Version 1 served before; version 2 has climbed its steps, serves and is watched."""
    world = DecisionWorld(1)
    for version in ("1", "2"):
        world.ask_for(version, rollout={"afterPromotion": {"mode": mode}}, **spec)
        world.settle(200)
    assert world.serving() == "2"
    return world


def watched(world: DecisionWorld) -> AfterPromotionStatus:
    level = world.md.status.after_promotion
    assert level is not None
    return level


def turn_worse(world: DecisionWorld, seconds: int = 120) -> None:
    world.worsening = FINDING
    world.settle(seconds)


def test_a_promotion_keeps_what_the_version_was_in_its_rollout() -> None:
    level = watched(two_promoted("Report"))
    assert level.requests > 1_000
    assert level.errors == 0
    assert level.finding is None


def test_nothing_is_written_while_nothing_is_found() -> None:
    world = two_promoted("Report")
    before = world.writes
    for _ in range(300):
        world.advance(60)
        decision = world.reconcile()
        assert decision.requeue_after is not None
    assert world.writes == before


@pytest.mark.parametrize("mode", ["Report", "Off"])
def test_off_and_a_watch_that_is_over_look_at_nothing(mode: str) -> None:
    world = two_promoted(mode)
    world.advance(25 * 3600)
    world.reconcile()
    before = world.writes
    turn_worse(world)
    assert world.reconcile().requeue_after is None
    assert world.writes == before
    assert world.serving() == "2"


def test_the_first_version_has_nothing_to_be_watched_against() -> None:
    world = DecisionWorld(1)
    world.ask_for("1")
    world.settle(60)
    assert world.md.status.after_promotion is None


def test_a_report_is_told_once_and_moves_nothing() -> None:
    world = two_promoted("Report")
    world.worsening = FINDING
    events = [event for _ in range(5) for event in world.reconcile().events]
    assert [(event.reason, event.message) for event in events] == [("WorseAfterPromotion", FINDING)]
    assert watched(world).finding == FINDING
    assert world.serving() == "2"


def test_a_roll_back_goes_to_the_version_before_and_says_why() -> None:
    world = two_promoted("RollBack")
    turn_worse(world)
    assert world.serving() == "1"
    status = world.md.status
    assert status.hold is not None
    assert FINDING in status.hold.reason
    assert status.last_rollback is not None
    assert FINDING in status.last_rollback.trigger
    assert status.last_rollback.traffic_restored_at is not None

    # The version in the spec stays out, until a person asks for it again.
    world.worsening = None
    world.settle(120)
    assert world.serving() == "1"
    world.act("retry")
    world.settle(200)
    assert world.serving() == "2"


def test_a_roll_back_survives_every_crash() -> None:
    for number in range(12):
        world = two_promoted("RollBack")
        world.worsening = FINDING
        for step in range(12):
            world.advance()
            world.reconcile(kill_after=(number + step) % 3)
        world.settle(200)
        assert world.serving() == "1", number


def test_it_stays_a_report_where_nobody_can_serve_instead() -> None:
    world = two_promoted("RollBack")
    before = next(name for name, version in world.versions.items() if version == "1")
    world.delete_revision(before)
    turn_worse(world)
    assert world.serving() == "2"
    assert watched(world).finding == FINDING


@pytest.mark.parametrize("spec", [{"rollback": {"automatic": "Disabled"}}, {"paused": True}])
def test_it_stays_a_report_where_a_person_decides(spec: dict[str, object]) -> None:
    world = two_promoted("RollBack")
    world.ask_for("2", rollout={"afterPromotion": {"mode": "RollBack"}}, **spec)
    turn_worse(world)
    assert world.serving() == "2"
    assert watched(world).finding == FINDING


def test_a_fix_that_is_on_its_way_is_not_taken_back() -> None:
    world = two_promoted("RollBack")
    world.ask_for("3", rollout={"afterPromotion": {"mode": "RollBack"}, "bakeSeconds": 60})
    for _ in range(5):
        world.advance()
        world.reconcile()
    world.worsening = FINDING
    told = [event.message for event in world.reconcile().events]
    assert FINDING in told
    assert world.md.status.hold is None

    world.worsening = None
    world.settle(300)
    assert world.serving() == "3"


def test_another_revision_is_watched_against_its_own_rollout() -> None:
    world = two_promoted("Report")
    turn_worse(world)
    world.worsening = None
    first = watched(world)
    world.ask_for("3", rollout={"bakeSeconds": 60})
    world.settle(300)
    assert world.serving() == "3"
    assert watched(world).revision != first.revision
    assert watched(world).finding is None
