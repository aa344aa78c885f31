"""An input with several identities goes by the one that is in use."""

from dataclasses import replace

import pytest
from slipway.api import names
from slipway.api.modeldeployment import (
    Hold,
    ModelDeployment,
    ModelDeploymentStatus,
    Outcome,
    RevisionStatus,
    RolloutStatus,
)
from slipway.policy.facts import JobFact, JobState, RevisionFact

from tests.builders import a_model_deployment, a_revision, facts_about, meta

NEW, OLD = "n" * 64, "o" * 64
INPUTS = (NEW, OLD)


def made_from(version: str, input_: str) -> RevisionFact:
    revision = a_revision(a_model_deployment(version), outcome=Outcome.PROMOTED)
    return replace(revision, snapshot=revision.snapshot.model_copy(update={"input": input_}))


A, B, C = made_from("1", OLD), made_from("2", NEW), made_from("3", "c" * 64)


def a_job(subject: str) -> JobFact:
    return JobFact(
        meta("job"), names.COMPONENT_PACKAGE, subject, 1, JobState.ACTIVE, None, None, None, None
    )


def seen(*revisions: RevisionFact, jobs: tuple[JobFact, ...] = (), **status: object) -> str:
    named = {
        field: RevisionStatus(revision=value.name, version="1") if isinstance(value, RevisionFact)
        else value
        for field, value in status.items()
    }  # fmt: skip
    md: ModelDeployment = a_model_deployment().model_copy(
        update={"status": ModelDeploymentStatus.model_validate(named)}
    )
    facts = facts_about(md, revisions={item.name: item for item in revisions}, jobs=jobs)
    return facts.recognise_input(INPUTS)


def test_an_input_that_nobody_knows_goes_by_its_newest_identity() -> None:
    assert seen() == NEW
    assert seen(C, stable=C) == NEW


def test_an_identity_that_something_was_made_from_stays() -> None:
    assert seen(A) == OLD
    assert seen(jobs=(a_job(OLD),)) == OLD
    assert seen(rollout=RolloutStatus(input=OLD)) == OLD
    assert seen(A, B, C, stable=C) == NEW


@pytest.mark.parametrize("candidate", [None, B])
def test_what_serves_comes_first(candidate: RevisionFact | None) -> None:
    rollout = RolloutStatus(input=NEW)
    assert seen(A, B, stable=A, candidate=candidate, rollout=rollout) == OLD
    assert seen(A, B, stable=B, rollout=RolloutStatus(input=OLD)) == NEW


def test_what_a_person_holds_stays_held_when_another_version_serves() -> None:
    hold = Hold(input=OLD, reason="rollback to 3 by ana", revision=C.name)
    assert seen(A, B, C, stable=C, hold=hold) == OLD


def test_what_is_rolled_out_comes_before_what_lies_about() -> None:
    assert seen(A, B, C, stable=C, candidate=A) == OLD
    assert seen(A, B, C, stable=C, rollout=RolloutStatus(input=OLD)) == OLD
