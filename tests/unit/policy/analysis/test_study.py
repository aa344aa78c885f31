"""One look at a rollout: when there is one, which metrics count, and what each may do."""

from dataclasses import replace
from typing import Any

import pytest
from slipway.api.modeldeployment import Metric, MetricMode, ModelDeploymentStatus, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import Binned, Reading
from slipway.policy.analysis.study import Study, metrics_due, plan_metrics, study_of
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, Role, texts_of

from tests.builders import (
    QUICK,
    a_model_deployment,
    a_pod,
    a_revision,
    a_route,
    a_workload,
    counted,
    facts_about,
    later,
)
from tests.unit.policy.analysis.test_by_pod import with_pods
from tests.unit.policy.analysis.test_readings import a_metric

STEP = "2026-11-21T12:00:00.000Z"
OLD, NEW = (a_revision(a_model_deployment(version)).name for version in ("1", "2"))
SLOW = Why(Reason.PROVIDER_SLOW, "the answer is not there yet")


def a_drift(mode: str) -> dict[str, Any]:
    source = {"provider": "main", "query": 'x{r="{{revision}}"}', "label": "class"}
    return {"name": "classes", "drift": source, "mode": mode}


def in_a_step(
    *metrics: dict[str, Any], stage: str = "Progressing", mode: str = "Auto", weight: int = 10
) -> Facts:
    """Return facts in which version 2 has a tenth of the traffic, at every proxy."""
    analysis = {**QUICK, "mode": mode, "metrics": list(metrics)}
    status = ModelDeploymentStatus.model_validate(
        {
            "stable": {"version": "1", "revision": OLD},
            "candidate": {"version": "2", "revision": NEW},
            "rollout": {"stage": stage, "step": 1, "ackedWeight": 10, "stepStartedAt": STEP},
        }
    )
    return facts_about(
        a_model_deployment("2", status=status, rollout={"analysis": analysis}),
        workloads={name: a_workload(name) for name in (OLD, NEW)},
        pods={name: (a_pod(f"pod-{name}", name),) for name in (OLD, NEW)},
        route=a_route({OLD: 100 - weight, NEW: weight}),
    )


def study_about(*metrics: dict[str, Any]) -> Study:
    study = study_of(in_a_step(*metrics))
    assert study is not None
    return study


def judge_after_warm_up(study: Study, readings: dict[str, Reading]) -> dict[str, Judgement]:
    """Look twice at routers that answer, and return what is said the second time."""
    found: tuple[Judgement, ...] = ()
    for second in (0, 5):
        ticks = [counted("router-a", {OLD: (900, 0, 0), NEW: (100, 0, 0)}, at=later(second))]
        found = study.judge(ticks, readings, later(second))
        study = replace(study, states=texts_of(found))
    return {item.name: item for item in found}


# ── when there is something to judge ──


def test_a_step_that_every_proxy_runs_is_studied() -> None:
    plan = study_about().plan

    assert (plan.candidate, plan.stable, plan.weight, plan.step) == (NEW, OLD, 10, STEP)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(
            replace(in_a_step(), route=a_route({OLD: 90, NEW: 10}, acknowledged=0)),
            id="a weight that not every proxy runs",
        ),
        pytest.param(in_a_step(weight=25), id="a weight that is not the step's"),
        pytest.param(in_a_step(weight=0), id="no weight"),
        pytest.param(in_a_step(mode="Off"), id="mode Off"),
        pytest.param(in_a_step(stage="Starting"), id="a candidate without traffic"),
        pytest.param(facts_about(a_model_deployment("1")), id="no rollout"),
    ],
)
def test_nothing_is_judged_at(facts: Facts) -> None:
    assert study_of(facts) is None


# ── which metrics count ──


def test_a_metric_counts_at_its_stage() -> None:
    metrics = [a_metric(stage=stage) for stage in ("Always", "Steps", "Bake")]

    assert metrics_due(metrics, Stage.PROGRESSING) == (metrics[0], metrics[1])
    assert metrics_due(metrics, Stage.BAKING) == (metrics[0], metrics[2])


def test_only_what_enforces_is_merged_with_the_other_verdicts() -> None:
    metrics = [a_metric(mode=mode) for mode in MetricMode]

    assert [item.role for item in plan_metrics(metrics)[1:]] == [
        Role.REQUIRED,
        Role.REPORT_ONLY,
        Role.REPORT_ONLY,
    ]


def test_containers_are_judged_with_every_plan_and_drift_on_its_own() -> None:
    metrics = [a_metric(), Metric.model_validate(a_drift("Pause"))]

    assert [item.name for item in plan_metrics(metrics)] == ["resources", "m"]


# ── what each of them says ──


def test_every_metric_of_the_spec_is_judged_read_or_not() -> None:
    query = {"provider": "main", "query": 'x{r="{{revision}}"}'}
    study = study_about({"name": "read", "prometheus": query, "max": 1}, a_drift("ReportOnly"))

    found = judge_after_warm_up(study, {"read": SLOW, "classes": SLOW})

    assert {"errors", "traffic", "resources", "read", "classes"} <= found.keys()
    assert (found["read"].verdict, found["read"].reason) == (Verdict.NO_DATA, "ProviderSlow")
    assert (found["classes"].verdict, found["classes"].reason) == (Verdict.NO_DATA, "ProviderSlow")


def test_while_the_candidate_warms_up_metrics_say_that_they_are_not_judged_yet() -> None:
    query = {"provider": "main", "query": 'x{r="{{revision}}"}'}
    study = study_about({"name": "m", "prometheus": query, "max": 1})
    study = replace(study, plan=replace(study.plan, warm_up_seconds=10))

    found = judge_after_warm_up(study, {"m": Binned({}, {})})

    assert found["errors"].reason == Reason.WARMING_UP
    assert found["m"].reason == Reason.NOT_JUDGED
    assert found["resources"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("mode", "role"), [("Pause", Role.PAUSE), ("ReportOnly", Role.REPORT_ONLY)]
)
def test_what_a_metric_may_do_is_what_the_spec_says(mode: str, role: Role) -> None:
    query = {"provider": "main", "query": 'x{r="{{revision}}"}'}
    study = study_about({"name": "m", "prometheus": query, "max": 1, "mode": mode}, a_drift(mode))

    found = judge_after_warm_up(study, {})

    assert (found["m"].role, found["classes"].role) == (role, role)


def test_a_pod_that_stands_out_has_the_name_that_the_cluster_gave_it() -> None:
    facts = in_a_step()
    pods = tuple(a_pod(f"digits-{n}", NEW, address=f"10.0.0.{n}") for n in range(4))
    study = study_of(replace(facts, pods={**facts.pods, NEW: pods}))
    assert study is not None

    found: tuple[Judgement, ...] = ()
    for number in range(5):
        of_pods = {pod.address or "": (25 * number, 0) for pod in pods}
        of_pods["10.0.0.3"] = (25 * number, 9 * number)
        counts = {OLD: (900 * number, 0, 0), NEW: (100 * number, 9 * number, 0)}
        page = counted("router-a", counts, at=later(5 * number))
        by_revision = {NEW: of_pods, OLD: {"10.0.9.1": (900 * number, 0)}}
        routes = [with_pods(entry, by_revision[entry.revision]) for entry in page.routes]
        tick = page.model_copy(update={"routes": routes})
        found = study.judge([tick], {}, later(5 * number))
        study = replace(study, states=texts_of(found))

    (said,) = (item for item in found if item.name == "pod-errors")
    assert said.reason == "PodStandsOut"
    assert said.message.startswith("pod digits-3 answers 36.0% with errors")
