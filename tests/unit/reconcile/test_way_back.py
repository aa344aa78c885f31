"""Traffic comes back whatever else is refused; more of it for a candidate waits for capacity."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.base import Manifest
from slipway.errors import AdmissionDenied, ClusterUnavailable, Forbidden, SlipwayError, SpecError

from tests.unit.reconcile.test_scaling import autoscale
from tests.unit.reconcile.test_trouble import NO_WEBHOOK, Refuses
from tests.unit.reconcile.world import OperatorWorld

POLICY = AdmissionDenied("ValidatingAdmissionPolicy 'few' denied request: at most 3 replicas")
BUILTIN = {"minReplicas": 1, "maxReplicas": 8, "target": {"concurrency": 4}}
HPA = {"minReplicas": 1, "maxReplicas": 8, "engine": "HPA"}
WEIGHTS = (10, 50, 90)


async def held_at(weight: int, trouble: Refuses, scaling: Manifest) -> OperatorWorld:
    """Return a world in which a candidate has so much of the traffic, and the trouble begins.

    From here on more replicas are due.
    """
    trouble.is_on = False
    world = OperatorWorld()
    world.trouble = trouble
    world.start()
    world.controllers.concurrency = 8

    await world.ask_for("1", scaling=scaling)
    await world.until(lambda: world.serving() == "1")

    steps = [{"weight": each, "approval": "Required"} for each in WEIGHTS]
    await world.ask_for("2", scaling=scaling, rollout={"steps": steps})
    for _ in range(WEIGHTS.index(weight) + 1):
        await world.until(lambda: world.stage() == "AwaitingApproval")
        await world.act("approve")
        await world.live()
    await world.until(lambda: world.stage() == "AwaitingApproval")
    assert world.weights() == {"1": 100 - weight, "2": weight}

    trouble.is_on = True
    world.controllers.concurrency = 32
    if scaling is HPA:
        autoscale(world, "1", 8)
        autoscale(world, "2", 8)
    return world


REFUSALS = [
    pytest.param(POLICY, HPA, {"kind": "HorizontalPodAutoscaler"}, id="policy on autoscalers"),
    pytest.param(Forbidden("no"), HPA, {"kind": "HorizontalPodAutoscaler"}, id="no right to them"),
    pytest.param(POLICY, BUILTIN, {"verb": "scale"}, id="policy on replicas"),
    pytest.param(Forbidden("no"), BUILTIN, {"verb": "scale"}, id="no right to scale"),
    pytest.param(
        ClusterUnavailable(NO_WEBHOOK), BUILTIN, {"kind": "Deployment"}, id="no webhook there"
    ),
    pytest.param(
        SpecError("spec", "Invalid"), HPA, {"kind": "HorizontalPodAutoscaler"}, id="wrong"
    ),
]


@pytest.mark.parametrize(("error", "scaling", "about"), REFUSALS)
async def test_an_abort_brings_the_traffic_back_and_tells_what_was_refused(
    error: SlipwayError, scaling: Manifest, about: dict[str, str]
) -> None:
    trouble = Refuses(error, **about)
    world = await held_at(50, trouble, scaling)

    await world.live(10)
    await world.act("abort")
    assert world.weights() == {"1": 100, "2": 0}

    await world.live(60)
    assert trouble.refused
    assert world.serving() == "1"
    assert ("2", "Aborted") in world.outcomes()
    assert str(error) in world.condition("Ready")[2]

    trouble.is_on = False
    await world.live(60)
    assert world.condition("Stalled")[1] == "Held"


@pytest.mark.parametrize(("error", "scaling", "about"), REFUSALS)
async def test_a_failing_candidate_loses_its_traffic_all_the_same(
    error: SlipwayError, scaling: Manifest, about: dict[str, str]
) -> None:
    world = await held_at(50, Refuses(error, **about), scaling)
    world.controllers.faults = {"2": "errors"}
    await world.until(lambda: world.serving() == "1", 60)
    await world.live(60)
    assert ("2", "RolledBack") in world.outcomes()
    assert world.weights()["1"] == 100


@pytest.mark.parametrize(("error", "scaling", "about"), REFUSALS)
async def test_a_candidate_gets_no_more_while_capacity_is_refused(
    error: SlipwayError, scaling: Manifest, about: dict[str, str]
) -> None:
    trouble = Refuses(error, **about)
    world = await held_at(10, trouble, scaling)
    await world.live(10)
    await world.act("approve")
    await world.live(60)
    assert world.weights() == {"1": 90, "2": 10}
    trouble.is_on = False
    await world.live(60)
    if world.weights()["2"] == 10:  # the first one was not taken while nothing could be written
        await world.act("approve")
    await world.until(lambda: world.weights()["2"] >= 50, 100)


@pytest.mark.parametrize(
    "about",
    [
        {"kind": "Service"},
        {"kind": "ControllerRevision"},
        {"kind": "PodDisruptionBudget"},
        {"kind": "Job"},
        {"kind": "Deployment"},
    ],
    ids=lambda about: str(about["kind"]),
)
async def test_nothing_but_the_route_stands_before_traffic_that_comes_back(about: Any) -> None:
    world = await held_at(50, Refuses(POLICY, **about), BUILTIN)
    body: Manifest = {"spec": {"ports": []}}
    world.api.patch(kinds.SERVICE, "vision", "digits", body, manager="somebody")
    await world.act("abort")
    assert world.weights() == {"1": 100, "2": 0}
    await world.live(20)
    assert world.serving() == "1"


@pytest.mark.parametrize("is_paused", [False, True], ids=["approval", "pause"])
async def test_a_candidate_that_waits_for_a_person_is_judged_all_the_same(
    is_paused: bool,
) -> None:
    world = await held_at(50, Refuses(POLICY, kind="nothing"), {"minReplicas": 2})
    if is_paused:
        await world.act("pause")
    await world.live(20)
    world.controllers.faults = {"2": "errors"}
    await world.until(lambda: ("2", "RolledBack") in world.outcomes(), 60)
