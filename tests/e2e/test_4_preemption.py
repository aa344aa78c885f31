"""A pod of a higher priority takes an accelerator: at rest, in mid-swap, and on the way back."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import ModelDeploymentStatus, Outcome, Stage

from tests.e2e.clients import Plan
from tests.e2e.deployed import Deployed
from tests.e2e.objects import NAMESPACE, step
from tests.e2e.places import (
    RESOURCE,
    ROLLOUT_SECONDS,
    ReadyHistory,
    Scarcity,
    arrives,
    has_all_again,
    message_of,
    scarce_model,
    total_of,
)
from tests.kubectl import until

pytestmark = [pytest.mark.e2e, pytest.mark.capacity]

NAME = "outranked"
REPLICAS = 4
HELD = [step(25), step(50, hold=600), step(75)]
"""At half of the traffic each version has two replicas, until a person goes on."""


@pytest.fixture(scope="module")
def outranked(scarcity: Scarcity) -> Iterator[Deployed]:
    """A model with as many accelerators as replicas."""
    with scarcity.serving(scarce_model(NAME, "1", REPLICAS)) as deployed:
        yield deployed


@contextmanager
def asked(scarcity: Scarcity, what: str) -> Iterator[ReadyHistory]:
    """Ask for answers, none of which is lost, and record what is ready; print it as `what`."""
    history = ReadyHistory(scarcity.kubectl, NAMESPACE, NAME)
    with scarcity.asking(Plan(NAME)) as clients, history.recorded():
        yield history
    total = total_of(clients)
    scarcity.figures.notes[f"a pod of higher priority {what}"] = (
        f"{total.sent:,} requests, {total.lost} lost, "
        f"{history.lowest} of {REPLICAS} ready at the lowest"
    )


def half_way(outranked: Deployed, version: str, history: ReadyHistory) -> None:
    """Let a version have half of the places, and every replica be ready."""
    outranked.apply(scarce_model(NAME, version, REPLICAS, steps=HELD))
    outranked.wait_for_stage(Stage.PROGRESSING, 50)
    until(lambda: history.totals[-1][1] == REPLICAS, "all replicas", ROLLOUT_SECONDS)


def lacks_a_place(status: ModelDeploymentStatus) -> bool:
    """Tell whether a status names what a replica finds no room for."""
    kinds = (ConditionType.READY, ConditionType.CAPACITY_READY)
    return any(f"Insufficient {RESOURCE}" in message_of(status, kind) for kind in kinds)


def test_at_rest_it_costs_a_replica_and_no_request(outranked: Deployed, scarcity: Scarcity) -> None:
    with asked(scarcity, "takes an accelerator at rest") as history:
        with scarcity.accelerators.pre_empted():
            outranked.wait_for(lacks_a_place, "word of the place", 60)
        has_all_again(history, REPLICAS)
        outranked.wait_for(lambda status: not lacks_a_place(status), "the end of that word", 60)
    assert history.lowest == REPLICAS - 1


def test_in_mid_swap_no_replica_goes_before_the_place_is_back(
    outranked: Deployed, scarcity: Scarcity
) -> None:
    with asked(scarcity, "takes one in mid-swap") as history:
        half_way(outranked, "2", history)
        with scarcity.accelerators.pre_empted():
            outranked.wait_for(lacks_a_place, "word of the place", 60)
            outranked.act("skip")
            outranked.stays(lambda it: not it.rollout or it.rollout.acked_weight <= 66, 15)
            assert history.totals[-1][1] == REPLICAS - 1
        arrives(outranked, "2")
        has_all_again(history, REPLICAS)
    assert history.lowest == REPLICAS - 1


def test_a_roll_back_gives_the_places_back_before_the_traffic(
    outranked: Deployed, scarcity: Scarcity
) -> None:
    stable = outranked.stable_revision
    with asked(scarcity, "takes one in mid-swap, and the rollout is aborted") as history:
        half_way(outranked, "2-aborted", history)
        with scarcity.accelerators.pre_empted():
            outranked.wait_for(lacks_a_place, "word of the place", 60)
            outranked.act("abort")
            ended = outranked.wait_for_end("2-aborted", ROLLOUT_SECONDS)
            assert ended.outcome is Outcome.ABORTED
            assert outranked.stable_revision == stable
            until(lambda: history.totals[-1][1] == REPLICAS - 1, "three ready", ROLLOUT_SECONDS)
        has_all_again(history, REPLICAS)
    assert history.lowest >= REPLICAS - 2, "one for who took it, one that changes hands"
