"""What a promotion rules out beyond the steps: three times the errors, where they are rare."""

from dataclasses import replace
from datetime import timedelta

import pytest
from slipway.api.modeldeployment import AnalysisMode, Tolerance
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import ERRORS, judge
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Judgement, texts_of

from tests.builders import NOON, counted

BAKE = Plan("digits", "cccccccc", "aaaaaaaa", "step", weight=80, next_weight=95, is_bake=True)
LAST_PART = replace(BAKE, weight=95)
MINUTE = timedelta(minutes=1)


def errors_after(
    requests: int, candidate: float, stable: float = 0.001, *, plan: Plan = BAKE
) -> Judgement:
    """Return what is said of errors after so many requests at the weight of the plan."""
    states: dict[str, str] = {}
    judged: tuple[Judgement, ...] = ()
    for look, seen in enumerate((0, 0, requests)):
        of_candidate = round(seen * plan.weight / 100)
        of_stable = seen - of_candidate
        tick = counted(
            "router-a",
            {
                plan.candidate: (of_candidate, round(of_candidate * candidate), 0),
                plan.stable: (of_stable, round(of_stable * stable), 0),
            },
        )
        judged = judge(states, LookInputs((tick,)), plan, NOON + look * MINUTE)
        states = texts_of(judged)
    return next(item for item in judged if item.name == ERRORS)


def test_three_times_the_errors_at_a_low_base_are_not_promoted() -> None:
    found = errors_after(50_000, 0.003)
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, Reason.UNPROVEN)
    assert "more than 0.15% beyond what is tolerated is not ruled out" in found.message


def test_a_version_as_good_as_stable_rules_them_out_within_a_bake() -> None:
    assert errors_after(50_000, 0.001).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("requests", "stable"),
    [(800, 0.001), (50_000, 0.02)],
    ids=["little traffic", "many errors"],
)
def test_nothing_is_asked_that_a_good_version_could_not_show(requests: int, stable: float) -> None:
    assert errors_after(requests, stable, stable).reason is not Reason.UNPROVEN


@pytest.mark.parametrize(
    "plan",
    [
        LAST_PART,
        replace(BAKE, is_bake=False),
        replace(BAKE, mode=AnalysisMode.THRESHOLD),
        replace(BAKE, tolerance=Tolerance(absolute=0.01)),
        replace(BAKE, max_harm=0.1),
    ],
    ids=["little control", "a step", "mode Threshold", "tolerated", "harm allowed"],
)
def test_nothing_is_asked_where_no_bake_could_show_it_or_the_spec_allows_it(plan: Plan) -> None:
    assert errors_after(50_000, 0.003, plan=plan).reason is not Reason.UNPROVEN
