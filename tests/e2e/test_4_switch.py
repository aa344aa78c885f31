"""One switch of all requests: taken, taken back, and with a gap in between.

The three rollouts run side by side, each with a load of its own.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from slipway.api.conditions import ConditionStatus, ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome, Recreate, Stage
from slipway.api.names import preview_name

from tests.e2e.clients import Client, Plan, StartLoad, ask_once
from tests.e2e.deployed import Deployed, Follow, promoted, refused
from tests.e2e.figures import Figures
from tests.e2e.objects import Model
from tests.e2e.operators import PREVIEWER
from tests.e2e.pods import PodLog, watched
from tests.kubectl import Kubectl, Manifest, until

pytestmark = pytest.mark.e2e

RATE = 20.0
"""Requests per second of each load: enough for stable's record while the candidate starts."""


def version(number: str, name: str, strategy: str, *, file: str, **rollout: object) -> Model:
    """Return a version that gets everything at once."""
    return Model(
        version=number,
        name=name,
        file=file,
        mode="Fetch",
        steps=None,
        rollout={"strategy": strategy, **rollout},
    )


GOOD = version("2", "blue-green", "BlueGreen", file="sound.tar.gz", approval="Required")
BAD = version("2", "green-blue", "BlueGreen", file="failing.tar.gz", bakeSeconds=600)
ALONE = version("2", "alone", "Recreate", file="sound.tar.gz")
MODELS = (GOOD, BAD, ALONE)


@dataclass(slots=True)
class Switches:
    """The rollouts under way."""

    pods: PodLog
    """Of the model that never runs twice."""
    deployed: dict[str, Deployed] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)

    def of(self, model: Model) -> tuple[Deployed, Client]:
        """Return the ModelDeployment of a model, and its client."""
        return self.deployed[model.name], self.clients[model.name]


@pytest.fixture(scope="module")
def switches(follow: Follow, kubectl: Kubectl, start_load: StartLoad) -> Iterator[Switches]:
    """Version 2 of every model, just asked for, while version 1 serves."""
    deployed = {model.name: follow(model.name) for model in MODELS}
    for model in MODELS:
        deployed[model.name].apply(replace(model, version="1", file="sound.tar.gz"))
    for each in deployed.values():
        each.wait_for_end("1")

    namespace = deployed[ALONE.name].namespace
    try:
        with ExitStack() as stack:
            pods = stack.enter_context(watched(kubectl, namespace, ALONE.name))
            loads = {
                name: stack.enter_context(start_load(Plan(name, rate=RATE))) for name in deployed
            }
            for model in MODELS:
                deployed[model.name].apply(model)
            yield Switches(pods, deployed, loads)
    finally:
        kubectl.run("delete", "modeldeployment", *deployed, "-n", namespace)


def test_the_preview_answers_by_the_candidate_while_the_switch_waits(
    switches: Switches, kubectl: Kubectl
) -> None:
    deployed, client = switches.of(GOOD)
    status = deployed.wait_for_stage(Stage.AWAITING_APPROVAL, 0)
    assert client.name == PREVIEWER
    candidate, endpoints = status.candidate, status.endpoints
    assert candidate is not None
    assert endpoints is not None
    assert endpoints.preview is not None

    addresses = {pod["status"]["podIP"] for pod in deployed.pods(candidate.revision)}
    until(lambda: previewed(kubectl, deployed) == addresses, "the candidate behind the preview", 20)
    assert ask_once(kubectl, f"pod/{client.name}", endpoints.preview) == "200 None"
    by_header = endpoints.http
    assert ask_once(kubectl, f"pod/{client.name}", by_header) == f"200 {candidate.revision}"
    answered = {name for record in client.load.records() for name in record.revisions}
    assert candidate.revision not in answered, "no user was answered by it"


def test_a_good_version_gets_everything_in_one_switch_and_nothing_is_lost(
    switches: Switches, kubectl: Kubectl
) -> None:
    deployed, client = switches.of(GOOD)
    deployed.act("approve")
    ended = deployed.wait_for_end("2")
    assert ended.outcome is Outcome.PROMOTED
    assert ended.unjudged is None
    assert weights(deployed) == {0, 100}
    deployed.comes_to(promoted("2"), "2")
    addresses = {pod["status"]["podIP"] for pod in deployed.pods(deployed.stable_revision)}
    assert previewed(kubectl, deployed) == addresses

    client.sends_on(rate=RATE)
    assert client.load.total.failed == 0


def test_a_version_that_fails_after_the_switch_is_taken_back_whole(switches: Switches) -> None:
    deployed, client = switches.of(BAD)
    ended = deployed.wait_for_end("2")
    assert ended.outcome is Outcome.ABORTED, "held, since nothing was compared at the same moment"
    assert "on stable before the switch" in ended.reason
    assert weights(deployed) == {0, 100}
    deployed.comes_to(refused(Outcome.ABORTED, stable="1", why="Held"), "2")

    back = deployed.status.last_rollback
    assert back is not None
    assert back.metric == "errors"
    assert back.traffic_restored_at is not None
    since = time.time() + 1
    client.sends_on(3, rate=RATE)
    after = client.records_since(since)
    assert {name for record in after for name in record.revisions} == {back.to}
    assert client.load.total.failed_by_model > 0
    assert client.load.total.lost == 0


def test_one_version_stops_before_the_other_starts_and_the_gap_is_told(
    switches: Switches, figures: Figures
) -> None:
    deployed, client = switches.of(ALONE)
    ended = deployed.wait_for_end("2")
    assert ended.outcome is Outcome.PROMOTED
    assert weights(deployed) == {0, 100}
    deployed.comes_to(promoted("2"), "2")
    assert not switches.pods.ended, "every change of a pod was seen"
    assert frozenset({ended.revision}) in switches.pods.together
    assert max(len(revisions) for revisions in switches.pods.together) == 1

    in_gap = [status for status in deployed.seen if gap(status).gap_started_at]
    assert ConditionStatus.FALSE in {available(status) for status in in_gap}
    began, seconds = to_unix(gap(in_gap[0]).gap_started_at), gap(deployed.status).gap_seconds
    told = deployed.events()
    assert told["Recreating"].startswith("nobody is answered from now on: version 1 stops")
    assert told["GapEnded"].endswith(f"answers after a gap of {seconds:.1f} s")
    figures.seconds["the gap of Recreate, by its status"] = seconds

    client.sends_on(rate=RATE)
    refusals = [record for record in client.load.records() if record.counts.failed]
    assert refusals, "users were told, and not kept waiting"
    assert all(began - 1 <= record.t <= began + seconds + 1 for record in refusals)
    assert {cause.split()[0] for record in refusals for cause in record.causes} == {"503"}
    after = client.records_since(began + seconds + 1)
    assert {name for record in after for name in record.revisions} == {ended.revision}


def weights(deployed: Deployed) -> set[int]:
    """Return the candidate's acknowledged weights, of every status while there was one."""
    return {s.rollout.acked_weight for s in deployed.seen if s.rollout and s.candidate}


def previewed(kubectl: Kubectl, deployed: Deployed) -> set[str]:
    """Return the addresses behind the preview Service."""
    selector = f"kubernetes.io/service-name={preview_name(deployed.name)}"
    slices = kubectl.items(deployed.namespace, "endpointslices", selector)
    ends: list[Manifest] = [end for found in slices for end in found["endpoints"] or ()]
    return {address for end in ends for address in end["addresses"]}


def gap(status: ModelDeploymentStatus) -> Recreate:
    """Return what a status says of the gap."""
    found = status.rollout.recreate if status.rollout else None
    return found or Recreate(replicas=0)


def available(status: ModelDeploymentStatus) -> ConditionStatus:
    """Return whether a status says that requests are answered."""
    return next(c.status for c in status.conditions if c.type == ConditionType.AVAILABLE)


def to_unix(time: str | None) -> float:
    """Return a time of the API in Unix time."""
    assert time is not None
    return datetime.fromisoformat(time).timestamp()
