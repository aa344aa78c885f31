"""Metrics of a real Prometheus and of Triton: judged, missed, and waited for."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from slipway.api.modeldeployment import (
    AnalysisStatus,
    ModelDeploymentStatus,
    Outcome,
    Stage,
)

from tests.e2e import prometheus
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, promoted
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, Model, step
from tests.e2e.prometheus import NAMESPACE
from tests.kubectl import Kubectl, Manifest, restricted_namespace

pytestmark = pytest.mark.e2e

NAME = "judged"

ROUTER = 'route="{{name}}",revision="{{revision}}",pinned="false"'
COUNTERS: Manifest = {
    "name": "failures",
    "prometheus": {
        "provider": "main",
        "bad": f"sum by (instance) (slipway_router_errors_total{{{ROUTER}}})",
        "total": f"sum by (instance) (slipway_router_requests_total{{{ROUTER}}})",
    },
}
TRITON: Manifest = {"name": "triton", "preset": "TritonErrors"}
NUMBER: Manifest = {
    "name": "inFlight",
    "prometheus": {"provider": "main", "query": f"sum(slipway_router_active_requests{{{ROUTER}}})"},
    "max": 10_000,
    "mode": "ReportOnly",
}


def drift(mode: str) -> Manifest:
    query = 'sum by (class) (predictions_total{of="{{version}}"})'
    source = {"provider": "main", "query": query, "label": "class"}
    return {"name": "classes", "drift": source, "mode": mode}


def version(number: str, **more: Any) -> Model:
    return Model(name=NAME, namespace=NAMESPACE, version=number, mode="Fetch", **more)


@pytest.fixture(scope="module")
def judged(files: Kubectl, figures: Figures, start_load: StartLoad) -> Iterator[Deployed]:
    """A ModelDeployment with a client, and Prometheus beside it, in a namespace of their own."""
    files.apply(restricted_namespace(NAMESPACE))
    with Deployed(files, figures, NAMESPACE, NAME) as deployed:
        deployed.apply(version("1"))
        deployed.wait_for_end("1")
        plan = Plan(NAME, namespace=NAMESPACE)
        with prometheus.running(files, NAMESPACE), start_load(plan) as client:
            assert isinstance(client, Client)
            yield deployed
    files.delete_namespace(NAMESPACE, wait_seconds=0)


def test_sources_are_judged_missed_and_waited_for(judged: Deployed, kubectl: Kubectl) -> None:
    metrics = (COUNTERS, TRITON, NUMBER, drift("ReportOnly"))
    second = version("2", metrics=metrics, steps=[step(50)])
    judged.apply(replace(second, steps=[step(50, hold=HELD)]))
    judged.wait_for(lambda s: entry(s, "failures").samples > 0, "counters from Prometheus")
    judged.wait_for(lambda s: entry(s, "triton").samples > 0, "Triton's own counters")
    judged.wait_for(lambda s: entry(s, "inFlight").verdict != "NoData", "the number")
    shifted = judged.wait_for(lambda s: entry(s, "classes").verdict == "Fail", "the drift")
    assert entry(shifted, "classes").reason == "PredictionsDrift"
    assert entry(shifted, "failures").verdict != "Fail"

    prometheus.scale(kubectl, NAMESPACE, 0)
    missed = judged.wait_for(
        lambda s: entry(s, "failures").reason.startswith("Provider"), "a provider that is missed"
    )
    assert entry(missed, "failures").verdict == "NoData"
    judged.apply(second)
    held = judged.wait_for(lambda s: "Prometheus main" in why(s), "the condition that names it")
    assert held.rollout is not None
    assert (held.rollout.stage, held.rollout.acked_weight) == (Stage.PROGRESSING, 50)

    prometheus.scale(kubectl, NAMESPACE, 1)
    assert judged.wait_for_end("2").outcome is Outcome.PROMOTED
    judged.comes_to(promoted("2"), "2")


def test_drift_holds_for_a_person_where_that_is_asked_for(judged: Deployed) -> None:
    metrics = [drift("Pause")]

    judged.apply(
        version("1", metrics=metrics, warm_up=6, steps=[step(50)], bake_seconds=60),
    )
    judged.wait_for_stage(Stage.AWAITING_APPROVAL, 50)

    assert "stability index" in why(judged.status)

    judged.act("approve")
    judged.wait_for(lambda s: s.rollout is not None and s.rollout.acked_weight > 50, "to go on")
    judged.act("promote")
    assert judged.wait_for_end("1").outcome is Outcome.PROMOTED


def entry(status: ModelDeploymentStatus, name: str) -> AnalysisStatus:
    """Return what is said of a metric; NoData where nothing is."""
    known = status.rollout.analysis if status.rollout else []
    nothing = AnalysisStatus(name=name, verdict="NoData")
    return next((item for item in known if item.name == name), nothing)


def why(status: ModelDeploymentStatus) -> str:
    """Return the message of the condition Ready."""
    return next((item.message for item in status.conditions if item.type == "Ready"), "")
