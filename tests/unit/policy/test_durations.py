"""How long things took, from the status that a pass found and the one that it wrote."""

from datetime import timedelta
from typing import Any

import pytest
from slipway.api.modeldeployment import (
    HistoryEntry,
    LastRollback,
    ModelDeploymentStatus,
    Outcome,
    RevisionStatus,
    RolloutStatus,
    Stage,
)
from slipway.api.times import to_wire
from slipway.policy.durations import SUBJECTS, Duration, Span, measure_durations

from tests.builders import NOON
from tests.unit.policy.rollout.test_walk import baking_without_control

STABLE, CANDIDATE, EARLIER = "0cafe000", "0badcafe", "00000bad"


def at(seconds: float) -> str:
    return to_wire(NOON + timedelta(seconds=seconds))


def a_status(**changes: Any) -> ModelDeploymentStatus:
    """Return the status of a candidate that began at 0 s, and has had its weight since 100 s."""
    rollout = {
        "stage": Stage.PROGRESSING,
        "started_at": at(0),
        "step_started_at": at(100),
        "acked_weight": 10,
        **changes.pop("rollout", {}),
    }
    healthy = {
        "stable": RevisionStatus(revision=STABLE, version="1"),
        "candidate": RevisionStatus(revision=CANDIDATE, version="2"),
        "rollout": RolloutStatus(**rollout),
    }
    return ModelDeploymentStatus(**(healthy | changes))


def a_rollback(**changes: Any) -> LastRollback:
    """Return a roll back that evidence led to at 160 s."""
    made = LastRollback(
        **{"from": CANDIDATE, "to": STABLE, "trigger": "errors: 9%"},
        metric="errors",
        decided_at=at(160),
    )
    return made.model_copy(update=changes)


def an_end(outcome: Outcome) -> HistoryEntry:
    return HistoryEntry(revision=CANDIDATE, version="2", outcome=outcome, at=at(7260))


def measure(
    before: ModelDeploymentStatus, after: ModelDeploymentStatus, *, written: int = 10
) -> list[Duration]:
    return list(measure_durations(before, after, written_weight=written))


@pytest.mark.parametrize("outcome", SUBJECTS[Span.ROLLOUT])
def test_a_rollout_ends_with_its_entry_in_the_history(outcome: str) -> None:
    before = a_status(history=[an_end(Outcome.PROMOTED).model_copy(update={"at": at(-900)})])
    ended = [*before.history, an_end(Outcome(outcome))]
    after = before.model_copy(update={"history": ended})

    assert measure(before, after) == [Duration(Span.ROLLOUT, outcome, 7260)]
    assert measure(after, after) == []


def test_a_detection_lasts_from_the_begin_of_the_step_to_the_decision() -> None:
    before = a_status()
    after = before.model_copy(update={"last_rollback": a_rollback()})

    assert measure(before, after) == [Duration(Span.DETECTION, "Progressing", 60)]
    assert measure(after, after) == []


@pytest.mark.parametrize(
    ("rollout", "expected"),
    [
        pytest.param({"stage": Stage.BAKING}, ("Baking", 60), id="in the bake"),
        pytest.param(
            {"stage": Stage.PAUSED, "underlying": Stage.BAKING}, ("Baking", 60), id="paused"
        ),
        pytest.param(
            {"acked_weight": 5, "waits_since": at(150)}, ("Progressing", 10), id="not acknowledged"
        ),
        pytest.param(
            {"acked_weight": 10, "waits_since": at(150)},
            ("Progressing", 60),
            id="waiting for replicas",
        ),
        pytest.param(
            {"stage": Stage.BAKING, "alarm_step_started_at": at(40)},
            ("Baking", 120),
            id="after an alarm",
        ),
        pytest.param({"step_started_at": at(161)}, ("Progressing", 0), id="clock set back"),
    ],
)
def test_the_step_in_which_a_fault_is_found_began(
    rollout: dict[str, Any], expected: tuple[str, float]
) -> None:
    before = a_status(rollout=rollout)
    after = before.model_copy(update={"last_rollback": a_rollback()})
    assert measure(before, after) == [Duration(Span.DETECTION, *expected)]


@pytest.mark.parametrize(
    ("before", "changes", "written"),
    [
        pytest.param(a_status(), {"metric": None}, 10, id="a person aborts"),
        pytest.param(a_status(rollout={"acked_weight": 0}), {}, 0, id="before any traffic"),
        pytest.param(a_status(candidate=None), {}, 0, id="no candidate"),
        pytest.param(
            a_status(), {"from_": STABLE, "to": EARLIER}, 10, id="a way back to an earlier one"
        ),
        pytest.param(a_status(rollout={"step_started_at": None}), {}, 10, id="status was lost"),
    ],
)
def test_what_no_evidence_from_users_traffic_led_to_is_no_detection(
    before: ModelDeploymentStatus, changes: dict[str, Any], written: int
) -> None:
    after = before.model_copy(update={"last_rollback": a_rollback(**changes)})
    assert measure(before, after, written=written) == []


@pytest.mark.parametrize(("to", "way"), [(STABLE, "Stable"), (EARLIER, "Earlier")])
def test_a_roll_back_lasts_until_every_proxy_gave_the_traffic_back(to: str, way: str) -> None:
    decided = a_rollback(to=to)
    before = a_status(last_rollback=decided)
    restored = decided.model_copy(update={"traffic_restored_at": at(160.4)})
    after = before.model_copy(update={"last_rollback": restored})

    assert measure(before, after) == [Duration(Span.ROLLBACK, way, 0.4)]
    assert measure(after, after) == []


def test_a_roll_back_that_is_not_over_does_not_count() -> None:
    before = a_status(last_rollback=a_rollback())
    later = a_rollback(capacity_restored_at=at(200))
    assert measure(before, before.model_copy(update={"last_rollback": later})) == []


def test_an_alarm_of_the_bake_keeps_when_its_step_began() -> None:
    world = baking_without_control()
    full = world.md.status.rollout
    assert full is not None
    world.faults["2"] = "errors"
    world.settle(300)

    rollout = world.md.status.rollout
    assert rollout is not None
    assert world.md.status.history[-1].outcome is Outcome.ROLLED_BACK
    assert rollout.alarm_step_started_at == full.step_started_at
