"""Metrics from outside in whole rollouts: what they hold, what they report, what they never do."""

from typing import Any

from slipway.api import kinds
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.external.answer import Answer, Series
from slipway.policy.analysis.inputs import Count

from tests.unit.reconcile.world import OperatorWorld

QUERY = 'predictions{version="{{version}}"}'
BROKEN = Why(Reason.PROVIDER_UNREACHABLE, "unreachable, or the connection broke")


def a_drift(mode: str) -> dict[str, Any]:
    return {"name": "classes", "drift": drift_source(), "mode": mode}


def drift_source(provider: str = "main") -> dict[str, str]:
    return {"provider": provider, "query": QUERY, "label": "class"}


def bins(seconds: float, *shares: int) -> Answer:
    return tuple(
        Series({"class": str(number)}, seconds * share) for number, share in enumerate(shares)
    )


async def world_with(*metrics: dict[str, Any], **rollout: Any) -> OperatorWorld:
    """Return a world in which version 1 serves and version 2 begins, with these metrics."""
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    analysis = {"intervalSeconds": 1, "minSamples": 30, "metrics": list(metrics)}
    await world.ask_for("2", rollout={"analysis": analysis, **rollout})
    return world


async def live(world: OperatorWorld, seconds: int, shares: tuple[int, ...] = (50, 50)) -> None:
    """Let both versions predict; the second one with these shares."""
    for _ in range(seconds):
        now = world.clock.seconds()
        world.prometheus.answers = {
            'predictions{version="1"}': bins(now, 50, 50),
            'predictions{version="2"}': bins(now, *shares),
        }
        await world.live()


def entry(world: OperatorWorld, name: str) -> dict[str, Any]:
    found = (item for item in world.status()["rollout"].get("analysis", ()) if item["name"] == name)
    return next(found, {})


async def test_drift_that_is_only_reported_stops_nobody() -> None:
    world = await world_with(a_drift("ReportOnly"))
    await live(world, 60, (95, 5))
    assert world.serving() == "2"
    assert (entry(world, "classes")["verdict"], entry(world, "classes")["reason"]) == (
        "Fail",
        "PredictionsDrift",
    )
    assert entry(world, "classes")["candidate"] > 0.25


async def test_drift_that_pauses_waits_for_a_person() -> None:
    world = await world_with(a_drift("Pause"))
    await live(world, 60, (95, 5))
    assert world.stage() == "AwaitingApproval"
    assert world.weights() == {"1": 90, "2": 10}
    assert "stability index" in world.condition("Ready")[2]
    await world.act("approve")
    await live(world, 30, (95, 5))
    assert world.weights() == {"1": 50, "2": 50}, "the next step is asked about on its own"
    await world.act("promote")
    await live(world, 30, (95, 5))
    assert world.serving() == "2"


async def test_predictions_that_do_not_drift_hold_nobody() -> None:
    world = await world_with(a_drift("Pause"))
    await live(world, 90)
    assert world.serving() == "2"


async def test_a_provider_that_is_down_holds_what_pauses_and_names_itself() -> None:
    world = await world_with(a_drift("Pause"))
    world.prometheus.answers = dict.fromkeys(
        ('predictions{version="1"}', 'predictions{version="2"}'), BROKEN
    )
    await world.live(60)
    assert (world.stage(), world.weights()) == ("Progressing", {"1": 90, "2": 10})
    reason, message = world.condition("Ready")[1:]
    assert reason == "ProviderUnreachable"
    assert "Prometheus main, about the candidate: unreachable" in message
    await live(world, 90)
    assert world.serving() == "2"


async def test_a_slow_provider_delays_nobody_else() -> None:
    world = await world_with(a_drift("ReportOnly"))
    world.prometheus.is_slow = True
    await world.until(lambda: world.serving() == "2")
    assert entry(world, "classes")["reason"] == "ProviderSlow"


async def test_an_unknown_provider_stalls_with_the_names_that_exist() -> None:
    world = await world_with({"name": "classes", "drift": drift_source("mian")})
    await world.live(5)
    assert world.condition("Stalled")[1] == "InvalidSpec"
    assert "found the provider 'mian', expected one of main" in world.condition("Stalled")[2]
    assert world.serving() == "1"


async def test_every_triton_is_read_and_one_that_is_away_holds() -> None:
    world = await world_with({"name": "triton", "preset": "TritonErrors"})
    await world.live(30)
    assert entry(world, "triton").get("verdict", "NoData") == "NoData"
    assert world.weights()["2"] == 10


class WarmServers(dict[str, Count | Why]):
    """Every server has counted its warm-up, and no user's request since."""

    def get(self, key: str, default: object = None) -> Count:
        del key, default
        return Count(10_000, 0)


async def test_the_warm_up_of_a_pod_that_is_born_in_a_step_passes_nothing() -> None:
    world = OperatorWorld()
    await world.ask_for("1", scaling={"minReplicas": 4})
    await world.until(lambda: world.serving() == "1")
    world.failures.counts = WarmServers()
    metric = {"name": "triton", "preset": "TritonErrors"}
    analysis = {"intervalSeconds": 1, "minSamples": 30, "metrics": [metric]}

    await world.ask_for("2", rollout={"analysis": analysis}, scaling={"minReplicas": 4})
    await world.until(lambda: world.weights().get("2", 0) > 0)
    await world.live(30)
    world.delete(kinds.POD, newest_pod(world))
    await world.live(60)

    assert entry(world, "triton").get("samples", 0) == 0
    assert world.outcomes() == [("1", "Promoted")]


def newest_pod(world: OperatorWorld) -> str:
    candidate = world.status()["candidate"]["revision"]
    return next(name for name in world.names(kinds.POD) if candidate in name)
