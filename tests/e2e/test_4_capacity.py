"""No spare accelerator: two versions of a model in the places of one, on the real scheduler."""

from collections.abc import Iterator

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import Outcome

from tests.e2e.clients import Plan
from tests.e2e.deployed import Deployed
from tests.e2e.objects import NAMESPACE
from tests.e2e.places import (
    RESOURCE,
    ROLLOUT_SECONDS,
    ReadyHistory,
    Scarcity,
    has_all_again,
    message_of,
    scarce_model,
    total_of,
)

pytestmark = [pytest.mark.e2e, pytest.mark.capacity]

NAME = "scarce"
REPLICAS = 2
QUOTA = "accelerators"
READY = ConditionType.READY


@pytest.fixture(scope="module")
def scarce(scarcity: Scarcity) -> Iterator[Deployed]:
    """A model with as many accelerators as replicas."""
    with scarcity.serving(scarce_model(NAME, "1", REPLICAS)) as deployed:
        yield deployed


def test_a_quota_is_named_and_a_roll_back_gives_the_places_back(
    scarce: Deployed, scarcity: Scarcity
) -> None:
    kubectl, accelerators = scarcity.kubectl, scarcity.accelerators
    accelerators.provide(4 * REPLICAS)
    hard = {f"requests.{RESOURCE}": str(REPLICAS)}
    metadata = {"name": QUOTA, "namespace": NAMESPACE}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    )
    history = ReadyHistory(kubectl, NAMESPACE, NAME)
    try:
        with history.recorded():
            scarce.apply(scarce_model(NAME, "2-quota", REPLICAS))
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
            has_all_again(history, REPLICAS)
        assert history.lowest == REPLICAS - 1
        assert max(history.asked[-3:]) <= REPLICAS
    finally:
        kubectl.run("delete", "resourcequota", QUOTA, "-n", NAMESPACE, "--ignore-not-found")
        accelerators.provide(REPLICAS)


def test_a_node_that_goes_away_in_mid_swap_stops_it_until_it_is_back(
    scarce: Deployed, scarcity: Scarcity
) -> None:
    history = ReadyHistory(scarcity.kubectl, NAMESPACE, NAME)
    with scarcity.asking(Plan(NAME)) as clients, history.recorded():
        swap = {"capacity": "Swap"}
        scarce.apply(scarce_model(NAME, "2-lost", REPLICAS, rollout=swap))
        scarce.wait_for(
            lambda it: bool(it.candidate and it.rollout and it.rollout.capacity), "a Swap"
        )
        with scarcity.accelerators.away():  # the replica that makes room is still ending
            scarce.wait_for(
                lambda it: bool(it.candidate) and "unschedulable" in message_of(it, READY),
                "word of the node",
                60,
            )
            assert history.totals[-1][1] == REPLICAS - 1
        assert scarce.wait_for_end("2-lost", ROLLOUT_SECONDS).outcome is Outcome.PROMOTED
        has_all_again(history, REPLICAS)
    total = total_of(clients)
    scarcity.figures.notes["the node takes no pods in mid-swap"] = (
        f"{total.sent:,} requests, {total.lost} lost, {history.lowest} ready at the lowest"
    )
    assert history.lowest == REPLICAS - 1
