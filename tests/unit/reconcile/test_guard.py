"""Evidence that raises, hangs or lies, at every stage: what people ask for is done without it.

The worst that a source, the judge or the scaler can do costs its own evidence: an abort, a roll
back and a new version are carried out, and the status tells of them.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from slipway.api import kinds
from slipway.api.counters import Counters
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import Count
from slipway.policy.analysis.study import Study
from slipway.policy.hook_call import HookAnswer, Said
from slipway.policy.judgement import Judgement, KeptText
from slipway.policy.scaling.recommend import ScalerMemory
from slipway.policy.scaling.signals import ServerLoad
from slipway.policy.sizing import Sizing
from slipway.reconcile import guard, scaler
from slipway.reconcile.guard import Guard

from tests.fakes.sources import a_number
from tests.unit.reconcile.world import OperatorWorld

QUERY = 'seconds{version="{{version}}"}'
ROLLOUT: dict[str, Any] = {
    "steps": [{"weight": 10}, {"weight": 50}],
    "bakeSeconds": 600,
    "analysis": {
        "intervalSeconds": 1,
        "minSamples": 30,
        "warmUpSeconds": 0,
        "metrics": [
            {"name": "seconds", "prometheus": {"provider": "main", "query": QUERY}, "max": 5},
            {"name": "triton", "preset": "TritonErrors", "mode": "ReportOnly"},
        ],
        "hooks": [
            {
                "name": "gate",
                "stage": "Step",
                "webhook": {"url": "http://gate.vision.svc/x", "timeoutSeconds": 5},
            }
        ],
    },
}
SCALING: dict[str, Any] = {"minReplicas": 1, "maxReplicas": 4, "target": {"concurrency": 4}}
STAGES = ["Starting", "Progressing", "Baking"]
WAYS = ["raises", "hangs", "lies"]
HUGE = 10**400


class Bug(Exception):
    """What nobody has thought of."""


def bad(way: str, lie: object) -> Callable[..., Any]:
    """Return a source that never gives a sound answer."""

    async def answer(*_: object, **__: object) -> object:
        if way == "raises":
            raise Bug
        if way == "hangs":
            await asyncio.Event().wait()
        return lie

    return answer


def bad_at_once(way: str, lie: object) -> Callable[..., Any]:
    """Return a computation that never gives a sound result; it cannot hang."""

    def answer(*_: object, **__: object) -> object:
        if way == "lies":
            return lie
        raise Bug

    return answer


def break_counters(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    empty: Any = {"edges_millis": [], "counts": []}
    del patch
    lie = Counters.model_construct(proxy="x", envoy_start="1", at="never", routes=[empty])
    world.controllers.read = bad(way, lie)  # type: ignore[method-assign]


def break_servers(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del patch
    lie = ServerLoad(float("nan"), HUGE, float("inf"), -1)
    world.controllers.servers.read_load = bad(way, lie)  # type: ignore[method-assign]


def break_prometheus(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del patch
    world.prometheus.ask = bad(way, (float("nan"),) * 9)  # type: ignore[method-assign]


def break_failures(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del patch
    world.failures.read_failures = bad(way, Count(-HUGE, HUGE))  # type: ignore[method-assign]


def break_hooks(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del patch
    world.hooks.ask = bad(way, None)  # type: ignore[method-assign]
    world.hooks.answer = bad_at_once(way, None)  # type: ignore[method-assign]


def break_judge(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del world
    absurd = Judgement(
        "errors",
        Verdict.NO_DATA,
        Reason.NO_DATA,
        "?" * 5000,
        candidate=float("nan"),
        samples=HUGE,
        memory=KeptText("?" * 5000),
        looks=(float("inf"),) * 500,
    )
    patch.setattr(Study, "judge", bad_at_once(way, (absurd,)))


def break_scaler(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del world
    absurd = Sizing(1, signal="nonsense", value=float("nan"), loads={"x": float("inf")})
    patch.setattr(scaler, "recommend_replicas", bad_at_once(way, (absurd, ScalerMemory())))


def break_recorder(world: OperatorWorld, patch: pytest.MonkeyPatch, way: str) -> None:
    del patch
    world.operator.events.record = bad(way, None)  # type: ignore[method-assign]


BREAKS = {
    "routers": break_counters,
    "servers": break_servers,
    "prometheus": break_prometheus,
    "failures": break_failures,
    "hooks": break_hooks,
    "judge": break_judge,
    "scaler": break_scaler,
    "events": break_recorder,
}


ORIGINALS: dict[str, OperatorWorld] = {}


async def world_at(stage: str) -> OperatorWorld:
    """Return a world in which version 2 stands at a stage, and 1 serves."""
    if stage not in ORIGINALS:
        ORIGINALS[stage] = await lead_to(stage)

    original = ORIGINALS[stage]
    world = original.fork()
    world.controllers.faults = dict(original.controllers.faults)
    world.prometheus.answers = dict(original.prometheus.answers)
    world.hooks.says = {"gate": [HookAnswer(Said.PASSED, "Agreed")]}
    return world


async def lead_to(stage: str) -> OperatorWorld:
    world = OperatorWorld()
    world.prometheus.answers = {'seconds{version="2"}': a_number(1.0)}
    world.hooks.says = {"gate": [HookAnswer(Said.PASSED, "Agreed")]}
    await world.ask_for("1", scaling=SCALING)
    await world.until(lambda: world.serving() == "1")
    if stage == "Starting":
        world.controllers.faults["2"] = "never-ready"

    await world.ask_for("2", scaling=SCALING, rollout=ROLLOUT)
    await world.until(lambda: world.stage() == stage)
    if stage == "Progressing":
        await world.until(lambda: world.weights().get("2", 0) > 0)
    return world


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LONGEST_SECONDS", 0.002)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", BREAKS)
async def test_an_abort_works_whatever_the_evidence_does(
    source: str, way: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await world_at(stage)
    BREAKS[source](world, monkeypatch, way)
    await world.live(5)

    await world.act("abort")
    await world.until(lambda: world.weights()["1"] == 100, 30)
    if source != "routers":  # without them nobody knows whether the candidate is drained
        await world.until(lambda: ("2", "Aborted") in world.outcomes(), 30)

    assert world.status()["observedGeneration"] == 2
    assert world.results["bug"] == world.results["refused"] == 0


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("source", BREAKS)
async def test_a_new_version_gets_its_turn_whatever_the_evidence_does(
    source: str, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await world_at(stage)
    BREAKS[source](world, monkeypatch, "raises")
    await world.live(5)

    await world.ask_for("1", scaling=SCALING, rollout=ROLLOUT)
    await world.until(lambda: world.weights()["1"] == 100, 30)
    if source != "routers":  # without them nobody knows whether the candidate is drained
        await world.until(lambda: ("2", "Superseded") in world.outcomes(), 30)

    assert world.results["bug"] == world.results["refused"] == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", ["servers", "prometheus", "failures", "scaler", "events"])
async def test_the_routers_counters_roll_back_whatever_the_other_evidence_does(
    source: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await world_at("Progressing")
    BREAKS[source](world, monkeypatch, way)

    world.controllers.faults["2"] = "errors"
    await world.until(lambda: ("2", "RolledBack") in world.outcomes(), 60)

    assert world.weights()["1"] == 100


async def test_a_judge_that_raises_holds_the_weight_says_so_and_goes_on_once_mended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = await world_at("Progressing")
    weights = world.weights()
    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        break_judge(world, patch, "raises")
        await world.live(20)
        condition = world.condition("Ready")
        [entry] = [it for it in world.status()["rollout"]["analysis"] if it["name"] == "analysis"]

    assert world.weights() == weights
    assert "could not judge vision/digits" in condition[2]
    assert (entry["verdict"], entry["reason"]) == ("NoData", Reason.METRICS_UNAVAILABLE)
    fault = "could not judge vision/digits: "
    logged = [record for record in caplog.records if record.message.startswith(fault)]
    assert len(logged) == 1
    assert logged[0].exc_info

    await world.until(lambda: world.stage() == "Baking", 400)
    assert "analysis" not in {it["name"] for it in world.status()["rollout"]["analysis"]}


async def test_a_scaler_that_raises_keeps_the_replicas_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = OperatorWorld()
    world.controllers.concurrency = 8
    await world.ask_for("1", scaling=SCALING)
    await world.until(lambda: world.serving() == "1")
    await world.live(60)
    replicas = {
        item["metadata"]["name"]: item["spec"]["replicas"]
        for _, item in world.api.all(kinds.DEPLOYMENT)
    }

    with monkeypatch.context() as patch:
        break_scaler(world, patch, "raises")
        world.controllers.concurrency = 4
        await world.live(60)
        status, reason, message = world.condition("ScalingActive")

    assert (status, reason) == ("False", "SignalsMissing")
    assert "could not measure the load of vision/digits" in message
    assert replicas == {
        item["metadata"]["name"]: item["spec"]["replicas"]
        for _, item in world.api.all(kinds.DEPLOYMENT)
    }

    await world.until(lambda: world.condition("ScalingActive")[0] == "True", 60)


async def test_a_pass_that_is_cancelled_ends_though_a_guard_waits() -> None:
    task = asyncio.ensure_future(Guard().ask("wait", asyncio.Event().wait))
    await asyncio.sleep(0)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_source_that_was_cancelled_by_somebody_else_ends_no_pass() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    found = await Guard().ask("read it", cancelled)

    assert found is not None
    assert found.reason is Reason.METRICS_UNAVAILABLE
