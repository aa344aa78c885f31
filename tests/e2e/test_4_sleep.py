"""A model of which nothing runs while nobody asks: woken by a burst, and rolled out from zero."""

import json
import os
import statistics
from collections.abc import Iterator
from datetime import datetime

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.names import (
    CLIENT_GRPC_PORT,
    CLIENT_HTTP_PORT,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    revision_name,
)

from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model
from tests.kubectl import Kubectl, Manifest, until
from tests.models.digits import PIXELS
from tests.models.server import NAME as FILE_SERVER

pytestmark = pytest.mark.e2e

NAME = "sleeper"
SLEEPS: Manifest = {"minReplicas": 0, "idleSeconds": 10}
TIMES = int(os.environ.get("SLIPWAY_SLEEPS", "1"))
"""Sleeps and wakings; `make bench-sleep` asks for a hundred."""
LONGEST = 240.0
"""Seconds in which a model falls asleep, or wakes, on two busy cores."""
BURST = 8
"""Requests over each protocol, all at once."""
SEND_BURST = """
import concurrent.futures, json, sys, time, urllib.request
import grpc
name, http, rpc, number, pixels = sys.argv[1], *map(int, sys.argv[2:])
tensor = {"name": "image", "shape": [1, pixels], "datatype": "FP32", "data": [0.5] * pixels}
body = json.dumps({"inputs": [tensor]}).encode()
url = f"http://{name}:{http}/v2/models/{name}/infer"
channel = grpc.insecure_channel(f"{name}:{rpc}")
ready = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")

def over_http():
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=280) as answer:
        return f"HTTP {answer.status}"

def over_grpc():
    return f"gRPC {ready(b'', timeout=280).hex()}"

def ask(send):
    began = time.time()
    try:
        said = send()
    except Exception as error:
        said = repr(error)
    return said, began, time.time()

with concurrent.futures.ThreadPoolExecutor(2 * number) as pool:
    print(json.dumps(list(pool.map(ask, [over_http, over_grpc] * number))))
"""
ANSWERS = ["HTTP 200"] * BURST + ["gRPC 0801"] * BURST
"""0801 is a ServerReadyResponse that says ready."""


def model(version: str) -> Model:
    return Model(name=NAME, version=version, mode="Fetch", scaling=SLEEPS, golden=True)


@pytest.fixture(scope="module")
def sleeper(follow: Follow, kubectl: Kubectl) -> Iterator[Deployed]:
    """A model that has just fallen asleep."""
    deployed = follow(NAME)
    deployed.apply(model("1"))
    deployed.wait_for_end("1")
    falls_asleep(kubectl, deployed)
    yield deployed
    kubectl.run("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--ignore-not-found")


def falls_asleep(kubectl: Kubectl, deployed: Deployed) -> None:
    until(lambda: not pods(kubectl), "no pod", LONGEST)
    name = revision_name(NAME, deployed.stable_revision)
    found = kubectl.get(NAMESPACE, "deployment", name) or {}
    assert found["spec"]["replicas"] == 0
    deployed.wait_for(lambda status: ready(status) == ("True", "Asleep"), "what is said", 30)


def ready(status: object) -> tuple[str, str]:
    conditions = getattr(status, "conditions", ())
    found = next(each for each in conditions if each.type == ConditionType.READY)
    return str(found.status), str(found.reason)


def pods(kubectl: Kubectl) -> list[Manifest]:
    """Return the model's pods, also those that are ending."""
    selector = f"{LABEL_OWNER}={NAME},{LABEL_COMPONENT}={COMPONENT_SERVER}"
    return kubectl.items(NAMESPACE, "pods", selector)


def send_burst(kubectl: Kubectl) -> list[tuple[str, float, float]]:
    """Return what each request was answered, and when it began and ended."""
    numbers = (CLIENT_HTTP_PORT, CLIENT_GRPC_PORT, BURST, PIXELS)
    words = ("exec", f"deployment/{FILE_SERVER}", "-n", NAMESPACE, "--", "python", "-c")
    said = kubectl.run(*words, SEND_BURST, NAME, *map(str, numbers), seconds=300)
    return [(answer, began, ended) for answer, began, ended in json.loads(said)]


def test_first_requests_wake_a_model_and_none_is_lost(
    sleeper: Deployed, kubectl: Kubectl, figures: Figures
) -> None:
    decided, answered = [], []
    for _ in range(TIMES):
        answers = send_burst(kubectl)
        assert sorted(answer for answer, _, _ in answers) == ANSWERS
        first = min(began for _, began, _ in answers)
        answered.append(max(ended for _, _, ended in answers) - first)
        decided.append(woken_at(sleeper, first) - first)
        falls_asleep(kubectl, sleeper)

    figures.seconds["first request to the replica asked for, median"] = statistics.median(decided)
    figures.seconds["first request to the replica asked for, longest"] = max(decided)
    figures.seconds["first request to the last answer, median"] = statistics.median(answered)
    print(f"{TIMES} sleeps and wakings, {TIMES * len(ANSWERS)} requests, 0 lost")


def woken_at(deployed: Deployed, since: float) -> float:
    """Return when the operator asked for the first replica, by its own clock."""

    def asked(status: object) -> float | None:
        stable = getattr(status, "stable", None)
        scaling = stable.scaling if stable is not None else None
        at = datetime.fromisoformat(scaling.at).timestamp() if scaling and scaling.at else 0.0
        return at if scaling and scaling.desired and at > since else None

    deployed.wait_for(lambda _: any(map(asked, deployed.seen)), "a replica that is asked for", 60)
    return min(at for status in deployed.seen if (at := asked(status)) is not None)


def test_a_rollout_starts_from_zero_is_judged_and_ends_at_zero(
    sleeper: Deployed, kubectl: Kubectl, start_load: StartLoad
) -> None:
    sleeper.apply(model("2"))
    plan = Plan(NAME, rate=4.0, timeout_seconds=LONGEST)
    with start_load(plan) as client, client.loses_nothing():
        entry = sleeper.wait_for_end("2")
        assert entry.unjudged is None
    falls_asleep(kubectl, sleeper)
    assert sleeper.status.stable is not None
    assert sleeper.status.stable.version == "2"
