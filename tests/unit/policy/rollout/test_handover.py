"""Who writes the replicas of a revision that KEDA scales: one table for each question."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from slipway.policy.facts import AutoscalerFact, Facts
from slipway.policy.rollout.handover import (
    KEDA_ANSWERS_WITHIN,
    hold_until_measured,
    is_held_by_keda,
    may_raise,
    may_raise_again,
)

from tests.builders import NOON, a_model_deployment, a_workload, facts_about, meta

R = "0a1b2c3d"
KEDA = {"engine": "KEDA", "maxReplicas": 8, "keda": {"triggers": [{"type": "cpu", "metadata": {}}]}}
BUILTIN = {"engine": "Builtin", "maxReplicas": 8}
SCALED = AutoscalerFact(
    meta=meta(f"digits-{R}"),
    revision=R,
    desired=4,
    value=None,
    limited=None,
    problem=None,
    kind="ScaledObject",
    is_kedas=True,
    least=1,
)
UNMEASURED = replace(SCALED, measures=False)
LEFT = replace(SCALED, kind="HorizontalPodAutoscaler")
OURS = replace(LEFT, is_kedas=False)


def facts(found: AutoscalerFact | None, scaling: dict[str, Any] = KEDA) -> Facts:
    """Return facts with four replicas."""
    autoscalers = {R: found} if found is not None else {}
    md = a_model_deployment(scaling=scaling)
    workloads = {R: a_workload(R, replicas=4)}
    return facts_about(md, workloads=workloads, autoscalers=autoscalers)


@pytest.mark.parametrize(
    ("found", "floor", "least"),
    [
        pytest.param(SCALED, 1, 1, id="it measures"),
        pytest.param(SCALED, 6, 6, id="it measures, and the rollout needs more"),
        pytest.param(UNMEASURED, 1, 4, id="it does not measure"),
        pytest.param(UNMEASURED, 6, 6, id="it does not, and the rollout needs more"),
        pytest.param(None, 1, 4, id="there is nothing yet"),
        pytest.param(OURS, 1, 4, id="an autoscaler of ours is still there"),
    ],
)
def test_keda_is_given_the_present_number_until_it_measures(
    found: AutoscalerFact | None, floor: int, least: int
) -> None:
    assert hold_until_measured(facts(found), R, floor) == least


@pytest.mark.parametrize(
    ("found", "raises"),
    [
        pytest.param(None, True, id="there is no ScaledObject"),
        pytest.param(UNMEASURED, True, id="KEDA is down"),
        pytest.param(replace(SCALED, least=6), True, id="KEDA has the floor"),
        pytest.param(SCALED, False, id="KEDA measures, and has not heard of the floor"),
    ],
)
def test_slipway_raises_where_keda_cannot_take_it_back(
    found: AutoscalerFact | None, *, raises: bool
) -> None:
    assert may_raise(facts(found), R, 6) is raises
    assert not may_raise(facts(found, BUILTIN), R, 6)


@pytest.mark.parametrize(
    ("found", "seconds", "again"),
    [
        pytest.param(SCALED, 0, True, id="it is there"),
        pytest.param(replace(SCALED, leaving_since=NOON), 1, True, id="it is leaving"),
        pytest.param(replace(SCALED, leaving_since=NOON), 31, False, id="nobody looks after it"),
        pytest.param(LEFT, 0, False, id="only the autoscaler is left"),
        pytest.param(None, 0, False, id="nothing is left"),
    ],
)
def test_a_retired_revision_waits_for_a_keda_that_answers(
    found: AutoscalerFact | None, seconds: float, *, again: bool
) -> None:
    assert timedelta(seconds=30) == KEDA_ANSWERS_WITHIN
    assert may_raise_again(facts(found), R, NOON + timedelta(seconds=seconds)) is again


def test_another_engine_holds_what_keda_may_still_write() -> None:
    for found in (SCALED, LEFT):
        assert is_held_by_keda(facts(found, BUILTIN), R)
        assert not is_held_by_keda(facts(found), R)
    assert not is_held_by_keda(facts(OURS, BUILTIN), R)
    assert not is_held_by_keda(facts(None, BUILTIN), R)
