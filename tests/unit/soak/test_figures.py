"""How long a way back took: from the decision, and from when there was somebody to go back to."""

from datetime import UTC, datetime

from slipway.api.modeldeployment import ModelDeploymentStatus, Stage

from tests.e2e.figures import Figures

DECIDED = datetime(2026, 11, 29, 16, 0, tzinfo=UTC)
KEY = "scans-bbbb0002 2026-11-29T16:00:00Z: errors"


def status(stage: Stage, *, restored: str | None = None) -> ModelDeploymentStatus:
    back = {"from": "bbbb0002", "to": "aaaa0001", "trigger": "errors"}
    back |= {"decidedAt": "2026-11-29T16:00:00Z"}
    if restored is not None:
        back["trafficRestoredAt"] = restored
    return ModelDeploymentStatus.model_validate({"lastRollback": back, "rollout": {"stage": stage}})


def figures_of(*seen: tuple[float, ModelDeploymentStatus]) -> Figures:
    figures = Figures()
    for after, each in seen:
        figures.note_rollback("scans", each, DECIDED.timestamp() + after)
    return figures


def test_a_way_back_that_starts_pods_first_says_how_long_it_took_without_them() -> None:
    figures = figures_of(
        (0.1, status(Stage.STARTING)),
        (2.0, status(Stage.CHECKING)),
        (3.5, status(Stage.PROGRESSING)),
        (3.6, status(Stage.PROGRESSING)),
        (4.0, status(Stage.IDLE, restored="2026-11-29T16:00:03.75Z")),
    )
    assert figures.decision_to_zero_seconds == {KEY: 3.75}
    assert figures.ready_to_zero_seconds == {KEY: 0.25}
    assert f"  3.75 s, 0.25 s of them after its pods could serve: {KEY}" in figures.lines()


def test_a_way_back_to_a_version_that_serves_has_one_time_only() -> None:
    figures = figures_of(
        (0.1, status(Stage.ROLLING_BACK)),
        (1.5, status(Stage.ROLLING_BACK, restored="2026-11-29T16:00:01.25Z")),
    )
    assert figures.decision_to_zero_seconds == {KEY: 1.25}
    assert figures.ready_to_zero_seconds == {}
    assert f"  1.25 s: {KEY}" in figures.lines()


def test_a_way_back_that_is_not_over_has_no_time_yet() -> None:
    assert figures_of((0.1, status(Stage.ROLLING_BACK))).decision_to_zero_seconds == {}


def test_what_several_workers_measured_is_printed_together() -> None:
    ours, others = Figures(), Figures()
    ours.notes["two accelerators"] = "50,000 requests, 0 lost"
    others.notes["four accelerators"] = "60,000 requests, 0 lost"
    ours.add(Figures.from_json(others.to_json()))
    assert ours.lines()[-2:] == [
        "two accelerators: 50,000 requests, 0 lost",
        "four accelerators: 60,000 requests, 0 lost",
    ]
