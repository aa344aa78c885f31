"""The status: what people and tools read, and when it is written."""

from dataclasses import replace
from typing import Any

import pytest
from slipway.api.conditions import Condition, ConditionStatus
from slipway.api.modeldeployment import (
    STATE_LENGTH,
    AnalysisStatus,
    ModelDeploymentStatus,
    RolloutStatus,
    Stage,
)
from slipway.api.reasons import Reason, Why
from slipway.api.times import to_wire
from slipway.api.verdict import Verdict
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, KeptText
from slipway.policy.rollout_memory import RolloutMemory
from slipway.policy.status import desired_status, store_memories
from slipway.policy.status_due import is_due

from tests.builders import (
    NOON,
    a_model_deployment,
    a_revision,
    a_route,
    a_workload,
    facts_about,
    later,
)


def a_decision(
    stage: Stage = Stage.IDLE, reason: Reason = Reason.PROMOTED, **changes: Any
) -> Decision:
    memory = RolloutMemory(stage=changes.pop("underlying", stage))
    decided = Decision(memory=memory, stage=stage, why=Why(reason, "because"))
    return replace(decided, **changes)


def serving(generation: int = 1) -> tuple[Facts, str]:
    md = a_model_deployment()
    meta = md.metadata.model_copy(update={"generation": generation})
    md = md.model_copy(update={"metadata": meta})
    revision = a_revision(md)
    facts = facts_about(
        md,
        revisions={revision.name: revision},
        workloads={revision.name: a_workload(revision.name)},
        route=a_route({revision.name: 100}),
    )
    return facts, revision.name


def conditions(status: ModelDeploymentStatus) -> dict[str, Condition]:
    return {entry.type: entry for entry in status.conditions}


def said(decision: Decision, facts: Facts, trouble: Why | None = None) -> dict[str, Condition]:
    return conditions(desired_status(decision, facts, trouble, NOON))


# ── kstatus ──


def test_a_promoted_revision_is_ready_and_nothing_abnormal_is_said() -> None:
    facts, name = serving()
    found = said(a_decision(stable=name, weights={name: 100}), facts)
    assert found["Ready"].status is ConditionStatus.TRUE
    assert found["Available"].status is ConditionStatus.TRUE
    assert "Reconciling" not in found
    assert "Stalled" not in found


@pytest.mark.parametrize(
    "stage", [stage for stage in Stage if stage is not Stage.IDLE], ids=lambda stage: stage.value
)
def test_a_rollout_under_way_is_reconciling_and_not_ready(stage: Stage) -> None:
    facts, name = serving()
    found = said(a_decision(stage, Reason.PROGRESSING, stable=name, weights={name: 100}), facts)
    assert found["Reconciling"].status is ConditionStatus.TRUE
    assert found["Ready"].status is ConditionStatus.FALSE
    assert found["Available"].status is ConditionStatus.TRUE
    assert "Stalled" not in found


def test_what_needs_a_person_is_stalled_and_no_longer_reconciling() -> None:
    facts, name = serving()
    decision = a_decision(Stage.PAUSED, Reason.DEADLINE_EXCEEDED, stalled=Reason.DEADLINE_EXCEEDED)
    found = said(replace(decision, stable=name, weights={name: 100}), facts)
    assert found["Stalled"].reason == "DeadlineExceeded"
    assert "Reconciling" not in found


def test_a_refused_write_stalls_even_what_was_promoted() -> None:
    facts, name = serving()
    decision = a_decision(stable=name, weights={name: 100})
    found = said(decision, facts, Why(Reason.CONFLICT, "Service digits is not ours"))
    assert found["Stalled"].message == "Service digits is not ours"
    assert found["Ready"].status is ConditionStatus.FALSE


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.is_passing])
def test_trouble_that_passes_by_itself_is_in_progress_and_serving_goes_on(reason: Reason) -> None:
    facts, name = serving()
    decision = a_decision(stable=name, weights={name: 100})
    found = said(decision, facts, Why(reason, "not now"))
    assert (found["Reconciling"].reason, found["Reconciling"].message) == (reason, "not now")
    assert found["Ready"].status is ConditionStatus.FALSE
    assert found["Available"].status is ConditionStatus.TRUE
    assert "Stalled" not in found


def test_trouble_can_be_told_of_what_could_not_be_packaged() -> None:
    found = said(
        a_decision(Stage.FAILED, why=None),
        facts_about(a_model_deployment()),
        Why(Reason.REFUSED, "no"),
    )
    assert found["ArtifactReady"].status is ConditionStatus.FALSE
    assert found["Stalled"].reason == "Refused"


def test_a_stall_has_its_own_message_beside_a_write_that_was_refused() -> None:
    facts, name = serving()
    decision = a_decision(stable=name, weights={name: 100}, stalled=Reason.HELD)
    found = said(decision, facts, Why(Reason.REFUSED, "exceeded quota"))
    assert (found["Stalled"].reason, found["Stalled"].message) == ("Held", "because")
    assert (found["Ready"].reason, found["Ready"].message) == ("Refused", "exceeded quota")


def test_everything_is_said_of_the_generation_that_was_read() -> None:
    facts, name = serving(generation=7)
    status = desired_status(a_decision(stable=name), facts, None, NOON)
    assert status.observed_generation == 7
    assert {entry.observed_generation for entry in status.conditions} == {7}


def test_a_pause_remembers_the_stage_below_it() -> None:
    facts, name = serving()
    decision = a_decision(Stage.PAUSED, Reason.PAUSED, underlying=Stage.BAKING, stable=name)
    status = desired_status(decision, facts, None, NOON)
    assert status.rollout is not None
    assert (status.rollout.stage, status.rollout.underlying) == (Stage.PAUSED, Stage.BAKING)


def test_transition_times_stay_while_nothing_changes() -> None:
    facts, name = serving()
    decision = a_decision(stable=name, weights={name: 100})
    first = desired_status(decision, facts, None, NOON)
    md = facts.md.model_copy(update={"status": first})
    second = desired_status(decision, replace(facts, md=md), None, later(60))
    assert second == first
    assert not is_due(first, second, later(60))


# ── what the tests remember ──


def test_what_a_test_remembers_is_stored_where_the_status_is_written() -> None:
    found = [
        Judgement(name, Verdict.PASS, Reason.NO_DRIFT, "", memory=KeptText(text))
        for name, text in (("errors", "{}"), ("scores", "?" * (STATE_LENGTH + 1)))
    ]
    entries = [AnalysisStatus(name=name, verdict="Pass") for name in ("errors", "scores")]
    entries.append(AnalysisStatus(name="past", verdict="Pass", state="of a metric not due"))
    status = ModelDeploymentStatus(rollout=RolloutStatus(analysis=entries))

    stored = store_memories(status, found)

    assert stored.rollout is not None
    states = [entry.state for entry in stored.rollout.analysis]
    assert states == ["{}", None, "of a metric not due"]


# ── when it is written ──


def judged(
    seconds: float, *, verdict: str = "NoData", samples: int = 0, began: float = 0
) -> ModelDeploymentStatus:
    entry = AnalysisStatus(
        name="errors", verdict=verdict, samples=samples, last_check=to_wire(later(seconds))
    )
    rollout = RolloutStatus(
        stage=Stage.PROGRESSING, step_started_at=to_wire(later(began)), analysis=[entry]
    )
    return ModelDeploymentStatus(rollout=rollout)


def test_another_verdict_is_written_at_once() -> None:
    assert is_due(judged(1), judged(2, verdict="Pass"), later(2))


def test_numbers_alone_wait_for_half_a_minute() -> None:
    assert not is_due(judged(1), judged(2, samples=9), later(2))
    assert is_due(judged(1), judged(31, samples=9), later(31))


def test_the_first_look_at_a_step_is_written_at_once_because_counting_begins_there() -> None:
    before = judged(1, began=5)  # the step has begun, what was said is of the one before
    assert is_due(before, judged(6, began=5), later(6))
    assert not is_due(judged(6, began=5), judged(7, began=5, samples=9), later(7))


def saying(message: str, stage: Stage) -> ModelDeploymentStatus:
    """Return a status one second after a look, whose conditions say `message`."""
    condition = Condition(
        type="Reconciling",
        status=ConditionStatus.TRUE,
        reason="TooFewRequests",
        message=message,
        last_transition_time=to_wire(NOON),
    )
    told = judged(1)
    assert told.rollout is not None
    rollout = told.rollout.model_copy(update={"stage": stage})
    return told.model_copy(update={"conditions": [condition], "rollout": rollout})


def test_counts_in_a_message_are_numbers_too() -> None:
    before = saying("needs 20 more requests", Stage.PROGRESSING)
    assert not is_due(before, saying("needs 19 more requests", Stage.PROGRESSING), later(2))


def test_what_a_start_waits_for_is_written_at_once() -> None:
    before = saying("0 of 2 replicas are ready", Stage.STARTING)
    assert is_due(before, saying("1 of 2 replicas are ready", Stage.STARTING), later(2))
