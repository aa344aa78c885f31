"""Replicas by KEDA: our floors, one hand-over after the other, and what happens without it."""

import random
from collections.abc import Callable

import pytest
from slipway.api import kinds, names
from slipway.api.base import Manifest

from tests.fakes.cluster import Trouble, Write
from tests.fakes.keda import FakeKeda
from tests.unit.reconcile.test_scaling import BUILTIN, HPA, replicas, revision_of
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld
from tests.unit.worlds import Killed

QUERY = 'sum(slipway_router_active_requests{route="{{name}}",revision="{{revision}}"})'
PROMETHEUS = {"serverAddress": "http://prometheus:9090", "query": QUERY, "threshold": "4"}
KEDA: Manifest = {
    "minReplicas": 1,
    "maxReplicas": 8,
    "engine": "KEDA",
    "keda": {"triggers": [{"type": "prometheus", "metadata": PROMETHEUS}]},
}


class KedaWorld(OperatorWorld):
    """A cluster with KEDA."""

    def __init__(self) -> None:
        super().__init__()
        self.keda = FakeKeda(self.api)
        self.controllers.others.append(self.keda.step)
        self.needed = 1
        """Replicas that carry all requests."""

    def want(self, version: str, number: int) -> None:
        """Let the triggers of a version ask for so many replicas."""
        self.keda.wanted[revision_of(self, version)] = number

    def load(self, version: str, number: int) -> None:
        """Let all requests need so many replicas, and the version get all of them."""
        self.needed = number
        self.want(version, number)

    def _carries_all(self, namespace: str, owner: str, before: int) -> int:
        del namespace, owner
        is_shared = sum(weight > 0 for weight in self.weights().values()) > 1
        is_kedas = self.find(kinds.MODEL_DEPLOYMENT)["spec"]["scaling"].get("engine") == "KEDA"
        return before if is_shared and is_kedas else min(before, self.needed)


async def serving(scaling: Manifest, concurrency: int = 0) -> KedaWorld:
    """Return a world in which version 1 serves for a while."""
    world = KedaWorld()
    world.controllers.concurrency = concurrency
    await world.ask_for("1", scaling=scaling)
    await world.until(lambda: world.serving() == "1")
    await world.live(100)
    return world


def scaled_objects(world: OperatorWorld) -> dict[str, Manifest]:
    """Return the ScaledObjects' specs by version."""
    return {
        world.controllers.version_of(NAMESPACE, item["metadata"]["labels"][names.LABEL_REVISION]): (
            item["spec"]
        )
        for _, item in world.api.all(kinds.SCALED_OBJECT)
    }


def watch_replicas(world: OperatorWorld, version: str) -> Callable[[], list[int]]:
    """Return the numbers that a version's Deployment was given since, without repeats."""
    name = f"digits-{revision_of(world, version)}"
    seen: list[int] = []
    witness = world.api.witness

    def note(change: object) -> None:
        witness(change)  # type: ignore[arg-type]
        found = world.api.get(kinds.DEPLOYMENT, NAMESPACE, name)
        if found is not None and found["spec"]["replicas"] not in seen[-1:]:
            seen.append(found["spec"]["replicas"])

    world.api.witness = note
    return lambda: seen


async def test_a_revision_is_scaled_by_the_triggers_about_itself() -> None:
    world = await serving(KEDA)
    spec = scaled_objects(world)["1"]
    revision = revision_of(world, "1")

    assert spec["scaleTargetRef"]["name"] == f"digits-{revision}"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8)
    assert f'route="digits",revision="{revision}"' in spec["triggers"][0]["metadata"]["query"]
    assert spec["advanced"]["restoreToOriginalReplicaCount"] is False

    world.load("1", 5)
    await world.live(20)
    assert replicas(world) == {"1": 5}
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")
    assert world.status()["stable"]["scaling"]["desired"] == 5


async def test_at_rest_it_writes_nothing() -> None:
    world = await serving(KEDA)
    world.load("1", 3)
    await world.live(60)
    before = list(world.writes)
    await world.live(300)
    assert world.writes == before


async def test_a_rollout_gives_both_the_replicas_that_their_shares_need() -> None:
    world = await serving(KEDA)
    world.load("1", 4)
    await world.live(60)
    await world.ask_for("2", scaling=KEDA, rollout={"bakeSeconds": 300})
    least_of_stable = []
    ready_at: dict[int, int] = {}

    def bakes() -> bool:
        weight = world.weights().get("2", 0)
        ready_at.setdefault(
            weight, world.controllers.ready_pods(NAMESPACE, revision_of(world, "2"))
        )
        if weight:
            least_of_stable.append(replicas(world)["1"])
            world.want("1", 1)  # its own load goes away, its floor must not
        return world.stage() == "Baking"

    await world.until(bakes)
    await world.live(30)
    assert min(least_of_stable) == 4
    assert ready_at[50] >= 2
    assert ready_at[max(ready_at)] >= 4
    assert scaled_objects(world)["1"]["minReplicaCount"] == 4
    assert scaled_objects(world)["2"]["minReplicaCount"] == 4

    await world.until(lambda: world.serving() == "2")
    world.load("2", 1)
    await world.live(60)
    assert list(scaled_objects(world)) == ["2"]
    assert scaled_objects(world)["2"]["minReplicaCount"] == 1
    assert replicas(world) == {"1": 0, "2": 1}


async def test_a_retired_revision_is_let_go_before_it_is_taken_to_zero() -> None:
    world = await serving(KEDA)
    await world.ask_for("2", scaling=KEDA)
    numbers = watch_replicas(world, "1")
    await world.until(lambda: world.serving() == "2")
    await world.live(60)
    assert numbers()[-1] == 0
    assert numbers().count(0) == 1, "KEDA did not raise it again"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(BUILTIN, KEDA, id="from Slipway to KEDA"),
        pytest.param(KEDA, BUILTIN, id="from KEDA to Slipway"),
        pytest.param(HPA, KEDA, id="from an autoscaler of ours to KEDA"),
        pytest.param(KEDA, HPA, id="from KEDA to an autoscaler of ours"),
        pytest.param(KEDA, {"engine": "None"}, id="from KEDA to nobody"),
        pytest.param({"engine": "None"}, KEDA, id="from nobody to KEDA"),
    ],
)
async def test_another_engine_begins_with_the_number_that_it_finds(
    old: Manifest, new: Manifest
) -> None:
    world = await serving(old, 16)
    name = f"digits-{revision_of(world, '1')}"
    world.load("1", 4)
    body = {"spec": {"replicas": 4}}
    world.api.patch(kinds.DEPLOYMENT, NAMESPACE, name, body, manager="somebody")
    await world.live(100)
    assert replicas(world) == {"1": 4}

    numbers = watch_replicas(world, "1")
    await world.ask_for("1", scaling=new)
    await world.live(150)
    assert numbers() == [4]
    assert list(scaled_objects(world)) == (["1"] if new is KEDA else [])
    assert world.condition("ScalingActive")[0] != "False" or new == HPA


async def test_keda_is_let_down_to_the_minimum_only_when_it_measures() -> None:
    world = await serving(BUILTIN, 16)
    assert replicas(world) == {"1": 4}
    world.keda.unmeasured = True
    await world.ask_for("1", scaling=KEDA)
    await world.live(100)
    assert scaled_objects(world)["1"]["minReplicaCount"] == 4
    assert replicas(world) == {"1": 4}
    status, reason, message = world.condition("ScalingActive")
    assert (status, reason, message) == ("False", "FailedGetExternalMetric", "no metrics from KEDA")

    world.keda.unmeasured = False
    await world.live(60)
    assert scaled_objects(world)["1"]["minReplicaCount"] == 1
    assert replicas(world) == {"1": 1}


async def test_without_keda_in_the_cluster_replicas_are_kept_and_it_is_said() -> None:
    world = await serving(BUILTIN, 16)
    world.api.not_served.add(kinds.SCALED_OBJECT)
    await world.ask_for("1", scaling=KEDA)
    await world.live(100)
    assert replicas(world) == {"1": 4}
    assert world.condition("ScalingActive")[:2] == ("False", "KedaNotInstalled")

    before = list(world.writes)
    await world.live(100)
    assert world.writes == before

    await world.ask_for("2", scaling=KEDA)
    await world.until(lambda: world.serving() == "2")
    assert replicas(world)["2"] == 4

    world.api.not_served.discard(kinds.SCALED_OBJECT)
    await world.live(60)
    assert list(scaled_objects(world)) == ["2"]
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")


async def test_while_keda_is_down_rollouts_go_on_with_the_last_numbers() -> None:
    world = await serving(KEDA)
    world.load("1", 4)
    await world.live(60)
    world.keda.runs = False
    await world.live(30)
    assert world.condition("ScalingActive")[:2] == ("False", "FailedGetExternalMetric")

    numbers = watch_replicas(world, "1")
    await world.ask_for("2", scaling=KEDA)
    await world.until(lambda: world.serving() == "2")
    assert replicas(world)["2"] == 4
    assert not world.controllers.lost
    await world.live(100)
    assert numbers()[-1] == 0, "what nobody scales any more does not keep its pods"

    world.keda.runs = True
    world.load("2", 1)
    await world.live(60)
    assert replicas(world) == {"1": 0, "2": 1}
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")


async def test_slipway_waits_for_a_keda_that_does_not_let_go() -> None:
    world = await serving(KEDA)
    world.load("1", 4)
    await world.live(60)
    world.keda.runs = False
    numbers = watch_replicas(world, "1")
    await world.ask_for("1", scaling=BUILTIN)
    await world.live(200)
    assert numbers() in ([], [4])
    status, reason, message = world.condition("ScalingActive")
    assert (status, reason) == ("False", "KedaHolds")
    assert "waiting for KEDA to let go" in message

    world.keda.runs = True
    world.load("1", 1)
    await world.live(200)
    assert scaled_objects(world) == {}
    assert replicas(world) == {"1": 1}
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")


async def test_a_broken_trigger_holds_the_replicas_and_is_told_in_kedas_words() -> None:
    world = await serving(BUILTIN, 16)
    world.keda.broken = "error parsing prometheus metadata: missing required parameter"
    await world.ask_for("1", scaling=KEDA)
    await world.live(100)
    assert replicas(world) == {"1": 4}
    status, reason, message = world.condition("ScalingActive")
    assert (status, reason) == ("False", "ScaledObjectCheckFailed")
    assert "missing required parameter" in message


async def test_an_unknown_placeholder_of_a_trigger_names_the_field() -> None:
    world = await serving(BUILTIN)
    metadata = {**PROMETHEUS, "query": 'sum(up{revision="{{revision}}",on="{{node}}"})'}
    keda = {"triggers": [{"type": "prometheus", "metadata": metadata}]}
    await world.ask_for("1", scaling={**KEDA, "keda": keda})
    await world.live(10)
    _, reason, message = world.condition("Stalled")
    assert reason == "InvalidSpec"
    assert "spec.scaling.keda.triggers[0].metadata.query" in message
    assert "{{node}}" in message


async def test_nothing_is_asked_of_keda_where_it_never_scaled() -> None:
    world = await serving(BUILTIN, 16)
    world.api.not_served.discard(kinds.SCALED_OBJECT)
    asked = []
    original = world.api.list

    def note(kind: kinds.Kind, namespace: str, labels: Manifest) -> list[Manifest]:
        asked.append(kind)
        return original(kind, namespace, labels)

    world.api.list = note  # type: ignore[method-assign,assignment]
    await world.live(60)
    assert kinds.SCALED_OBJECT not in asked


# ── a random walk ──

ENGINES: tuple[Manifest, ...] = (KEDA, BUILTIN, HPA, {"engine": "None"})


class Kills(Trouble):
    """The operator is killed now and then, before or after a write."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.rate = 0.0

    def before(self, write: Write) -> None:
        del write
        if self.chance.random() < self.rate:
            raise Killed

    after = before


def disturb(world: KedaWorld, chance: random.Random) -> None:
    """Let KEDA come and go, its triggers break and mend, and its load change."""
    match chance.randrange(5):
        case 0:
            world.keda.runs = not world.keda.runs
        case 1:
            world.keda.broken = chance.choice(("", "", "no such field"))
        case 2:
            world.keda.unmeasured = not world.keda.unmeasured
        case _:
            for version in ("1", "2", "3", "4"):
                world.want(version, chance.randint(1, 8))


@pytest.mark.parametrize("seed", range(4))
async def test_a_random_walk_takes_nothing_from_a_rollout_and_ends_with_one_writer(
    seed: int,
) -> None:
    """Engines change in the middle of rollouts; every write may be the last of a process."""
    chance = random.Random(seed)
    world = await serving(KEDA)
    world.trouble = world.operator.cluster.trouble = kills = Kills(chance)
    version, engine = 1, KEDA

    for _ in range(50):
        kills.rate = 0.2
        draw = chance.random()
        if draw < 0.2:
            disturb(world, chance)
        elif draw < 0.3:
            engine = chance.choice(ENGINES)
            await world.ask_for(str(version), scaling=engine)
        elif draw < 0.35 and version < 4:
            version += 1
            await world.ask_for(str(version), scaling=engine)
        await world.live(chance.randint(1, 6))
        assert not world.controllers.lost

    kills.rate = 0.0
    world.keda.runs, world.keda.broken, world.keda.unmeasured = True, "", False
    world.needed = 1
    for wanted in ("1", "2", "3", "4"):
        world.want(wanted, 2)
    await world.ask_for(str(version), scaling=KEDA)
    await world.until(lambda: world.serving() == str(version), 900)
    await world.live(120)
    assert list(scaled_objects(world)) == [str(version)]
    assert scaled_objects(world)[str(version)]["minReplicaCount"] == 1
    assert {name: number for name, number in replicas(world).items() if number} == {str(version): 2}
    assert world.condition("ScalingActive")[:2] == ("True", "Measured")

    await world.ask_for(str(version), scaling={"engine": "None"})
    await world.live(60)
    assert scaled_objects(world) == {}
    assert {
        item["metadata"]["annotations"].get(names.ANNOTATION_SCALED_OBJECT)
        for _, item in world.api.all(kinds.DEPLOYMENT)
    } <= {"false", None}
