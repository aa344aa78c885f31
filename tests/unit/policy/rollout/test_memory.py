from dataclasses import replace
from datetime import timedelta

import pytest
from slipway.api.modeldeployment import (
    ModelDeploymentStatus,
    Outcome,
    RevisionStatus,
    RolloutStatus,
    Stage,
)
from slipway.api.names import ANNOTATION_ACTION
from slipway.policy.facts import Facts
from slipway.policy.rollout.actions import STATUS_LOST
from slipway.policy.rollout.decide import decide

from tests.builders import (
    NOON,
    a_model_deployment,
    a_revision,
    a_route,
    a_workload,
    facts_about,
)

LATER = NOON + timedelta(hours=1)
STABLE = a_revision(a_model_deployment("1"), outcome=Outcome.PROMOTED)


def after_a_loss(outcome: Outcome | None, weight: int = 0, action: str = "") -> Facts:
    """Version 1 serves, version 2 is asked for and has this outcome, and the status is gone."""
    annotations = {ANNOTATION_ACTION: action} if action else {}
    asked = a_model_deployment("2", annotations=annotations)
    other = a_revision(asked, created=NOON + timedelta(minutes=1), outcome=outcome)
    weights = {STABLE.name: 100 - weight} | ({other.name: weight} if weight else {})
    return facts_about(
        asked,
        revisions={STABLE.name: STABLE, other.name: other},
        workloads={name: a_workload(name) for name in (STABLE.name, other.name)},
        route=a_route(weights),
    )


@pytest.mark.parametrize(
    "outcome", [Outcome.ROLLED_BACK, Outcome.REJECTED_BY_GOLDEN_SET, Outcome.REJECTED_BY_SIGNATURE]
)
def test_what_was_refused_stays_out_when_the_status_is_lost(outcome: Outcome) -> None:
    decision = decide(after_a_loss(outcome), LATER)
    assert decision.stalled == "RevisionRejected"
    assert decision.candidate is None
    assert decision.stable == STABLE.name
    assert decision.rejected[0].outcome is outcome


def test_what_was_not_refused_is_rolled_out_when_the_status_is_lost() -> None:
    facts = after_a_loss(Outcome.SUPERSEDED)
    decision = decide(facts, LATER)
    assert facts.wanted is not None
    assert decision.candidate == facts.wanted.name


def test_an_old_action_is_not_done_again_when_the_status_is_lost() -> None:
    decision = decide(after_a_loss(None, weight=25, action="abort#1"), LATER)
    assert decision.memory.stage is Stage.PROGRESSING
    assert decision.last_action is not None
    assert decision.last_action.result == f"Refused: {STATUS_LOST}"


def test_stable_alone_serves_at_rest_whatever_the_route_says() -> None:
    facts = after_a_loss(Outcome.SUPERSEDED, weight=25)
    status = ModelDeploymentStatus(
        stable=RevisionStatus(revision=STABLE.name, version="1"), rollout=RolloutStatus()
    )
    settled = a_model_deployment("1", status=status)
    decision = decide(replace(facts, md=settled, input=STABLE.snapshot.input), LATER)
    assert decision.weights[STABLE.name] == 100
    assert decision.needs_live_read
