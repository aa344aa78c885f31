"""N accelerators for N replicas, and never one more: version 1, 2 and 1 again, under load."""

import os
import time
from datetime import datetime
from itertools import count
from statistics import median

import pytest
from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import CapacityStatus

from tests.e2e.clients import Client, Plan
from tests.e2e.deployed import Deployed, highest_weight
from tests.e2e.objects import NAMESPACE
from tests.e2e.places import (
    ACCELERATED,
    RESOURCE,
    ReadyHistory,
    Scarcity,
    arrives,
    has_all_again,
    message_of,
    plans_for,
    scarce_model,
    total_of,
)
from tests.kubectl import until

pytestmark = [pytest.mark.e2e, pytest.mark.capacity]

REQUESTS = int(os.environ.get("SLIPWAY_CAPACITY_REQUESTS", "50000"))
"""With two accelerators, and as many with four."""
LONGEST_SECONDS = 1500.0
"""No version begins after these."""
START_SECONDS = 300
"""startSeconds of an only replica: no gap may be longer."""
ANNOUNCED = "swapping the only replica: nothing answers until the new one is ready"
SHORTAGE = f"replicas do not fit: 0/1 nodes are available: 1 Insufficient {RESOURCE}"
CLOCKS = 2.0
"""Seconds between what a status says and what a client's record says of the same moment."""


@pytest.mark.parametrize("replicas", [2, 4])
def test_as_many_accelerators_as_replicas_carry_version_after_version(
    scarcity: Scarcity, replicas: int
) -> None:
    name = f"accelerated-{replicas}"
    history = ReadyHistory(scarcity.kubectl, NAMESPACE, name)
    with (
        scarcity.serving(scarce_model(name, "1", replicas)) as deployed,
        scarcity.asking(*plans_for(name, name, replicas)) as clients,
        history.recorded(),
    ):
        seconds = turn(scarcity, deployed, replicas, clients)
        has_all_again(history, replicas)

    total = total_of(clients)
    scarcity.figures.notes[f"Slipway, {replicas} accelerators for {replicas} replicas"] = (
        f"{total.sent:,} requests, {total.lost} lost, {history.lowest} ready at the lowest, "
        f"{len(seconds)} rollouts of {median(seconds):.0f} s (median), "
        f"{', '.join(f'{each:.0f}' for each in seconds)} s"
    )
    assert history.lowest == replicas - 1
    assert total.sent >= REQUESTS


def turn(
    scarcity: Scarcity, deployed: Deployed, replicas: int, clients: list[Client]
) -> list[float]:
    """Roll 2 and 1 out in turn until enough is answered; return the seconds that each took.

    The first way back is the fast lane of `git revert`; afterwards each way is judged.
    """
    taken: list[float] = []
    began = time.monotonic()
    for number in count():
        version = "21"[number % 2]
        rollback = {"fastLaneRevisions": 0} if number > 1 else {}
        deployed.apply(scarce_model(deployed.name, version, replicas, rollback=rollback))
        if not taken:
            what = f"candidate to word of what it lacks, {replicas} replicas"
            scarcity.figures.seconds[what] = hear(deployed)
        taken.append(arrives(deployed, version))
        assert {found.floor for found in capacities(deployed)} == {replicas - 1}
        assert number == 1 or highest_weight(deployed.seen, version) >= 50

        is_enough = total_of(clients).sent >= REQUESTS
        is_late = time.monotonic() - began > LONGEST_SECONDS
        if version == "1" and (is_enough or is_late):
            break
    return taken


def hear(deployed: Deployed) -> float:
    """Return the seconds from the candidate to the word of what it finds no room for."""
    deployed.wait_for(lambda status: status.candidate is not None, "a candidate")
    began = time.monotonic()
    deployed.wait_for(
        lambda status: SHORTAGE in message_of(status, ConditionType.CAPACITY_READY),
        "word of what is missing",
    )
    return time.monotonic() - began


def test_the_only_accelerator_leaves_a_gap_that_is_announced_bounded_and_measured(
    scarcity: Scarcity,
) -> None:
    server = {**ACCELERATED, "startSeconds": START_SECONDS}
    first = scarce_model("alone-at-it", "1", 1, server=server)
    plan = Plan(first.name)
    with scarcity.serving(first) as deployed, scarcity.start_load(plan) as client:
        for version in "21":
            applied_at = time.time()
            deployed.apply(scarce_model(first.name, version, 1, server=server))
            taken = arrives(deployed, version)
            began, seconds = gap_of(deployed)
            assert 0 < seconds <= START_SECONDS
            measured = f"requests are answered again after a gap of {seconds:g} s"
            until(lambda: deployed.events().get("GapEnded") == measured, measured, 20)  # noqa: B023
            assert deployed.events()["Swapping"].endswith(ANNOUNCED)

            client.sends_on()
            refusals = [it for it in client.records_since(applied_at) if it.counts.failed]
            assert refusals
            assert all(began - CLOCKS <= it.t <= began + seconds + CLOCKS for it in refusals), (
                began,
                seconds,
                refusals,
            )
            scarcity.figures.notes[f"Slipway, an only accelerator, to version {version}"] = (
                f"a gap of {seconds:.1f} s in a rollout of {taken:.0f} s, "
                f"{sum(it.counts.failed for it in refusals)} requests refused, all in it"
            )


def gap_of(deployed: Deployed) -> tuple[float, float]:
    """Return when the gap began, in Unix time, and how long it was."""
    gaps = []
    for status in deployed.seen:
        capacity = status.rollout.capacity if status.rollout else None
        if capacity is not None and capacity.gap_started_at is not None:
            said = f"nothing answers since {capacity.gap_started_at}"
            assert said in message_of(status, ConditionType.CAPACITY_READY)
            gaps.append(capacity.gap_started_at)
    began = datetime.fromisoformat(gaps[0]).timestamp()
    return began, max(it.gap_seconds for it in capacities(deployed))


def capacities(deployed: Deployed) -> list[CapacityStatus]:
    """Return what was said of the places since the newest apply."""
    rollouts = [status.rollout for status in deployed.seen if status.rollout]
    return [rollout.capacity for rollout in rollouts if rollout.capacity]
