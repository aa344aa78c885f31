"""Replicas that follow the load: floors of rollouts, held without signals, one writer at a time."""

from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.policy.scaling.signals import ServerLoad

from tests.builders import later
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

BUILTIN = {
    "minReplicas": 1,
    "maxReplicas": 8,
    "downSeconds": 60,
    "target": {"concurrency": 4},
}
HPA = {"minReplicas": 1, "maxReplicas": 8, "engine": "HPA", "target": {"utilizationPercent": 50}}


async def serving(scaling: Manifest, concurrency: int = 0, **spec: Any) -> OperatorWorld:
    """Return a world in which version 1 serves for a while."""
    world = OperatorWorld()
    world.controllers.concurrency = concurrency
    await world.ask_for("1", scaling=scaling, **spec)
    await world.until(lambda: world.serving() == "1")
    await world.live(100)
    return world


def replicas(world: OperatorWorld) -> dict[str, int]:
    """Return the replicas by version."""
    found = {}
    for _, item in world.api.all(kinds.DEPLOYMENT):
        revision = item["metadata"]["labels"].get(names.LABEL_REVISION)
        if revision:
            version = world.controllers.version_of(NAMESPACE, revision)
            found[version] = item["spec"]["replicas"]
    return found


def scaling(world: OperatorWorld, who: str = "stable") -> Manifest:
    said: Manifest = world.status()[who]["scaling"]
    return said


def scalers(world: OperatorWorld) -> list[str]:
    """Return the managers of `replicas` in the Deployments of revisions."""
    return sorted(
        entry["manager"]
        for _, item in world.api.all(kinds.DEPLOYMENT)
        if item["metadata"]["labels"].get(names.LABEL_REVISION)
        for entry in item["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    )


# ── the builtin engine ──


async def test_a_load_step_is_followed_within_seconds_and_left_on_evidence() -> None:
    world = await serving(BUILTIN, 3)
    assert replicas(world) == {"1": 1}

    world.controllers.concurrency = 16
    await world.live(5)
    assert replicas(world) == {"1": 4}

    said = scaling(world)
    assert (said["desired"], said["signal"], said["target"]) == (4, "concurrency", 4)
    assert "requests in flight, 4 per replica" in said["message"]

    world.controllers.concurrency = 0
    await world.live(50)
    assert replicas(world) == {"1": 4}

    await world.live(100)
    assert replicas(world) == {"1": 1}
    assert scaling(world)["current"] == 1


async def test_two_models_of_the_same_bytes_are_each_scaled_on_servers_of_their_own() -> None:
    world = OperatorWorld()
    for name in ("digits", "copy"):
        await world.ask_for("1", name=name, scaling=BUILTIN)
    await world.until(lambda: world.status("copy").get("stable") is not None)
    first, second = (world.status(name)["stable"]["revision"] for name in ("digits", "copy"))
    assert first == second

    world.controllers.servers.asked.clear()
    await world.live(10)
    asked = world.controllers.servers.asked
    assert {model for _, model in asked} == {"digits", "copy"}
    assert all(address.startswith(f"{NAMESPACE}/{model}-") for address, model in asked)


async def test_at_rest_a_scaled_object_reads_and_writes_nothing() -> None:
    world = await serving(BUILTIN, 10)
    await world.live(120)
    assert replicas(world) == {"1": 3}
    before = list(world.writes)
    await world.live(300)
    world.controllers.concurrency = 12
    await world.live(100)
    assert world.writes == before


async def test_an_object_with_one_size_is_not_looked_at() -> None:
    world = await serving({"minReplicas": 2})
    reads = []
    world.operator.queue.waiting  # noqa: B018
    original = world.controllers.read

    async def read(address: str) -> Any:
        reads.append(address)
        return await original(address)

    world.controllers.read = read  # type: ignore[method-assign]
    world.start()
    await world.live(60)
    assert reads == []
    assert "scaling" not in world.status()["stable"]


async def test_without_signals_replicas_are_held_and_it_is_said() -> None:
    world = await serving(BUILTIN, 16)
    assert replicas(world) == {"1": 4}

    world.controllers.silent = {world.proxies()[0]["metadata"]["name"]}
    world.controllers.concurrency = 0
    await world.live(200)
    assert replicas(world) == {"1": 4}

    status, reason, message = world.condition("ScalingActive")
    assert (status, reason) == ("False", "SignalsMissing")
    assert "does not answer" in message

    world.controllers.silent = set()
    await world.live(200)
    assert replicas(world) == {"1": 1}
    assert world.condition("ScalingActive")[0] == "True"


async def test_a_restarted_operator_holds_what_it_finds() -> None:
    world = await serving(BUILTIN, 16)
    twin = world.fork()
    twin.controllers.concurrency = 16
    await twin.live(100)
    assert twin.writes == []
    assert replicas(twin) == {"1": 4}


async def test_a_candidate_is_sized_for_its_share_before_it_gets_it() -> None:
    world = await serving(BUILTIN, 32)
    assert replicas(world) == {"1": 8}
    await world.ask_for("2", scaling=BUILTIN, rollout={"bakeSeconds": 30})
    seen: dict[int, int] = {}

    def promoted() -> bool:
        weight = world.weights().get("2", 0)
        seen.setdefault(weight, world.controllers.ready_pods(NAMESPACE, revision_of(world, "2")))
        return world.serving() == "2"

    await world.until(promoted)
    assert seen[10] >= 1
    assert seen[50] >= 4
    assert seen[95] >= 8
    assert replicas(world)["1"] == 8 or world.serving() == "2"


async def test_stable_keeps_full_capacity_until_the_bake_ends_though_its_own_load_is_gone() -> None:
    world = await serving(BUILTIN, 16)
    await world.ask_for("2", scaling=BUILTIN, rollout={"bakeSeconds": 300})
    await world.until(lambda: world.stage() == "Baking")
    world.controllers.concurrency = 1
    await world.live(200)
    assert world.stage() == "Baking"
    assert replicas(world) == {"1": 4, "2": 4}
    assert scaling(world)["boundBy"] == "rollout"
    await world.until(lambda: world.serving() == "2")
    await world.live(150)
    assert replicas(world) == {"1": 0, "2": 1}


async def test_load_that_grows_in_a_rollout_grows_both() -> None:
    world = await serving(BUILTIN, 8)
    await world.ask_for("2", scaling=BUILTIN, rollout={"bakeSeconds": 300})
    await world.until(lambda: world.stage() == "Baking")
    routes = [write for write in world.writes if write.kind == "ModelRoute"]
    world.controllers.concurrency = 32
    await world.live(30)
    assert replicas(world) == {"1": 8, "2": 8}
    assert [write for write in world.writes if write.kind == "ModelRoute"] == routes


def revision_of(world: OperatorWorld, version: str) -> str:
    for _, item in world.api.all(kinds.CONTROLLER_REVISION):
        if item["data"]["version"] == version:
            return str(item["data"]["revision"])
    return ""


async def test_scaling_makes_no_new_revision() -> None:
    world = await serving(BUILTIN)
    before = world.names(kinds.CONTROLLER_REVISION)
    await world.ask_for("1", scaling={**BUILTIN, "minReplicas": 3})
    await world.live(10)
    assert world.names(kinds.CONTROLLER_REVISION) == before
    assert replicas(world) == {"1": 3}


# ── the HorizontalPodAutoscaler ──


def autoscalers(world: OperatorWorld) -> dict[str, Manifest]:
    return {
        world.controllers.version_of(NAMESPACE, item["metadata"]["labels"][names.LABEL_REVISION]): (
            item["spec"]
        )
        for _, item in world.api.all(kinds.HORIZONTAL_POD_AUTOSCALER)
    }


def autoscale(world: OperatorWorld, version: str, number: int) -> None:
    """Do what the HorizontalPodAutoscaler's controller does."""
    name = f"digits-{revision_of(world, version)}"
    body = {"spec": {"replicas": number}}
    world.api.patch(kinds.DEPLOYMENT, NAMESPACE, name, body, manager="kube-controller-manager")


async def test_an_autoscaler_is_made_and_its_number_stays() -> None:
    world = await serving(HPA)
    spec = autoscalers(world)["1"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 8)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    autoscale(world, "1", 5)
    await world.live(60)
    assert replicas(world) == {"1": 5}
    assert scalers(world) == ["kube-controller-manager"]


async def test_a_rollout_raises_the_least_that_autoscalers_may_go_to() -> None:
    world = await serving(HPA)
    autoscale(world, "1", 4)
    await world.ask_for("2", scaling=HPA, rollout={"bakeSeconds": 300})
    least: dict[str, int] = {}

    def bakes() -> bool:
        for version, spec in autoscalers(world).items():
            least[version] = spec["minReplicas"]
            if replicas(world)[version] < spec["minReplicas"]:
                autoscale(world, version, spec["minReplicas"])
        return world.stage() == "Baking"

    await world.until(bakes)
    await world.live(3)
    assert autoscalers(world)["1"]["minReplicas"] == 4
    assert autoscalers(world)["2"]["minReplicas"] == 4
    await world.until(lambda: bakes() or world.serving() == "2", 100)
    await world.until(lambda: world.serving() == "2")
    await world.live(60)
    assert list(autoscalers(world)) == ["2"]
    assert autoscalers(world)["2"]["minReplicas"] == 1
    assert replicas(world)["1"] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(BUILTIN, HPA, id="to an autoscaler"),
        pytest.param(HPA, BUILTIN, id="from an autoscaler"),
        pytest.param(BUILTIN, {"engine": "None"}, id="to nobody"),
        pytest.param({"engine": "None"}, BUILTIN, id="from nobody"),
        pytest.param(HPA, {"engine": "None"}, id="from an autoscaler to nobody"),
    ],
)
async def test_another_engine_begins_with_the_number_that_it_finds(
    old: Manifest, new: Manifest
) -> None:
    world = await serving(old, 16)

    if replicas(world) != {"1": 4}:
        autoscale(world, "1", 4)
    numbers = set()
    world.api.witness = lambda change: numbers.add(
        change.manifest["spec"].get("replicas") if change.kind is kinds.DEPLOYMENT else None
    )
    await world.ask_for("1", scaling=new)
    await world.live(150)

    assert numbers - {None, 2} <= {4}, "no other number in between (2 is the router's)"
    assert replicas(world) == {"1": 4}
    assert len(autoscalers(world)) == int(new["engine"] == "HPA" if "engine" in new else 0)


# ── somebody else ──


async def test_somebody_elses_number_stays_on_the_deployment() -> None:
    world = await serving({"engine": "None"})
    autoscale(world, "1", 5)
    await world.live(60)
    assert replicas(world) == {"1": 5}
    await world.ask_for("2", scaling={"engine": "None"})
    await world.until(lambda: world.serving() == "2")
    await world.live(60)
    assert replicas(world) == {"1": 0, "2": 5}


async def test_the_number_of_the_scale_subresource_is_what_runs() -> None:
    world = await serving({"engine": "None", "replicas": 3})
    assert replicas(world) == {"1": 3}

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"scaling": {"replicas": 6}})
    await world.live(10)
    assert replicas(world) == {"1": 6}

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"scaling": {"replicas": 2}})
    await world.live(10)
    assert replicas(world) == {"1": 2}

    told = dict(part.split("=") for part in world.status()["stable"]["selector"].split(","))
    [pod] = {
        tuple(sorted(item["metadata"]["labels"].items()))
        for _, item in world.api.all(kinds.POD)
        if item["metadata"]["labels"].get(names.LABEL_REVISION)
    }

    assert told.items() <= dict(pod).items()
    assert names.LABEL_REVISION not in told


async def test_somebody_elses_number_falls_only_when_the_rollout_is_over() -> None:
    world = await serving({"engine": "None", "replicas": 4})
    rollout = {"bakeSeconds": 60}

    await world.ask_for("2", scaling={"engine": "None", "replicas": 4}, rollout=rollout)
    await world.until(lambda: world.stage() == "Baking")
    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"scaling": {"replicas": 1}})
    await world.live(20)

    assert replicas(world) == {"1": 4, "2": 4}

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"scaling": {"replicas": 5}})
    await world.live(5)
    assert replicas(world) == {"1": 5, "2": 5}

    world.change(kinds.MODEL_DEPLOYMENT, "digits", spec={"scaling": {"replicas": 2}})
    await world.until(lambda: world.serving() == "2")
    await world.live(20)
    assert replicas(world) == {"1": 0, "2": 2}


async def test_somebody_elses_zero_stays_zero() -> None:
    world = await serving({"engine": "None"})
    autoscale(world, "1", 0)
    world.broken.clear()  # it was not Slipway
    await world.live(60)
    assert replicas(world) == {"1": 0}
    assert world.condition("Available")[0] == "False"
    autoscale(world, "1", 2)
    await world.live(5)
    assert replicas(world) == {"1": 2}
    assert world.condition("Available")[0] == "True"


async def test_an_outage_of_every_router_is_no_evidence_of_a_low_load() -> None:
    world = await serving(BUILTIN, 16)
    assert replicas(world) == {"1": 4}
    world.controllers.servers.load = ServerLoad(0, 100, 0, 0)
    unready(world, names.COMPONENT_ROUTER)
    await world.live(200)
    assert replicas(world) == {"1": 4}
    assert world.condition("ScalingActive")[1:] == (
        "SignalsMissing",
        "replicas are kept, and only added: no router pod is ready",
    )


async def test_an_outage_of_every_server_is_no_evidence_of_a_low_load() -> None:
    world = await serving(BUILTIN, 16)
    world.controllers.concurrency = 0
    unready(world, names.COMPONENT_SERVER)
    await world.live(200)
    assert replicas(world) == {"1": 4}


def unready(world: OperatorWorld, component: str) -> None:
    """Take the pods of a component out of service, and keep them there."""
    world.controllers.broken.add(component)
    for _, pod in list(world.api.all(kinds.POD)):
        if pod["metadata"]["labels"].get(names.LABEL_COMPONENT) == component:
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": later(0).isoformat()}
            world.api.put_status(kinds.POD, pod, {**pod["status"], "conditions": [ready]})


async def test_why_idle_replicas_are_kept_is_said_once() -> None:
    world = await serving({**BUILTIN, "downSeconds": 300}, 16)
    await world.live(300)
    world.controllers.concurrency = 0
    before = len(world.writes)
    await world.live(120)
    said = scaling(world)
    assert (said["desired"], said["boundBy"]) == (4, "stabilization")
    assert said["value"] < 16
    assert [write.verb for write in world.writes[before:]] == ["status"]


async def test_an_autoscaler_that_nobody_looks_at_is_not_active() -> None:
    world = await serving(HPA)
    assert world.condition("ScalingActive")[:2] == ("False", "NotEvaluated")
    [(kind, found)] = world.api.all(kinds.HORIZONTAL_POD_AUTOSCALER)
    active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
    world.api.put_status(kind, found, {"desiredReplicas": 1, "conditions": [active]})
    await world.live(2)
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")
