"""Copies of requests: a candidate that is silently wrong is refused before any user is answered.

In a namespace of its own: a shadow gives the routers of its namespace a comparer.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome, ShadowState, Stage
from slipway.api.names import COMPONENT_ROUTER, LABEL_COMPONENT

from tests.e2e.clients import Client, Plan, StartLoad
from tests.e2e.deployed import Deployed
from tests.e2e.figures import Figures
from tests.e2e.objects import Model
from tests.kubectl import Kubectl, KubectlError

pytestmark = pytest.mark.e2e

NAMESPACE = "slipway-shadow"
NAME = "scores"
RATE = 30.0
KILLS, KILL_SECONDS = 6, 5.0
SHADOW = {"mode": "On", "minPairs": 500, "maxSeconds": 180}
KILL_COMPARER = """
import os, pathlib, signal
for each in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if each.read_bytes().endswith(b"\\0comparer\\0"):
        os.kill(int(each.parent.name), signal.SIGKILL)
        print("killed")
"""


@pytest.fixture(scope="module")
def scores(files: Kubectl, figures: Figures) -> Iterator[Deployed]:
    """A version in service that never errs."""
    with (
        files.fresh_namespace(NAMESPACE),
        Deployed(files, figures, NAMESPACE, NAME) as deployed,
    ):
        deployed.apply(version("1", "sound.tar.gz"))
        assert deployed.wait_for_end("1").outcome is Outcome.PROMOTED
        yield deployed


@pytest.fixture(scope="module")
def users(scores: Deployed, start_load: StartLoad) -> Iterator[Client]:
    """Who asks it, and must lose nothing."""
    with start_load(Plan(scores.name, namespace=NAMESPACE, rate=RATE)) as client:
        client.sends_on(rate=RATE)
        yield client


def version(number: str, file: str, *, strict: bool = False) -> Model:
    rollout = {"shadow": SHADOW, "deadlineSeconds": 600}
    return Model(
        name=NAME, namespace=NAMESPACE, version=number, file=file, strict=strict, rollout=rollout
    )


@pytest.mark.parametrize(
    ("number", "file", "said"),
    [
        pytest.param("2-wrong", "wrong.tar.gz", "answers differ", id="wrong once in ten times"),
        pytest.param(
            "2-failing",
            "failing.tar.gz",
            "failed on the candidate alone",
            id="failing once in four",
        ),
        pytest.param("2-slow", "slow.tar.gz", "times as long", id="slower by a tenth of a second"),
    ],
)
def test_a_bad_candidate_is_refused_before_it_answers_a_user(
    scores: Deployed, users: Client, number: str, file: str, said: str
) -> None:
    stable, since = scores.stable_revision, time.time()
    with users.loses_nothing():
        scores.apply(version(number, file, strict=True))
        ended = scores.wait_for_end(number)

    assert ended.outcome is Outcome.REJECTED_BY_SHADOW, ended.reason
    assert said in ended.reason
    stages = {status.rollout.stage for status in scores.seen if status.rollout is not None}
    assert Stage.SHADOWING in stages
    assert Stage.PROGRESSING not in stages
    answered = {name for record in users.records_since(since) for name in record.revisions}
    assert answered == {stable}


def test_a_good_candidate_is_promoted_though_its_comparers_are_killed_again_and_again(
    scores: Deployed, users: Client, files: Kubectl
) -> None:
    with users.loses_nothing():
        scores.apply(version("3", "sound.tar.gz"))
        scores.wait_for(compares(Stage.SHADOWING), "the first pairs of answers")
        killed = 0
        for _ in range(KILLS):
            killed += sum(kill_comparer(files, name) for name in router_pods(files))
            users.sends_on(KILL_SECONDS, RATE)
        ended = scores.wait_for_end("3")

    assert killed >= 2
    assert ended.outcome is Outcome.PROMOTED, ended.reason
    assert any(passed(status) for status in scores.seen)


def compares(stage: Stage) -> Callable[[ModelDeploymentStatus], bool]:
    def fits(status: ModelDeploymentStatus) -> bool:
        rollout = status.rollout
        if rollout is None or rollout.stage is not stage or rollout.shadow is None:
            return False
        return rollout.shadow.pairs > 0

    return fits


def passed(status: ModelDeploymentStatus) -> bool:
    found = status.rollout.shadow if status.rollout is not None else None
    return found is not None and found.state is ShadowState.PASSED


def router_pods(kubectl: Kubectl) -> list[str]:
    pods = kubectl.items(NAMESPACE, "pods", f"{LABEL_COMPONENT}={COMPONENT_ROUTER}")
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def kill_comparer(kubectl: Kubectl, pod: str) -> bool:
    """Kill the comparer of a router pod; return whether there was one just now."""
    words = ("exec", pod, "-n", NAMESPACE, "-c", "comparer", "--", "python", "-c", KILL_COMPARER)
    try:
        return "killed" in kubectl.run(*words)
    except KubectlError:
        return False
