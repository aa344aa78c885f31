"""What is written at rest, on a change of leader, and for each rollout: as little as can be."""

from collections import Counter
from typing import Any

import pytest
from slipway.api import kinds, names
from slipway.engine.queue import Key

from tests.fakes.api import Change
from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld

STAMPS = {("annotate", "ModelRoute"), ("annotate", "Deployment")}


async def at_rest(*versions: str, **spec: Any) -> OperatorWorld:
    world = OperatorWorld()
    for version in versions or ("1",):
        await world.ask_for(version, **spec)
        await world.settle()
        assert world.serving() == version
    return world


def children_first(world: OperatorWorld) -> list[str]:
    """Return what was written for the object until all of its children existed."""
    ours = [write for write in world.writes if write.name != names.ROUTER_NAME]
    last = next(n for n, w in enumerate(ours) if (w.kind, w.name) == ("Service", "digits"))
    return [str(write) for write in ours[: last + 1]]


async def test_creating_an_object_takes_at_most_eight_writes_until_its_children_exist() -> None:
    world = await at_rest()
    written = children_first(world)
    print("\n".join(written))
    assert {line.split()[1] for line in written} >= {"Deployment", "Service", "ModelRoute"}
    assert len(written) <= 8


async def test_a_first_version_takes_few_writes_until_it_serves() -> None:
    world = await at_rest()
    ours = [write for write in world.writes if write.name != names.ROUTER_NAME]
    print("\n".join(map(str, ours)))
    assert len(ours) <= 10


async def test_a_new_objects_workload_is_made_in_the_first_pass() -> None:
    world = OperatorWorld()
    await world.ask_for("1")
    ours = [str(write).split()[:2] for write in world.writes if write.name != names.ROUTER_NAME]
    assert ours[:2] == [["create", "ControllerRevision"], ["apply", "Deployment"]]
    assert [line for line in ours if line[0] == "status"] == [["status", "ModelDeployment"]]


async def test_the_leader_that_wrote_a_route_does_not_stamp_it() -> None:
    world = await at_rest("1", "2")
    assert not [write for write in world.writes if (write.verb, write.kind) in STAMPS]
    route = world.find(kinds.MODEL_ROUTE)
    assert route["metadata"]["annotations"][names.ANNOTATION_EPOCH] == "1.operator"


async def test_a_rollout_of_three_steps_takes_few_writes() -> None:
    world = await at_rest()
    before = len(world.writes)
    steps = [{"weight": 5}, {"weight": 25}, {"weight": 50}]
    await world.ask_for("2", rollout={"steps": steps})
    await world.settle()
    written = Counter(f"{write.verb} {write.kind}" for write in world.writes[before:])
    print(written)
    assert world.serving() == "2"
    assert written["apply ModelRoute"] <= 8
    assert written["status ModelDeployment"] <= 24
    assert sum(written.values()) - written["status ModelDeployment"] <= 18


async def test_at_rest_nothing_is_written_whoever_looks_and_however_often() -> None:
    world = await at_rest("1", "2")
    before = list(world.writes)

    await world.live(600)
    for _ in range(3):
        for kind in ("ModelDeployment", "Router"):
            name = "digits" if kind == "ModelDeployment" else ""
            world.operator.queue.add(Key(kind, NAMESPACE, name))
        await world.work()
    for found, manifest in list(world.api.all()):
        world.operator.hear(Change(found, manifest, manifest))
    await world.live(60)

    assert world.writes == before


async def test_a_restart_at_rest_writes_nothing() -> None:
    world = await at_rest("1", "2")
    twin = world.fork()
    await twin.live(120)
    assert twin.writes == []


async def test_a_restart_after_a_refused_version_writes_nothing() -> None:
    world = await at_rest()
    world.controllers.faults["2"] = "errors"
    await world.ask_for("2")
    await world.settle()
    twin = world.fork()
    await twin.live(120)
    assert twin.writes == []
    assert twin.serving() == "1"


async def test_a_new_leader_stamps_a_rollout_under_way_before_it_moves_anything() -> None:
    world = await at_rest()

    await world.ask_for("2", rollout={"bakeSeconds": 600})
    await world.until(lambda: world.stage() == "Baking")
    route = world.find(kinds.MODEL_ROUTE)
    twin = world.fork()
    await twin.live(5)
    stamped = [write for write in twin.writes if write.verb == "annotate"]

    assert twin.writes[: len(stamped)] == stamped
    assert [write.kind for write in stamped] == ["Deployment", "Deployment", "ModelRoute"]

    now = twin.find(kinds.MODEL_ROUTE)
    assert now["metadata"]["annotations"][names.ANNOTATION_EPOCH] == f"{twin.leaders}.operator"
    assert now["metadata"]["resourceVersion"] != route["metadata"]["resourceVersion"]
    assert now["spec"] == route["spec"]


class TakenOver(Trouble):
    """Just before a write reaches the server, a new leader stamps the object."""

    def __init__(self, world: OperatorWorld, verb: str, kind: kinds.Kind) -> None:
        self._world = world
        self._verb = verb
        self._kind = kind
        self.held: Write | None = None

    def before(self, write: Write) -> None:
        if self.held is None and (write.verb, write.kind) == (self._verb, self._kind.kind):
            self.held = write
            self._world.change(self._kind, write.name, metadata={names.ANNOTATION_EPOCH: "new"})


@pytest.mark.parametrize(
    ("verb", "kind"),
    [
        pytest.param("apply", kinds.MODEL_ROUTE, id="weights"),
        pytest.param("scale", kinds.DEPLOYMENT, id="the end of a revision's pods"),
        pytest.param("status", kinds.MODEL_DEPLOYMENT, id="the status"),
    ],
)
async def test_what_an_old_leader_still_holds_is_void_after_the_stamp(
    verb: str, kind: kinds.Kind
) -> None:
    world = await at_rest()
    world.trouble = trouble = TakenOver(world, verb, kind)
    world.operator.cluster.trouble = trouble
    world.results.clear()
    await world.ask_for("2")
    await world.until(lambda: trouble.held is not None)
    assert world.results["dependency"] == 1
    await world.until(lambda: world.serving() == "2")
    await world.settle()


# ── ports ──


async def test_every_object_of_a_namespace_has_a_port_of_its_own() -> None:
    world = OperatorWorld()
    wanted = [f"model-{number}" for number in range(40)]

    for name in wanted:
        world.api.apply(
            {
                **kinds.MODEL_DEPLOYMENT.type_meta,
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"model": {"version": "1", "source": {"uri": "https://m.example/1"}}},
            },
            manager="kubectl",
            force=True,
        )
    while world.api.watch:
        world.operator.hear(world.api.watch.popleft())
    await world.at_once()
    ports = sorted(route["spec"]["port"] for _, route in world.api.all(kinds.MODEL_ROUTE))

    assert ports == list(range(10_000, 10_040))


async def test_a_port_that_is_free_again_is_given_again() -> None:
    world = OperatorWorld()

    for name in ("first", "second"):
        await world.ask_for(name=name)
    await world.live(5)
    world.delete(kinds.MODEL_DEPLOYMENT, "first")
    await world.live(5)
    await world.ask_for(name="third")
    await world.live(5)
    ports = {
        name: world.find(kinds.MODEL_ROUTE, name)["spec"]["port"] for name in ("second", "third")
    }

    assert ports == {"second": 10_001, "third": 10_000}


async def test_a_port_is_chosen_from_what_exists_though_the_cache_is_behind() -> None:
    world = OperatorWorld()
    await world.ask_for(name="first")
    await world.live(5)
    world.start()
    route = world.find(kinds.MODEL_ROUTE, "first")
    world.operator.feed.on_gone(kinds.MODEL_ROUTE, route)

    await world.ask_for(name="second")
    await world.live(5)

    assert route["spec"]["port"] == 10_000
    assert world.find(kinds.MODEL_ROUTE, "second")["spec"]["port"] == 10_001


def client_ports(world: OperatorWorld, name: str) -> set[int]:
    return {port["targetPort"] for port in world.find(kinds.SERVICE, name)["spec"]["ports"]}


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_of_two_models_on_one_port_the_younger_moves(is_restarted: bool) -> None:
    world = OperatorWorld()
    for name in ("first", "second", "third"):
        await world.ask_for(name=name)
        await world.live(5)

    world.change(kinds.MODEL_ROUTE, "third", spec={"port": 10_000})
    world.change(kinds.MODEL_ROUTE, "second", spec={"port": 10_000})
    if is_restarted:
        world.api.watch.clear()
        world.start()
    await world.live(10)

    ports = {
        name: world.find(kinds.MODEL_ROUTE, name)["spec"]["port"]
        for name in ("first", "second", "third")
    }
    assert ports["first"] == 10_000
    assert sorted(ports.values()) == [10_000, 10_001, 10_002]
    assert {name: client_ports(world, name) for name in ports} == {
        name: {port} for name, port in ports.items()
    }
    before = len(world.writes)
    await world.live(60)
    assert len(world.writes) == before


async def test_a_namespace_without_a_free_port_says_what_to_do_and_keeps_the_others_going(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "ROUTE_PORTS", range(10_000, 10_002))
    world = OperatorWorld()
    for name in ("first", "second", "third"):
        await world.ask_for(name=name)
    await world.live(20)

    assert world.condition("Stalled", "third")[:2] == ("True", "NoFreePort")
    assert "in another namespace" in world.condition("Stalled", "third")[2]
    assert world.serving("first") == world.serving("second") == "1"
    await world.ask_for("2", name="second")
    await world.until(lambda: world.serving("second") == "2")

    world.delete(kinds.MODEL_DEPLOYMENT, "first")
    await world.until(lambda: world.serving("third") == "1", 120)


# ── the router ──


async def test_the_router_comes_with_the_first_object_and_goes_a_minute_after_the_last() -> None:
    world = OperatorWorld()
    await world.live(70)
    assert world.writes == []
    await world.ask_for("1")
    assert names.ROUTER_NAME in world.names(kinds.SERVICE_ACCOUNT)
    await world.settle()
    world.delete(kinds.MODEL_DEPLOYMENT)
    await world.live(58)
    assert names.ROUTER_NAME in world.names(kinds.SERVICE_ACCOUNT)
    await world.live(5)
    assert list(world.api.all()) == []


async def test_the_router_stays_for_an_object_that_comes_back_in_time() -> None:
    world = await at_rest()
    anchor = world.find(kinds.SERVICE_ACCOUNT, names.ROUTER_NAME)["metadata"]["uid"]
    world.delete(kinds.MODEL_DEPLOYMENT)
    await world.live(40)
    await world.ask_for("1")
    await world.live(120)
    assert world.find(kinds.SERVICE_ACCOUNT, names.ROUTER_NAME)["metadata"]["uid"] == anchor
    assert world.serving() == "1"


async def test_what_others_change_of_the_router_is_mended() -> None:
    world = await at_rest()
    world.change(kinds.DEPLOYMENT, names.ROUTER_NAME, spec={"replicas": 1})
    await world.live(5)
    assert world.find(kinds.DEPLOYMENT, names.ROUTER_NAME)["spec"]["replicas"] == 2
    await world.settle()
