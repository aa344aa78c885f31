"""Replicas that follow a real load on real Triton, by Slipway and by Kubernetes' autoscaler."""

import json
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus, ScalingStatus
from slipway.api.names import LABEL_OWNER, revision_name

from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model
from tests.kubectl import Kubectl, Manifest, until

pytestmark = pytest.mark.e2e

NAME = "scaled"
RATE = 4.0
"""Requests per second; one replica of the sample answers ten, one after the other."""
STEP = 3 * RATE
RIGHT = 2
"""Replicas for four times the rate, which is 16 per second."""
BUILTIN: Manifest = {"maxReplicas": 3, "downSeconds": 20, "target": {"concurrency": 2}}
HPA: Manifest = {"maxReplicas": 2, "engine": "HPA", "target": {"utilizationPercent": 3}}
"""Of the 20 millicores that a server requests: even one that mostly sleeps takes more."""


def model(scaling: Manifest) -> Model:
    return Model(name=NAME, version="1", file="slow.tar.gz", mode="Fetch", scaling=scaling)


@pytest.fixture(scope="module")
def scaled(follow: Follow, kubectl: Kubectl) -> Iterator[Deployed]:
    """A model that takes its time, and that Slipway scales."""
    deployed = follow(NAME)
    deployed.apply(model(BUILTIN))
    deployed.wait_for_end("1")
    yield deployed
    kubectl.run("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--ignore-not-found")


@pytest.fixture(scope="module")
def steady(scaled: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """A load that one replica carries."""
    with start_load(Plan(scaled.name, rate=RATE)) as client:
        yield client


def asked(kubectl: Kubectl, deployed: Deployed) -> int:
    """Return the replicas that the Deployment asks for."""
    name = revision_name(NAME, deployed.stable_revision)
    found = kubectl.get(NAMESPACE, "deployment", name) or {}
    return int(found["spec"]["replicas"])


def said(status: ModelDeploymentStatus) -> ScalingStatus:
    """Return what a status says of stable's replicas."""
    stable = status.stable
    assert stable is not None
    return stable.scaling or ScalingStatus(desired=0, current=0)


def test_a_step_of_four_is_asked_for_within_seconds_and_left_again(
    scaled: Deployed,
    steady: Client,
    start_load: StartLoad,
    kubectl: Kubectl,
    figures: Figures,
) -> None:
    steady.sends_on(10, rate=RATE)
    until(lambda: asked(kubectl, scaled) == 1, "one replica before the step", 90)
    with start_load(Plan(scaled.name, rate=STEP, suffix="-step")) as step:
        why = said(scaled.wait_for(lambda it: said(it).desired >= RIGHT, "enough replicas", 60))
        assert why.at is not None
        began = min(record.t for record in step.load.records())
        reached = datetime.fromisoformat(why.at).timestamp()
        figures.seconds["4x load step to the right replica count asked for"] = reached - began

        assert (why.signal, why.target) == ("concurrency", 2)
        assert "in flight" in why.message

        scaled.wait_for(lambda it: said(it).current >= RIGHT, "ready replicas", 90)
    until(lambda: asked(kubectl, scaled) == 1, "one replica", 150)
    until(lambda: said(scaled.status).desired == 1, "the status to say so", 10)


def test_the_engine_changes_without_a_jump_and_the_other_one_works(
    scaled: Deployed, steady: Client, kubectl: Kubectl
) -> None:
    until(lambda: asked(kubectl, scaled) == 1, "one replica", 90)
    with steady.loses_nothing():
        scaled.apply(model(HPA))
        until(lambda: bool(autoscalers(kubectl)), "an autoscaler", 30)
        until(lambda: asked(kubectl, scaled) == 2, "the autoscaler's number", 90)
        assert "kube-controller-manager" in managers(kubectl, scaled)

        scaled.apply(model({**BUILTIN, "downSeconds": 300}))
        until(lambda: not autoscalers(kubectl), "no autoscaler", 30)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            assert asked(kubectl, scaled) >= 2, "the number that was found is held"
            time.sleep(1)

        assert said(scaled.status).desired >= 2


def test_somebody_elses_number_comes_through_the_scale_subresource(
    scaled: Deployed, kubectl: Kubectl
) -> None:
    scaled.apply(model({"engine": "None"}))
    words = ("scale", "modeldeployment", NAME, "-n", NAMESPACE)
    kubectl.run(*words, "--replicas=3")
    until(lambda: asked(kubectl, scaled) == 3, "the number of kubectl scale", 30)
    kubectl.run(*words, "--replicas=1")
    until(lambda: asked(kubectl, scaled) == 1, "the number of kubectl scale", 30)


def autoscalers(kubectl: Kubectl) -> list[Manifest]:
    return kubectl.items(NAMESPACE, "horizontalpodautoscalers", f"{LABEL_OWNER}={NAME}")


def managers(kubectl: Kubectl, deployed: Deployed) -> set[str]:
    """Return who owns `replicas` of the Deployment."""
    name = revision_name(NAME, deployed.stable_revision)
    words = ("get", "deployment", name, "-n", NAMESPACE, "--show-managed-fields", "-o", "json")
    found = json.loads(kubectl.run(*words))
    return {
        entry["manager"]
        for entry in found["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }
