"""Replicas by the real KEDA: each revision on its own load, and one hand-over after the other.

The tests build on each other: the first ones find no KEDA, and the last ones take it away.
"""

import re
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome
from slipway.api.names import LABEL_OWNER, LABEL_REVISION, LABEL_VERSION, revision_name
from slipway.policy.analysis.external.query import Arm, fill_placeholders

from tests.e2e import keda, prometheus
from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import HELD, NAMESPACE, Model, step
from tests.kubectl import CLONE, Kubectl, Manifest, until

pytestmark = pytest.mark.keda

NAME = "by-keda"
RATE = 4.0
"""Requests per second; one replica of the sample answers ten, one after the other."""
PER_REPLICA = 6
STEP = 3 * RATE
RIGHT = 3
"""Replicas for four times the rate."""
OWN_LOAD = (
    'sum(rate(slipway_router_requests_begun_total{route="{{name}}",revision="{{revision}}",'
    'pinned="false"}[15s]))'
)
BUILTIN: Manifest = {"minReplicas": 1, "maxReplicas": 4, "downSeconds": 300}
TARGET: Manifest = {"target": {"concurrency": 2}}


def by_keda(**metadata: str | None) -> Manifest:
    """Return a scaling by KEDA on the router's own counters; None leaves a setting out."""
    asked = {
        "serverAddress": prometheus.url(NAMESPACE),
        "query": OWN_LOAD,
        "threshold": str(PER_REPLICA),
        **metadata,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    triggers = [{"type": "prometheus", "metadata": given}]
    return {**BUILTIN, "downSeconds": 20, "engine": "KEDA", "keda": {"triggers": triggers}}


def model(version: str, scaling: Manifest, steps: tuple[Manifest, ...] = (step(50),)) -> Model:
    return Model(
        name=NAME, version=version, file="slow.tar.gz", mode="Fetch", scaling=scaling, steps=steps
    )


@pytest.fixture(scope="module")
def scaled(follow: Follow, kubectl: Kubectl) -> Iterator[Deployed]:
    """A model that takes its time, with two replicas by hand, and no KEDA in the cluster."""
    keda.remove(kubectl)
    deployed = follow(NAME)
    deployed.apply(model("1", {"engine": "None", "replicas": 2}))
    deployed.wait_for_end("1")
    with prometheus.running(kubectl, NAMESPACE):
        yield deployed


@pytest.fixture(scope="module")
def steady(scaled: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """A load that one replica carries."""
    with start_load(Plan(scaled.name, rate=RATE)) as client:
        yield client


@pytest.fixture(scope="module")
def with_keda(scaled: Deployed, kubectl: Kubectl) -> Iterator[None]:
    """KEDA, which has to be there to the end of its ScaledObjects."""
    with keda.running(kubectl):
        yield
        words = ("delete", "modeldeployment", scaled.name, "-n", NAMESPACE, "--ignore-not-found")
        kubectl.run(*words)
        keda.wait_until_gone(kubectl, NAMESPACE)


def claim(status: ModelDeploymentStatus) -> tuple[str, str, str]:
    """Return status, reason and message of ScalingActive."""
    kind = ConditionType.SCALING_ACTIVE
    found = next((entry for entry in status.conditions if entry.type == kind), None)
    return (found.status.value, found.reason, found.message) if found else ("", "", "")


def replicas(kubectl: Kubectl) -> dict[str, int]:
    """Return the replicas asked for, by version."""
    return {
        item["spec"]["template"]["metadata"]["labels"][LABEL_VERSION]: item["spec"]["replicas"]
        for item in kubectl.items(NAMESPACE, "deployments", f"{LABEL_OWNER}={NAME}")
    }


def by_revision(kubectl: Kubectl, kind: str) -> dict[str, Manifest]:
    """Return the objects of a kind by revision."""
    found = kubectl.items(NAMESPACE, kind, f"{LABEL_OWNER}={NAME}")
    return {item["metadata"]["labels"][LABEL_REVISION]: item for item in found}


@contextmanager
def recorded_replicas(kubectl: Kubectl, revision: str) -> Iterator[list[int]]:
    """Record every number that a revision's Deployment is given while the body runs."""
    form = 'jsonpath={.spec.replicas}{"\\n"}'
    words = ("get", "deployment", revision_name(NAME, revision), "-n", NAMESPACE, "-w", "-o", form)
    numbers: list[int] = []
    with subprocess.Popen(kubectl.command(*words), stdout=subprocess.PIPE, text=True) as watch:
        yield numbers
        watch.terminate()
        assert watch.stdout is not None
        for line in watch.stdout:
            if [int(line)] != numbers[-1:]:
                numbers.append(int(line))


def test_without_keda_replicas_are_kept_and_it_is_said(
    scaled: Deployed, steady: Client, kubectl: Kubectl
) -> None:
    with steady.loses_nothing():
        scaled.apply(model("1", by_keda()))
        scaled.wait_for(lambda s: claim(s)[1] == "KedaNotInstalled", "the condition", 60)
    assert replicas(kubectl) == {"1": 2}


@pytest.mark.usefixtures("with_keda")
def test_keda_takes_over_without_a_jump_and_lets_go_without_one(
    scaled: Deployed, kubectl: Kubectl
) -> None:
    """Nobody changes the engine: KEDA is installed, and what was asked for begins."""
    with recorded_replicas(kubectl, scaled.stable_revision) as taken:
        scaled.wait_for(lambda s: claim(s)[:2] == ("True", "Measured"), "KEDA", 120)
        until(lambda: replicas(kubectl) == {"1": 1}, "the number of the load", 120)
    assert taken == [2, 1]

    with recorded_replicas(kubectl, scaled.stable_revision) as given_back:
        scaled.apply(model("1", {**BUILTIN, **TARGET, "minReplicas": 2}))
        until(lambda: not by_revision(kubectl, "scaledobjects"), "no ScaledObject", 60)
        until(lambda: not by_revision(kubectl, "hpa"), "no autoscaler", 60)
        until(lambda: replicas(kubectl) == {"1": 2}, "Slipway's number", 60)

        scaled.apply(model("1", by_keda()))
        scaled.wait_for(lambda s: claim(s)[:2] == ("True", "Measured"), "KEDA", 120)
        until(lambda: replicas(kubectl) == {"1": 1}, "KEDA's number", 120)
    assert given_back == [1, 2, 1]


def test_the_queries_of_the_docs_find_numbers(scaled: Deployed, kubectl: Kubectl) -> None:
    page = (CLONE / "docs/autoscaling.md").read_text()
    table = page.split("### Queries")[1].split("###")[0]
    queries = re.findall(r"`(sum\([^`]*slipway_router[^`]*)`", table)
    assert len(queries) == 2

    arm = Arm(NAME, NAMESPACE, scaled.stable_revision, "1")
    asked = [urllib.parse.quote(fill_placeholders("docs", query, arm)) for query in queries]

    def all_known() -> bool:
        return all(prometheus.knows(kubectl, NAMESPACE, query) for query in asked)

    until(all_known, "an answer to every query", 60)


@pytest.mark.usefixtures("with_keda")
def test_a_load_step_is_followed(
    scaled: Deployed, start_load: StartLoad, kubectl: Kubectl, figures: Figures
) -> None:
    with start_load(Plan(scaled.name, rate=STEP, suffix="-step")) as more:
        more.sends_on(1, rate=STEP)
        began = time.time()
        until(lambda: replicas(kubectl)["1"] >= RIGHT, "enough replicas", 120)
        figures.seconds["4x load step to the right replica count, by KEDA"] = time.time() - began
    until(lambda: replicas(kubectl) == {"1": 1}, "one replica", 180)
    assert scaled.status.stable is not None


@pytest.mark.usefixtures("with_keda")
def test_in_a_rollout_each_revision_is_scaled_on_its_own_load(
    scaled: Deployed, steady: Client, start_load: StartLoad, kubectl: Kubectl
) -> None:
    stable = scaled.stable_revision
    scaled.apply(model("2", by_keda(), (step(25, hold=HELD), step(50))))
    scaled.wait_for(lambda s: s.rollout is not None and s.rollout.acked_weight == 25, "25%", 180)
    with start_load(Plan(scaled.name, rate=STEP, suffix="-own")):
        until(lambda: replicas(kubectl)["1"] >= 2, "more of stable", 120)

        def loads() -> dict[str, float]:
            return {name: measured(item) for name, item in by_revision(kubectl, "hpa").items()}

        until(lambda: len(loads()) == 2 and min(loads().values()) > 0, "both loads", 60)
        [candidate] = loads().keys() - {stable}
        share = loads()[candidate] * replicas(kubectl)["2"] / (PER_REPLICA * RIGHT)
        assert share < 0.5, "the candidate has a quarter of the load"
        assert replicas(kubectl)["2"] == 1

    until(lambda: replicas(kubectl)["1"] >= 2, "replicas that are kept in the rollout", 5)
    before = replicas(kubectl)["1"]
    steady.sends_on(5, rate=RATE)
    with recorded_replicas(kubectl, stable) as kept, steady.loses_nothing():
        scaled.apply(model("2", by_keda()))
        assert scaled.wait_for_end("2", 300).outcome is Outcome.PROMOTED
        until(lambda: replicas(kubectl)["1"] == 0, "the old one's end", 60)
    assert min(kept[:-1]) >= before
    assert set(by_revision(kubectl, "scaledobjects")) == {candidate}


def measured(autoscaler: Manifest) -> float:
    """Return the value per replica that an autoscaler measured last; 0: none yet."""
    found = autoscaler.get("status", {}).get("currentMetrics") or [{}]
    text = str(found[0].get("external", {}).get("current", {}).get("averageValue", "0"))
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


@pytest.mark.usefixtures("with_keda")
def test_while_keda_is_down_a_rollout_goes_on_with_the_last_numbers(
    scaled: Deployed, steady: Client, kubectl: Kubectl
) -> None:
    before = replicas(kubectl)["2"]
    keda.scale_operator(kubectl, 0)
    try:
        said = scaled.wait_for(lambda s: claim(s)[0] == "False", "the condition", 120)
        assert claim(said)[1] == "FailedGetExternalMetric"
        with steady.loses_nothing():
            scaled.apply(model("3", by_keda()))
            assert scaled.wait_for_end("3", 300).outcome is Outcome.PROMOTED
        assert replicas(kubectl)["3"] >= before
        until(lambda: replicas(kubectl)["2"] == 0, "the old one's end", 90)
    finally:
        keda.scale_operator(kubectl, 1)
        keda.wait(kubectl)
    scaled.wait_for(lambda s: claim(s)[:2] == ("True", "Measured"), "KEDA again", 180)
    until(lambda: len(by_revision(kubectl, "scaledobjects")) == 1, "the old one let go", 60)


@pytest.mark.usefixtures("with_keda")
@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        pytest.param(
            {"serverAddress": None},
            "ScaledObjectCheckFailed",
            "serverAddress",
            id="a setting is missing",
        ),
        pytest.param(
            {"query": 'sum(nothing{of="{{revision}}"})', "ignoreNullValues": "false"},
            "FailedGetExternalMetric",
            "external metric",
            id="the query finds nothing",
        ),
    ],
)
def test_a_broken_trigger_keeps_the_replicas_and_is_told(
    scaled: Deployed,
    kubectl: Kubectl,
    broken: Mapping[str, str | None],
    reason: str,
    words: str,
) -> None:
    before = replicas(kubectl)
    scaled.apply(model("3", by_keda(**broken)))
    said = scaled.wait_for(lambda s: claim(s)[1] == reason, "the condition", 120)
    assert words in claim(said)[2]
    assert replicas(kubectl) == before

    scaled.apply(model("3", by_keda()))
    scaled.wait_for(lambda s: claim(s)[:2] == ("True", "Measured"), "KEDA again", 120)
