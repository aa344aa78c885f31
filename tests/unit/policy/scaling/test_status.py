"""What status says of scaling: how many and why, written anew only when the answer is another."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from slipway.api.modeldeployment import ScalingStatus
from slipway.policy.decision import Decision
from slipway.policy.facts import AutoscalerFact, Facts
from slipway.policy.rollout.recall import recall
from slipway.policy.scaling.status import scaling_claim, scaling_of
from slipway.policy.sizing import BoundBy, Sizing

from tests.builders import (
    NOON,
    a_model_deployment,
    a_revision,
    a_workload,
    facts_about,
    later,
    meta,
)

OLD = a_revision(a_model_deployment("1"))
NAME = OLD.name
BUILTIN = {"minReplicas": 1, "maxReplicas": 8}
HPA = {"minReplicas": 1, "maxReplicas": 8, "engine": "HPA"}
SIZING = Sizing(4, "concurrency", 16.0, 4.0)


def facts(scaling: Mapping[str, Any], sizing: Sizing | None = None, **changes: Any) -> Facts:
    return facts_about(
        a_model_deployment("1", scaling=scaling),
        revisions={NAME: OLD},
        workloads={NAME: a_workload(NAME, replicas=4)},
        sizing=sizing,
        **changes,
    )


def claim_of(found: Facts) -> tuple[bool, str, str] | None:
    return scaling_claim(replace(recall(found), stable=NAME), found)


def said(
    found: Facts,
    before: ScalingStatus | None = None,
    *,
    replicas: int = 4,
    candidate: str | None = None,
    floor: int = 1,
) -> ScalingStatus:
    decision: Decision = replace(
        recall(found),
        stable=NAME,
        candidate=candidate,
        replicas={NAME: replicas},
        floors={NAME: floor},
    )

    old = None
    if before is not None:
        known = {"revision": NAME, "version": "1", "scaling": before.wire()}
        status = found.status.model_validate({"stable": known})
        old = status.stable

    moment = NOON if before is None else later(60)
    told = scaling_of(NAME, decision, found, old, moment)
    assert told is not None
    return told


def sized(**changes: Any) -> Facts:
    return facts(BUILTIN, replace(SIZING, **changes))


def test_the_numbers_are_those_that_decided() -> None:
    told = said(sized())
    assert (told.desired, told.current, told.signal, told.value) == (4, 4, "concurrency", 16)
    assert told.message == "16 requests in flight, 4 per replica"
    assert told.bound_by is None


def test_a_load_that_goes_up_and_down_within_its_replicas_is_no_news() -> None:
    first = said(sized())
    assert said(sized(value=13.0), first) == first


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("stabilization", "held until the load has been low for the whole window"),
        ("NotReady", "held because replicas do not answer"),
        ("maxReplicas", "more would need a higher maxReplicas"),
    ],
)
def test_what_begins_to_hold_the_number_is_news_with_the_numbers_of_now(
    bound: str, words: str
) -> None:
    first = said(sized())
    told = said(sized(value=0.0, bound_by=BoundBy(bound)), first)
    assert (told.bound_by, told.value) == (bound, 0)
    assert told.message == f"0 requests in flight, 4 per replica; {words}"
    assert said(sized(value=1.0, bound_by=BoundBy(bound)), told) == told
    assert said(sized(value=16.0), told).bound_by is None


def test_missing_signals_are_a_bound_only_once_they_are_worth_a_word() -> None:
    assert said(sized(bound_by=BoundBy.SIGNALS_MISSING)).bound_by is None
    assert (
        said(sized(bound_by=BoundBy.SIGNALS_MISSING, missing="router a")).bound_by
        == "SignalsMissing"
    )


def test_more_than_the_load_needs_is_the_rollouts() -> None:
    assert said(sized(), replicas=6).bound_by == "rollout"
    assert said(sized(), candidate=NAME).bound_by == "rollout"


def test_before_anything_is_known_what_was_said_stays() -> None:
    first = said(sized())
    assert said(sized(signal="", value=None, target=None), first) == first
    assert said(facts(BUILTIN), first) == first


# ── the HorizontalPodAutoscaler ──


def scaled(**changes: Any) -> Facts:
    found = AutoscalerFact(meta("digits"), NAME, 5, 80.0, None, None)
    return facts(HPA, autoscalers={NAME: replace(found, **changes)})


def test_an_autoscalers_numbers_are_told() -> None:
    told = said(scaled())
    assert (told.desired, told.signal, told.value, told.target) == (5, "cpu", 80, 70)


def test_an_autoscaler_that_nobody_has_looked_at_wants_what_is_there() -> None:
    assert said(scaled(desired=0, value=None)).desired == 4


@pytest.mark.parametrize(("floor", "bound"), [(1, "minReplicas"), (3, "rollout")])
def test_a_least_that_the_rollout_raised_is_the_rollouts(floor: int, bound: str) -> None:
    assert said(scaled(limited="TooFewReplicas"), floor=floor).bound_by == bound


def test_an_autoscaler_with_a_problem_is_not_active() -> None:
    assert claim_of(scaled()) is not None
    told = claim_of(scaled(problem=("NotEvaluated", "not looked at yet")))
    assert told == (False, "NotEvaluated", "not looked at yet")


# ── the condition ──


@pytest.mark.parametrize(
    ("scaling", "reason"),
    [
        ({"engine": "Builtin"}, "NoMaxReplicas"),
        ({"engine": "HPA"}, "NoMaxReplicas"),
        ({"target": {"concurrency": 2}}, "NoMaxReplicas"),
        ({"minReplicas": 2}, None),
        ({"engine": "Builtin", "minReplicas": 2, "maxReplicas": 2}, None),
        ({"engine": "None"}, None),
    ],
)
def test_who_asks_for_scaling_and_forgets_how_far_is_told(
    scaling: dict[str, Any], reason: str | None
) -> None:
    told = claim_of(facts(scaling))
    assert (told and told[1]) == reason
    if told is not None:
        assert "spec.scaling.maxReplicas" in told[2]


def test_the_claim_follows_what_is_measured() -> None:
    assert claim_of(sized()) == (
        True,
        "Measured",
        "replicas follow the measured load",
    )
    told = claim_of(sized(missing="router a does not answer"))
    assert told is not None
    assert told[:2] == (False, "SignalsMissing")
