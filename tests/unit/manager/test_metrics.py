"""The metrics: what the page promises is what is exposed, and nothing of what is gone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from slipway.api import kinds
from slipway.api.modeldeployment import Outcome
from slipway.api.reasons import Reason
from slipway.engine.queue import Key
from slipway.errors import Forbidden
from slipway.manager.metrics.lines import Gauge, format_labels, write_exposition
from slipway.manager.metrics.machine import EXPECTED
from slipway.policy.ends import name_end

from tests.unit.manager.exposition import Exposed, expose, router_page
from tests.unit.reconcile.world import OperatorWorld

PAGE = Path(__file__).resolve().parents[3] / "docs/metrics.md"
NOT_OURS = ("process_",)
DIGITS = {"kind": "ModelDeployment", "metadata": {"name": "digits", "namespace": "vision"}}


@dataclass(frozen=True)
class Documented:
    name: str
    type: str
    labels: frozenset[str]


def documented() -> set[Documented]:
    row = re.compile(r"^\| `(slipway_\w+)` \| (\w+) \| ([\w, ]*)\| ", re.MULTILINE)
    rows = row.findall(PAGE.read_text())
    return {
        Documented(name, type_, frozenset(re.findall(r"\w+", labels)))
        for name, type_, labels in rows
    }


def exposed(families: list[Metric]) -> Iterator[Documented]:
    for family in families:
        if family.name.startswith(NOT_OURS):
            continue
        assert family.samples, f"{family.name} has no sample: this test must bring one about"
        for sample in family.samples:
            yield Documented(family.name, family.type, frozenset(sample.labels) - {"le"})


def router_families() -> list[Metric]:
    return list(text_string_to_metric_families(router_page()))


@pytest.fixture
async def world() -> OperatorWorld:
    """Two promoted versions and a third that is judged, after one that was rolled back."""
    world = OperatorWorld()
    for version in ("1", "2"):
        await world.ask_for(version)
        await world.settle()
    return world


async def leading(world: OperatorWorld) -> Exposed:
    exposed = expose(world)
    await exposed.machine.elector.tick()
    return exposed


async def with_everything(world: OperatorWorld) -> Exposed:
    world.controllers.faults["2"] = "errors"
    await world.until(lambda: "finding" in world.status()["afterPromotion"], 900)
    world.controllers.faults.clear()
    await world.ask_for("3", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: bool(world.status()["rollout"].get("analysis")))
    await world.act("abort")
    await world.settle()
    await world.ask_for("4", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: bool(world.status()["rollout"].get("analysis")))
    await world.live(20)
    exposed = await leading(world)
    exposed.machine.sweep.leave_out({(kinds.POD, "speech"): Forbidden("cannot list pods")})
    exposed.metrics.observe_pass("ModelDeployment", "ok", 0.02)
    exposed.metrics.answered("GET", "200", 0.004)
    await exposed.machine.events.record(DIGITS, warning=False, reason="Promoted", message="now")
    return exposed


async def test_the_page_lists_exactly_what_is_exposed(world: OperatorWorld) -> None:
    operator = (await with_everything(world)).families()
    assert set(exposed([*operator, *router_families()])) == documented()


async def test_names_follow_the_conventions(world: OperatorWorld) -> None:
    for family in [*(await with_everything(world)).families(), *router_families()]:
        assert re.fullmatch(r"(slipway|process)_[a-z_]+", family.name)
        assert family.documentation
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


async def test_a_rollout_shows_its_stage_weights_replicas_and_verdicts(
    world: OperatorWorld,
) -> None:
    exposed = await with_everything(world)
    status = world.status()
    of = {"namespace": "vision", "name": "digits"}

    assert exposed.values("slipway_modeldeployment_stage", stage="Progressing", **of) == [1]

    candidate = status["candidate"]["revision"]
    weights = {
        key: exposed.values("slipway_revision_weight_ratio", revision=key, **of)
        for key in (candidate, status["stable"]["revision"])
    }
    assert sorted(weights.values()) == [[0.1], [0.9]]
    assert weights[candidate] == [0.1]
    assert exposed.values("slipway_revision_replicas_ready", revision=candidate, **of) == [1]
    assert status["rollout"]["analysis"]

    for analysis in status["rollout"]["analysis"]:
        known = {"metric": analysis["name"], "verdict": analysis["verdict"]}
        assert exposed.values("slipway_analysis_verdict", **known, **of) == [1]
    assert exposed.values("slipway_modeldeployment_condition", type="Available", **of) == [1]
    assert exposed.values("slipway_rollout_shadow_state", state="Off", **of) == [1]


async def test_what_was_deleted_is_gone(world: OperatorWorld) -> None:
    exposed = await leading(world)
    assert exposed.series_of("digits")

    world.delete(kinds.MODEL_DEPLOYMENT)
    await world.work()
    assert exposed.series_of("digits") == 0


async def test_many_versions_make_no_more_series(world: OperatorWorld) -> None:
    exposed = await leading(world)
    before = exposed.series_of("digits")
    for version in ("3", "4", "5"):
        await world.ask_for(version)
        await world.settle()
    old = 2 * 3  # the fast lane keeps Deployments of older revisions, without pods

    assert before <= exposed.series_of("digits") <= before + old
    assert before <= 48


async def test_a_standby_shows_no_object(world: OperatorWorld) -> None:
    exposed = expose(world)
    assert exposed.series_of("digits") == 0
    assert exposed.values("slipway_is_leader") == [0]


async def test_scraping_wakes_nobody(world: OperatorWorld) -> None:
    exposed = await leading(world)
    before = list(world.writes)
    assert exposed.families()

    await world.work()
    assert world.writes == before


async def test_a_key_ages_only_under_a_leader(world: OperatorWorld) -> None:
    exposed = expose(world)
    exposed.machine.queue.add(Key("ModelDeployment", "vision", "digits"))
    world.clock.pass_on(50)

    assert exposed.values("slipway_queue_oldest_seconds") == [0]

    await exposed.machine.elector.tick()
    exposed.clock.forward(10)
    world.clock.pass_on(10)

    assert exposed.values("slipway_queue_oldest_seconds") == [10]
    assert exposed.values("slipway_queue_ready") == [1]


async def test_of_a_rollout_that_ended_nothing_is_shown_but_that_it_did(
    world: OperatorWorld,
) -> None:
    exposed = await leading(world)
    assert world.status()["rollout"]["startedAt"]

    under_way = ("slipway_rollout_", "slipway_analysis_")
    gauges = [family for family in exposed.families() if family.type == "gauge"]
    assert {f.name for f in gauges if f.name.startswith(under_way) and f.samples} == set()
    assert exposed.values("slipway_modeldeployment_stage", stage="Idle", name="digits") == [1]

    await world.ask_for("3", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: "candidate" in world.status())
    (began,) = exposed.values("slipway_rollout_started_timestamp_seconds", name="digits")

    assert began == datetime.fromisoformat(world.status()["rollout"]["startedAt"]).timestamp()


async def test_an_object_that_is_not_understood_shows_why_it_stalls(
    world: OperatorWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.api.TYPES", {})  # it was stored before there was a rule
    exposed = await leading(world)
    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"model": "none"})
    await world.work()
    of = {"namespace": "vision", "name": "digits"}

    stalled_as = world.condition("Stalled")

    assert stalled_as[:2] == ("True", "InvalidSpec")
    assert exposed.values("slipway_modeldeployment_stage", stage="Idle", **of) == [1]

    stalled = exposed.values(
        "slipway_modeldeployment_condition", type="Stalled", reason="InvalidSpec", **of
    )
    assert stalled == [1]
    assert sum(exposed.values("slipway_revision_replicas_ready", **of)) == 1, "it serves on"


async def test_a_moment_that_is_none_costs_no_other_metric(world: OperatorWorld) -> None:
    exposed = await leading(world)
    await world.ask_for("3", rollout={"steps": [{"weight": 10, "holdSeconds": 600}]})
    await world.until(lambda: "candidate" in world.status())
    status = world.status()
    status["rollout"]["startedAt"] = "2026-01-01T23:59:60Z"
    manifest = {**world.find(kinds.MODEL_DEPLOYMENT), "status": status}
    manifest["metadata"] = {**manifest["metadata"], "resourceVersion": "999999999"}
    exposed.machine.feed.on_seen(kinds.MODEL_DEPLOYMENT, manifest)

    assert exposed.values("slipway_rollout_started_timestamp_seconds") == []
    assert exposed.values("slipway_rollout_steps", name="digits") == [1]


def test_what_people_write_breaks_no_line() -> None:
    written_by_people = ('a"b', "a\\b", "a\nb", "a\\nb", "é")
    gauge = Gauge("slipway_x", "Text.", "label")
    for value in written_by_people:
        gauge.add(format_labels(name=value), value, value=0.25)
    (family,) = text_string_to_metric_families(write_exposition([gauge]).decode())

    assert family.type == "gauge"
    assert [sample.labels for sample in family.samples] == [
        {"name": value, "label": value} for value in written_by_people
    ]
    assert {sample.value for sample in family.samples} == {0.25}


def test_the_first_of_each_event_is_an_increase() -> None:
    """A series that begins at 1 has none."""
    sources = "".join(path.read_text() for path in (PAGE.parents[1] / "operator").rglob("*.py"))
    told = {Reason[name].value for name in re.findall(r"\.tell\(\s*Reason\.(\w+)", sources)}
    outcomes = set(Outcome) - {Outcome.PROMOTED, Outcome.PACKAGING_FAILED}  # packaging tries on

    ends = {
        name_end([outcome], 0, is_serving=is_serving)
        for outcome in outcomes
        for is_serving in (True, False)
    }

    assert {reason for _, reason in EXPECTED} == told | ends

    exposed = expose(OperatorWorld())
    assert exposed.values("slipway_events_total") == [0] * len(EXPECTED)


@pytest.mark.parametrize("kind", ["ModelDeployment", "Router"])
def test_the_first_bug_is_an_increase(kind: str) -> None:
    exposed = expose(OperatorWorld())
    assert exposed.values("slipway_passes_total", kind=kind, result="bug") == [0]
    exposed.metrics.observe_pass(kind, "bug", 0.1)
    assert exposed.values("slipway_passes_total", kind=kind, result="bug") == [1]
