"""No spare accelerator: two versions of a model in the places of one, on the real scheduler."""

import time
from collections.abc import Iterator

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome

from tests.e2e.clients import Plan, StartLoad
from tests.e2e.deployed import Deployed, Follow, highest_weight
from tests.e2e.figures import Figures
from tests.e2e.objects import NAMESPACE, Model
from tests.e2e.places import ACCELERATED, RESOURCE, Accelerators, ReadyHistory
from tests.kubectl import Kubectl, until

pytestmark = [pytest.mark.e2e, pytest.mark.capacity]

NAME = "scarce"
REPLICAS = 2
SHORTAGE = f"replicas find no room: 0/1 nodes are available: 1 Insufficient {RESOURCE}"
ROLLOUT_SECONDS = 300.0
QUOTA = "accelerators"
READY = ConditionType.READY


def model(version: str, *, capacity: str = "Auto") -> Model:
    return Model(
        name=NAME,
        version=version,
        file=f"digits-{version[:1]}.onnx",
        scaling={"minReplicas": REPLICAS},
        server=ACCELERATED,
        rollout={"capacity": capacity},
    )


@pytest.fixture(scope="module")
def accelerators(kubectl: Kubectl) -> Accelerators:
    found = Accelerators(kubectl)
    found.provide(REPLICAS)
    return found


@pytest.fixture(scope="module")
def scarce(follow: Follow, kubectl: Kubectl, accelerators: Accelerators) -> Iterator[Deployed]:
    """A model with as many accelerators as replicas."""
    assert accelerators.allocatable == REPLICAS
    deployed = follow(NAME)
    deployed.apply(model("1"))
    deployed.wait_for_end("1")
    yield deployed
    kubectl.run("delete", "modeldeployment", NAME, "-n", NAMESPACE, "--ignore-not-found")


def message_of(status: ModelDeploymentStatus, kind: ConditionType) -> str:
    return next((it.message for it in status.conditions if it.type == kind), "")


def test_two_accelerators_carry_two_replicas_through_a_rollout_and_back(
    scarce: Deployed, kubectl: Kubectl, start_load: StartLoad, figures: Figures
) -> None:
    history = ReadyHistory(kubectl, NAMESPACE, NAME)
    with start_load(Plan(NAME)) as client, history.recorded(), client.loses_nothing():
        scarce.apply(model("2"))
        scarce.wait_for(lambda status: status.candidate is not None, "a candidate")
        began = time.monotonic()
        scarce.wait_for(
            lambda status: SHORTAGE in message_of(status, ConditionType.CAPACITY_READY),
            "word of what is missing",
        )
        figures.seconds["candidate to word of what it lacks"] = time.monotonic() - began

        assert scarce.wait_for_end("2", ROLLOUT_SECONDS).outcome is Outcome.PROMOTED
        rollouts = [status.rollout for status in scarce.seen if status.rollout]
        floors = {rollout.capacity.floor for rollout in rollouts if rollout.capacity}
        assert floors == {REPLICAS - 1}
        assert highest_weight(scarce.seen, "2") >= 50

        scarce.apply(model("1"))
        scarce.wait_for_end("1", ROLLOUT_SECONDS)
        until(lambda: history.totals[-1][1] == REPLICAS, "all replicas", ROLLOUT_SECONDS)

    assert history.lowest == REPLICAS - 1
    assert scarce.status.stable is not None
    assert scarce.status.stable.version == "1"


def test_a_quota_is_named_and_a_roll_back_gives_the_places_back(
    scarce: Deployed, kubectl: Kubectl, accelerators: Accelerators
) -> None:
    accelerators.provide(4 * REPLICAS)
    hard = {f"requests.{RESOURCE}": str(REPLICAS)}
    metadata = {"name": QUOTA, "namespace": NAMESPACE}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    )
    history = ReadyHistory(kubectl, NAMESPACE, NAME)
    try:
        with history.recorded():
            scarce.apply(model("2-quota"))
            scarce.wait_for(
                lambda status: (
                    f"exceeded quota: {QUOTA}" in message_of(status, ConditionType.CAPACITY_READY)
                ),
                "word of the quota",
            )
            scarce.wait_for(
                lambda it: bool(it.rollout and it.candidate and it.rollout.acked_weight),
                "the first weight",
                ROLLOUT_SECONDS,
            )
            scarce.act("abort")
            until(lambda: history.asked[-1] == REPLICAS, "stable's replicas", ROLLOUT_SECONDS)
            until(lambda: history.totals[-1][1] == REPLICAS, "all ready", ROLLOUT_SECONDS)
        assert history.lowest == REPLICAS - 1
        assert max(history.asked[-3:]) <= REPLICAS
    finally:
        kubectl.run("delete", "resourcequota", QUOTA, "-n", NAMESPACE, "--ignore-not-found")
        accelerators.provide(REPLICAS)


def test_a_node_that_goes_away_in_mid_swap_stops_it_until_it_is_back(
    scarce: Deployed, kubectl: Kubectl, accelerators: Accelerators, start_load: StartLoad
) -> None:
    history = ReadyHistory(kubectl, NAMESPACE, NAME)
    with start_load(Plan(NAME)) as client, history.recorded(), client.loses_nothing():
        scarce.apply(model("2-lost", capacity="Swap"))
        scarce.wait_for(
            lambda it: bool(it.candidate and it.rollout and it.rollout.capacity), "a Swap"
        )
        with accelerators.away():  # the replica that makes room is still ending
            scarce.wait_for(
                lambda it: bool(it.candidate) and "unschedulable" in message_of(it, READY),
                "word of the node",
                60,
            )
            assert history.totals[-1][1] == REPLICAS - 1
        assert scarce.wait_for_end("2-lost", ROLLOUT_SECONDS).outcome is Outcome.PROMOTED
        until(lambda: history.asked[-1] == REPLICAS, "all replicas", ROLLOUT_SECONDS)
        until(lambda: history.totals[-1][1] == REPLICAS, "all ready", ROLLOUT_SECONDS)
    assert history.lowest == REPLICAS - 1
