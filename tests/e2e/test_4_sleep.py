"""Models of which nothing runs while nobody asks: woken by a burst, and rolled out from zero."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from statistics import median

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus
from slipway.api.names import (
    CLIENT_GRPC_PORT,
    CLIENT_HTTP_PORT,
    COMPONENT_SERVER,
    LABEL_COMPONENT,
    LABEL_OWNER,
    revision_name,
)

from tests.bench.table import Figure, format_table
from tests.e2e.audit import AuditLog, Write
from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model, step
from tests.kubectl import Kubectl, Manifest, until
from tests.models.digits import PIXELS
from tests.models.server import NAME as FILE_SERVER

pytestmark = pytest.mark.e2e

TIMES = int(os.environ.get("SLIPWAY_SLEEPS", "1"))
"""Sleeps and wakings; `make bench-sleep` asks for a hundred."""
SLEEPERS = min(5, TIMES)
"""Models that sleep and wake at the same time."""
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


@dataclass(frozen=True, slots=True)
class Waking:
    """What a burst of requests was answered, and when things happened, in Unix time."""

    answers: list[str]
    began_at: float
    """The first request was sent."""
    scaled_at: float | None
    """The API server had that in the Deployment, by its own clock; None: it keeps no audit log."""
    answered_at: float
    """The last answer came."""

    @property
    def lost(self) -> int:
        return len(ANSWERS) - sum(given in ANSWERS for given in self.answers)


def model(name: str, version: str) -> Model:
    scaling = {"minReplicas": 0, "idleSeconds": 10}
    return Model(name=name, version=version, scaling=scaling, golden=True, steps=(step(50),))


@pytest.fixture(scope="module")
def sleepers(follow: Follow, kubectl: Kubectl) -> Iterator[list[Deployed]]:
    """Models that have just fallen asleep."""
    followed = [follow(f"sleeper-{number}") for number in range(SLEEPERS)]
    for each in followed:
        each.apply(model(each.name, "1"))
    for each in followed:
        each.wait_for_end("1", LONGEST)
    for each in followed:
        falls_asleep(kubectl, each)
    yield followed
    for each in followed:
        words = ("delete", "modeldeployment", each.name, "-n", NAMESPACE, "--ignore-not-found")
        kubectl.run(*words)


def falls_asleep(kubectl: Kubectl, deployed: Deployed, *, to_nothing: bool = True) -> None:
    """Wait until no replica is asked for, and until none is left."""
    name = revision_name(deployed.name, deployed.stable_revision)
    deployed.wait_for(lambda status: ready(status) == ("True", "Asleep"), "its sleep", LONGEST)
    until(lambda: replicas(kubectl, name) == 0, "no replica", 30)
    if to_nothing:
        until(lambda: not pods(kubectl, deployed.name), "no pod", LONGEST)


def ready(status: ModelDeploymentStatus) -> tuple[str, str]:
    found = next(each for each in status.conditions if each.type == ConditionType.READY)
    return found.status.value, found.reason


def replicas(kubectl: Kubectl, name: str) -> int:
    return int((kubectl.get(NAMESPACE, "deployment", name) or {})["spec"]["replicas"])


def pods(kubectl: Kubectl, name: str) -> list[Manifest]:
    """Return a model's pods, also those that are ending."""
    selector = f"{LABEL_OWNER}={name},{LABEL_COMPONENT}={COMPONENT_SERVER}"
    return kubectl.items(NAMESPACE, "pods", selector)


def send_burst(kubectl: Kubectl, name: str) -> list[tuple[str, float, float]]:
    """Return what each request was answered, and when it began and ended."""
    numbers = (CLIENT_HTTP_PORT, CLIENT_GRPC_PORT, BURST, PIXELS)
    words = ("exec", f"deployment/{FILE_SERVER}", "-n", NAMESPACE, "--", "python", "-c")
    said = kubectl.run(*words, SEND_BURST, name, *map(str, numbers), seconds=300)
    return [(answer, began, ended) for answer, began, ended in json.loads(said)]


def wake(deployed: Deployed, kubectl: Kubectl, audit: AuditLog | None) -> Waking:
    """Send a burst to a model that is asleep."""
    workload = revision_name(deployed.name, deployed.stable_revision)
    mark, known = audit.mark() if audit is not None else 0, len(deployed.seen)
    answers = send_burst(kubectl, deployed.name)
    began_at = min(began for _, began, _ in answers)
    answered_at = max(ended for _, _, ended in answers)

    def has_woken(_: ModelDeploymentStatus) -> bool:
        return any(ready(status)[1] != "Asleep" for status in deployed.seen[known:])

    deployed.wait_for(has_woken, "its waking", 60)
    writes = audit.writes_of_operator(mark) if audit is not None else []
    scaled_at = find_scaling(writes, workload, began_at)
    return Waking([said for said, _, _ in answers], began_at, scaled_at, answered_at)


def find_scaling(writes: list[Write], workload: str, since: float) -> float | None:
    """Return when the API server had the first number of replicas written for a Deployment."""
    ours = (each for each in writes if (each.resource, each.name) == ("deployments", workload))
    return next((each.ended_at for each in ours if each.ended_at >= since), None)


def test_first_requests_wake_a_model_and_none_is_lost(
    sleepers: list[Deployed], kubectl: Kubectl, figures: Figures, found_audit: AuditLog | None
) -> None:
    def wake_again_and_again(deployed: Deployed) -> list[Waking]:
        """Every other burst comes while the last replica is still ending."""
        found = []
        for number in range(ceil(TIMES / SLEEPERS)):
            found.append(wake(deployed, kubectl, found_audit))
            falls_asleep(kubectl, deployed, to_nothing=number % 2 == 0)
        return found

    with ThreadPoolExecutor(SLEEPERS) as pool:
        wakings = [each for found in pool.map(wake_again_and_again, sleepers) for each in found]
    note(figures, wakings)
    print(*format_table(table(wakings)), sep="\n")
    for each in wakings:
        assert sorted(each.answers) == ANSWERS


def note(figures: Figures, wakings: list[Waking]) -> None:
    answered = [each.answered_at - each.began_at for each in wakings]
    figures.seconds["first request to the last answer, median"] = median(answered)
    if scaled := [each.scaled_at - each.began_at for each in wakings if each.scaled_at]:
        figures.seconds["first request to the Deployment scaled, longest"] = max(scaled)


def table(wakings: list[Waking]) -> Iterator[Figure]:
    sent = len(wakings) * len(ANSWERS)
    yield Figure("sleeps and wakings", len(wakings), "", TIMES, at_least=True)
    yield Figure(f"  requests lost of {sent}", sum(each.lost for each in wakings), "", 0)

    if scaled := [each.scaled_at - each.began_at for each in wakings if each.scaled_at]:
        yield Figure("first request -> Deployment scaled, median", median(scaled), "s", 1)
        yield Figure(f"  the slowest of {len(scaled)}", max(scaled), "s")

    answered = [each.answered_at - each.began_at for each in wakings]
    yield Figure("first request -> last answer of the burst, median", median(answered), "s")
    yield Figure("  the slowest", max(answered), "s")


def test_a_rollout_starts_from_zero_is_judged_and_ends_at_zero(
    sleepers: list[Deployed], kubectl: Kubectl, start_load: StartLoad
) -> None:
    sleeper = sleepers[0]
    sleeper.apply(model(sleeper.name, "2"))
    plan = Plan(sleeper.name, rate=4.0, timeout_seconds=LONGEST)
    with start_load(plan) as client:
        entry = sleeper.wait_for_end("2")
        assert entry.unjudged is None
    assert client.load.total.lost == 0, "also of those that were held"
    falls_asleep(kubectl, sleeper)
    assert sleeper.status.stable is not None
    assert sleeper.status.stable.version == "2"
