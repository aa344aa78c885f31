"""Another operator, the same models: what an upgrade of it, or of the chart, changes."""

from dataclasses import replace
from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.policy import identity
from slipway.policy.canonical_input import spelled_input
from slipway.reconcile import router as reconcile_router
from slipway.render import router
from slipway.settings import IPFamily, JobSettings, Settings, TracingSettings

from tests.unit.reconcile.world import NAMESPACE, SETTINGS, OperatorWorld

UPGRADED = SETTINGS.model_copy(
    update={"operator_image": "slipway:2", "server_image": "tritonserver:99.01", "workers": 3}
)


async def with_two_versions() -> OperatorWorld:
    world = OperatorWorld()
    for version in ("1", "2"):
        await world.ask_for(version)
        await world.settle()
    return world


def upgrade(world: OperatorWorld, settings: Settings = UPGRADED) -> OperatorWorld:
    twin = world.fork()
    twin.settings = settings
    twin.start()
    return twin


def agent_image(world: OperatorWorld, namespace: str = NAMESPACE) -> str:
    deployment = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME, namespace)
    [agent] = deployment["spec"]["template"]["spec"]["initContainers"]
    return str(agent["image"])


def choose_as_before(*words: Any, **needs: Any) -> router.AgentMark:
    return replace(router.choose_agent(*words, **needs), ends_idle=False)


def mark_of(world: OperatorWorld) -> str:
    deployment = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME, NAMESPACE)
    return str(deployment["metadata"]["annotations"][names.ANNOTATION_AGENT])


async def test_another_operator_image_writes_nothing() -> None:
    twin = upgrade(await with_two_versions())
    await twin.live(120)
    assert twin.writes == []


async def test_an_operator_that_knows_its_ip_family_restarts_nothing() -> None:
    six = SETTINGS.model_copy(update={"pod_ip_family": IPFamily.V6})
    twin = upgrade(await with_two_versions(), six)

    await twin.live(120)
    assert twin.writes == []

    await twin.ask_for("3")
    await twin.settle()
    assert "--http-address=ipv6:::" in str(twin.find(kinds.DEPLOYMENT, deployment_of(twin, "3")))


def deployment_of(world: OperatorWorld, version: str) -> str:
    [found] = [
        each["metadata"]["name"]
        for each in world.api.list(kinds.DEPLOYMENT, NAMESPACE, {})
        if f"'{names.LABEL_VERSION}': '{version}'" in str(each)
    ]
    return str(found)


def router_containers(world: OperatorWorld, namespace: str = NAMESPACE) -> list[str]:
    deployment = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME, namespace)
    return [each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]]


async def test_only_where_a_spec_asks_for_pairs_a_router_gets_a_comparer_and_it_stays() -> None:
    world = await with_two_versions()
    await world.ask_for("1", namespace="speech")
    await world.settle()
    await world.ask_for("3", rollout={"shadow": {"mode": "On"}})
    await world.live(5)
    assert router_containers(world) == ["envoy", "comparer"]
    assert router_containers(world, "speech") == ["envoy"]

    await world.ask_for("3", rollout={"shadow": {"mode": "Off"}})
    await world.settle()
    assert router_containers(world) == ["envoy", "comparer"]


async def test_dual_stack_reaches_the_clients_services_and_no_pod() -> None:
    router = SETTINGS.router.model_copy(update={"ip_family_policy": "PreferDualStack"})
    twin = upgrade(await with_two_versions(), SETTINGS.model_copy(update={"router": router}))

    await twin.live(120)

    assert twin.find(kinds.SERVICE)["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    assert [(write.kind, write.name) for write in twin.writes] == [("Service", "digits")]


async def test_traces_replace_routers_once_and_reach_new_revisions_alone() -> None:
    tracing = TracingSettings(endpoint="http://collector:4318")
    server = "nvcr.io/nvidia/tritonserver:25.04-py3"
    traced = UPGRADED.model_copy(update={"tracing": tracing, "server_image": server})
    twin = upgrade(await with_two_versions(), traced)
    await twin.live(120)
    assert [(write.kind, write.name) for write in twin.writes] == [
        (kinds.DEPLOYMENT.kind, names.ROUTER_NAME)
    ]
    assert mark_of(twin) == "2+t slipway:2"

    await twin.ask_for("3")
    await twin.settle()
    (new,) = twin.find(kinds.DEPLOYMENT, deployment_of(twin, "3"))["spec"]["template"]["spec"][
        "containers"
    ]
    revision = deployment_of(twin, "3").rpartition("-")[2]
    assert f"--trace-config=opentelemetry,resource=slipway.revision={revision}" in new["args"]

    newer = {"operator_image": "slipway:3", "tracing": TracingSettings()}
    off = upgrade(twin, traced.model_copy(update=newer))
    await off.live(120)
    assert {(write.kind, write.name) for write in off.writes} == {
        (kinds.DEPLOYMENT.kind, names.ROUTER_NAME)
    }
    assert mark_of(off) == "2+t slipway:2"


async def test_another_operator_image_reaches_the_routers_of_new_namespaces() -> None:
    twin = upgrade(await with_two_versions())
    await twin.ask_for("1", namespace="speech")
    await twin.settle()
    assert agent_image(twin) == "slipway:1"
    assert agent_image(twin, "speech") == "slipway:2"


async def test_a_rollout_goes_on_where_the_other_operator_left_it() -> None:
    world = await with_two_versions()
    await world.ask_for("3")
    await world.until(lambda: world.stage() == "Progressing")
    twin = upgrade(world)
    await twin.settle()
    assert twin.serving() == "3"
    assert agent_image(twin) == "slipway:1"


async def test_a_router_that_cuts_long_requests_is_replaced_only_with_its_settings() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconcile_router, "choose_agent", choose_as_before)
        world = await with_two_versions()

    twin = upgrade(world)
    await twin.live(120)
    assert (twin.writes, mark_of(twin)) == ([], "2 slipway:1")

    other_envoy = UPGRADED.router.model_copy(update={"envoy_image": "envoy:2"})
    later = upgrade(twin, UPGRADED.model_copy(update={"router": other_envoy}))
    await later.live(30)
    assert mark_of(later) == "2+ slipway:2"
    assert [(write.kind, write.name) for write in later.writes] == [
        (kinds.DEPLOYMENT.kind, names.ROUTER_NAME)
    ]


async def test_another_version_of_the_agent_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await with_two_versions()
    monkeypatch.setattr(router, "AGENT_VERSION", "another")
    monkeypatch.setattr(router, "VERSIONS", ("another", *router.VERSIONS[1:]))
    twin = upgrade(world)
    await twin.live(30)
    assert agent_image(twin) == "slipway:2"
    assert [(write.kind, write.name) for write in twin.writes] == [
        (kinds.DEPLOYMENT.kind, names.ROUTER_NAME)
    ]


async def test_a_pinned_agent_is_what_runs_and_stays_when_the_pin_goes() -> None:
    world = await with_two_versions()
    pinned = UPGRADED.router.model_copy(update={"agent_image": "agent:7"})
    twin = upgrade(world, UPGRADED.model_copy(update={"router": pinned}))
    await twin.live(30)
    assert agent_image(twin) == "agent:7"
    later = upgrade(twin)
    await later.live(120)
    assert (agent_image(later), later.writes) == ("agent:7", [])


async def test_an_image_that_others_set_is_not_kept() -> None:
    world = await with_two_versions()
    deployment = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME)
    spec = deployment["spec"]["template"]["spec"]
    [agent] = spec["initContainers"]
    changed = {**spec, "initContainers": [{**agent, "image": "foreign:1"}]}
    world.change(kinds.DEPLOYMENT, names.ROUTER_NAME, spec={"template": {"spec": changed}})
    await world.live(5)
    assert agent_image(world) == "slipway:1"


PRIVATE = SETTINGS.model_copy(
    update={"jobs": JobSettings.model_validate({"imagePullSecrets": [{"name": "mirror"}]})}
)


async def test_pull_secrets_of_the_cluster_reach_new_revisions_and_leave_old_ones_alone() -> None:
    twin = upgrade(await with_two_versions(), PRIVATE)

    await twin.live(120)
    assert twin.writes == []

    await twin.ask_for("3")
    await twin.settle()
    pods = {
        deployment["spec"]["template"]["metadata"]["labels"].get(names.LABEL_VERSION): deployment[
            "spec"
        ]["template"]["spec"]
        for _, deployment in twin.api.all(kinds.DEPLOYMENT)
    }

    assert pods["3"]["imagePullSecrets"] == [{"name": "mirror"}]
    assert "imagePullSecrets" not in pods["2"]


# ── Identities of inputs ──

RESPELLED: dict[str, Any] = {
    "server": {
        "resources": {"requests": {"cpu": 1, "memory": "1024Mi"}},
        "protocols": ["GRPC", "HTTP"],
        "drainSeconds": 30,
    }
}
"""How people write it: none of this is the canonical spelling."""
CANONICAL: dict[str, Any] = {"server": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}}


def before_spellings_were_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the operator take every spelling for another input, as it once did."""

    def spelled(wire: Manifest, _name: str, *, is_packaged_once: bool) -> Manifest:
        del is_packaged_once
        return spelled_input(wire)

    monkeypatch.setattr(identity, "canonical_input", spelled)


async def test_another_spelling_of_what_serves_starts_nothing() -> None:
    world = OperatorWorld()
    await world.ask_for("1", **RESPELLED)
    await world.settle()
    serving = world.status()["stable"]["revision"]

    await world.ask_for("1", **CANONICAL)
    await world.settle()

    assert world.status()["stable"]["revision"] == serving
    assert world.outcomes() == [("1", "Promoted")]


async def test_an_upgrade_rolls_out_nothing_that_was_spelled_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = OperatorWorld()
    with monkeypatch.context() as before:
        before_spellings_were_compared(before)
        for version in ("1", "2"):
            await world.ask_for(version, **RESPELLED)
            await world.settle()

    twin = upgrade(world)
    await twin.live(120)
    assert twin.writes == []

    await twin.ask_for("3", **RESPELLED)
    await twin.settle()
    await twin.ask_for("3", **CANONICAL)
    await twin.settle()
    assert twin.outcomes() == [(version, "Promoted") for version in ("1", "2", "3")]


@pytest.mark.parametrize("stage", ["Starting", "Progressing", "Baking"])
async def test_an_upgrade_goes_on_with_the_rollout_of_another_spelling(
    monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    world = OperatorWorld()
    with monkeypatch.context() as before:
        before_spellings_were_compared(before)
        await world.ask_for("1", **RESPELLED)
        await world.settle()
        await world.ask_for("2", **RESPELLED)
        await world.until(lambda: world.stage() == stage)

    twin = upgrade(world)
    await twin.settle()

    assert twin.outcomes() == [("1", "Promoted"), ("2", "Promoted")]
    revisions = [revision for _, revision in twin.api.all(kinds.CONTROLLER_REVISION)]
    assert len(revisions) == 2


async def test_an_upgrade_keeps_out_what_was_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = OperatorWorld()
    with monkeypatch.context() as before:
        before_spellings_were_compared(before)
        await world.ask_for("1", **RESPELLED)
        await world.settle()
        world.controllers.faults["2"] = "errors"
        await world.ask_for("2", **RESPELLED)
        await world.settle()

    twin = upgrade(world)
    await twin.live(120)

    assert twin.writes == []
    assert twin.condition("Stalled")[:2] == ("True", "RevisionRejected")


async def test_an_upgrade_keeps_out_what_another_spelling_of_the_golden_set_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    golden = {"uri": "https://models.example/golden.tar", "regression": "Fail"}
    world = OperatorWorld()
    with monkeypatch.context() as before:
        before.setattr(identity, "canonical_golden_set", dict)
        await world.ask_for("1")
        await world.settle()
        world.controllers.faults["2"] = "golden"
        await world.ask_for("2", model={"goldenSet": golden})
        await world.settle()
    assert world.outcomes()[-1] == ("2", "RejectedByGoldenSet")

    twin = upgrade(world)
    await twin.live(120)

    assert twin.writes == []
