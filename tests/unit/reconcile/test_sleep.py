"""Models of which nothing runs while nobody asks: asleep, woken, and rolled out from zero."""

import pytest
from slipway.api import kinds, names
from slipway.api.times import to_wire
from slipway.render.router import HOLDING_VERSION, AgentMark

from tests.fakes.cluster import Trouble, Write
from tests.fakes.controllers import is_ready
from tests.fakes.pairs import FakeComparer, Order
from tests.unit.reconcile.test_rollouts import GOLDEN, check_jobs
from tests.unit.reconcile.test_scaling import replicas
from tests.unit.reconcile.world import NAMESPACE, OperatorWorld
from tests.unit.worlds import Killed

SLEEPS = {"minReplicas": 0, "idleSeconds": 60}
UNJUDGED = {"analysis": {"mode": "Off"}, "steps": [{"weight": 50, "holdSeconds": 1}]}


def is_asleep(world: OperatorWorld) -> bool:
    return set(replicas(world).values()) == {0} and "asleep" in route_of(world)["spec"]


def route_of(world: OperatorWorld) -> dict[str, dict[str, object]]:
    return world.find(kinds.MODEL_ROUTE)


async def asleep() -> OperatorWorld:
    world = OperatorWorld()
    world.controllers.traffic = 0
    await world.ask_for("1", scaling=SLEEPS)
    await world.until(lambda: world.serving() == "1")
    await world.until(lambda: is_asleep(world))
    await world.live(5)  # its pods end
    return world


async def test_asleep_it_rests_healthy_and_reads_nothing() -> None:
    world = await asleep()
    await world.settle()
    before = len(world.writes)
    world.controllers.silent = {pod["metadata"]["name"] for pod in world.proxies()}
    await world.live(600)
    assert len(world.writes) == before
    assert world.condition("Ready")[:2] == ("True", "Asleep")
    assert replicas(world) == {"1": 0}


async def test_only_a_namespace_with_a_model_that_sleeps_gets_routers_that_hold() -> None:
    world = await asleep()
    router = world.find(kinds.DEPLOYMENT, names.ROUTER_NAME)
    mark = AgentMark.parse(router["metadata"]["annotations"][names.ANNOTATION_AGENT])
    assert mark.version == HOLDING_VERSION


async def test_a_request_wakes_it_and_none_is_lost() -> None:
    world = await asleep()
    world.controllers.traffic = 100
    await world.live(2)
    assert replicas(world) == {"1": 1}
    await world.until(lambda: "asleep" not in route_of(world)["spec"])
    await world.live(30)
    assert world.controllers.waiting == {}
    assert world.controllers.lost == {}
    assert world.condition("Ready")[:2] == ("True", "Promoted")


async def test_it_sleeps_and_wakes_again_and_again() -> None:
    world = await asleep()
    for _ in range(5):
        world.controllers.traffic = 100
        await world.until(lambda: "asleep" not in route_of(world)["spec"])
        world.controllers.traffic = 0
        await world.until(lambda: is_asleep(world))
    assert world.controllers.lost == {}


async def test_a_rollout_starts_from_zero_and_ends_at_zero() -> None:
    world = await asleep()
    await world.ask_for("2", scaling=SLEEPS, rollout=UNJUDGED)
    await world.until(lambda: world.serving() == "2")
    assert {"1": 50, "2": 50} in world.written_weights()
    await world.until(lambda: is_asleep(world))
    assert world.outcomes()[-1] == ("2", "Promoted")
    assert world.controllers.lost == {}


async def test_a_rollout_waits_for_what_serves_to_wake_and_takes_that_for_no_outage() -> None:
    world = await asleep()
    world.controllers.faults["1"] = "never-ready"
    await world.ask_for("2", scaling=SLEEPS, rollout=UNJUDGED)
    await world.live(200)
    assert world.weights()["1"] == 100
    assert world.condition("Reconciling")[1] == "Waking"


@pytest.mark.parametrize("capacity", ["Swap", "Auto"])
async def test_a_swap_of_the_only_place_begins_and_ends_asleep(capacity: str) -> None:
    world = await asleep()
    world.controllers.places = 1
    rollout = UNJUDGED | {"capacity": capacity, "allowGap": "Accepted"}
    await world.ask_for("2", scaling=SLEEPS, rollout=rollout)
    await world.until(lambda: world.serving() == "2")
    await world.until(lambda: is_asleep(world))
    assert world.outcomes()[-1] == ("2", "Promoted")


@pytest.mark.parametrize("capacity", ["Surge", "Swap", "Auto"])
async def test_what_serves_takes_the_only_place_before_its_candidate_may(capacity: str) -> None:
    world = await asleep()
    world.controllers.places = 1
    world.controllers.traffic = 100  # held until it is awake
    await world.ask_for("2", scaling=SLEEPS, rollout=UNJUDGED | {"capacity": capacity})
    await world.until(lambda: "asleep" not in route_of(world)["spec"])
    await world.live(5)
    assert world.controllers.waiting == {}
    assert world.controllers.lost == {}


async def test_a_bad_version_from_zero_is_found_by_requests_that_were_held() -> None:
    world = await asleep()
    world.controllers.faults["2"] = "errors"
    world.controllers.traffic = 100
    await world.ask_for("2", scaling=SLEEPS)
    await world.until(lambda: bool(world.status().get("rejected")))
    world.controllers.traffic = 0
    await world.until(lambda: is_asleep(world))
    assert world.controllers.lost == {}


@pytest.mark.parametrize("traffic", [0, 100])
async def test_a_golden_set_judges_from_zero_before_a_request_that_was_held_is_answered(
    traffic: int,
) -> None:
    world = await asleep()
    world.controllers.faults["2"] = "golden"
    world.controllers.traffic = traffic
    await world.ask_for("2", scaling=SLEEPS, **GOLDEN)
    await world.until(lambda: bool(check_jobs(world)))
    assert awake(world) == {"1", "2"}, "the check asks both"
    await world.until(lambda: bool(world.status().get("rejected")))
    assert answered(world) == ({"1"} if traffic else set())

    world.controllers.traffic = 0
    await world.until(lambda: is_asleep(world))
    assert world.outcomes()[-1] == ("2", "RejectedByGoldenSet")
    assert world.controllers.lost == {}


async def test_a_golden_set_lets_a_good_candidate_go_on_from_zero() -> None:
    world = await asleep()
    world.controllers.traffic = 100
    await world.ask_for("2", scaling=SLEEPS, rollout=UNJUDGED, **GOLDEN)
    await world.until(lambda: bool(check_jobs(world)))
    assert answered(world) <= {"1"}
    await world.until(lambda: world.serving() == "2")
    world.controllers.traffic = 0
    await world.until(lambda: is_asleep(world))
    assert world.outcomes()[-1] == ("2", "Promoted")
    assert world.controllers.lost == {}


@pytest.mark.parametrize(
    ("worse", "outcome", "serves"), [(30, "RejectedByShadow", "1"), (0, "Promoted", "2")]
)
async def test_a_candidate_from_zero_is_judged_on_copies_of_what_was_held(
    worse: int, outcome: str, serves: str
) -> None:
    world = await asleep()
    compare_answers(world, worse=worse)
    world.controllers.traffic = 100
    await world.ask_for("2", scaling=SLEEPS, rollout={"shadow": {"mode": "On"}})
    await world.until(lambda: world.stage() == "Shadowing")
    assert awake(world) == {"1", "2"}
    assert answered(world) == {"1"}, "copies answer nobody"

    await world.until(lambda: world.stage() == "Idle")
    assert world.outcomes()[-1] == ("2", outcome)
    assert answered(world) == {"1", serves}
    world.controllers.traffic = 0
    await world.until(lambda: is_asleep(world))
    assert replicas(world)[serves] == 0
    assert world.controllers.lost == {}


def awake(world: OperatorWorld) -> set[str]:
    """Return the versions that could answer."""
    pods = world.api.list(kinds.POD, NAMESPACE, {names.LABEL_COMPONENT: names.COMPONENT_SERVER})
    return {pod["metadata"]["labels"][names.LABEL_VERSION] for pod in pods if is_ready(pod)}


def answered(world: OperatorWorld) -> set[str]:
    """Return the versions that users were answered by."""
    keys = world.controllers.served
    return {world.controllers.version_of(NAMESPACE, revision) for *_, revision in keys}


def compare_answers(world: OperatorWorld, *, worse: int) -> None:
    """Have each comparer compare a hundred answers per second, of which so many fail."""
    comparers = {
        pod["status"]["podIP"]: FakeComparer(pod["metadata"]["name"]) for pod in world.proxies()
    }
    world.pairs.comparers = comparers

    def compare() -> None:
        shadow = world.find(kinds.MODEL_ROUTE)["spec"].get("shadow")
        now = world.clock.now()
        for comparer in comparers.values():
            comparer.write(now)
            if shadow is None:
                comparer.give(None)
                continue
            stable = world.status()["stable"]["revision"]
            comparer.give(Order("digits", stable, shadow["revision"], to_wire(now)))
            comparer.compare(100, worse=worse)

    world.controllers.others.append(compare)


class KilledAtWrite(Trouble):
    """The operator is killed at one write, before or after it takes effect."""

    def __init__(self, number: int, *, is_written: bool) -> None:
        self.left, self.is_written = number, is_written

    def before(self, write: Write) -> None:  # noqa: ARG002 -- whichever it is
        self.left -= 1
        if self.left == 0 and not self.is_written:
            raise Killed

    def after(self, write: Write) -> None:  # noqa: ARG002 -- whichever it is
        if self.left == 0 and self.is_written:
            raise Killed


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_an_operator_that_is_killed_goes_on(number: int, *, is_written: bool) -> None:
    world = await asleep()
    world.trouble = KilledAtWrite(number, is_written=is_written)
    world.start()
    world.controllers.traffic = 100
    await world.until(lambda: "asleep" not in route_of(world)["spec"])
    world.trouble = KilledAtWrite(number, is_written=is_written)
    world.start()
    world.controllers.traffic = 0
    await world.until(lambda: is_asleep(world))
    assert world.controllers.lost == {}


async def test_without_a_router_that_holds_it_stays_awake() -> None:
    world = OperatorWorld()
    world.controllers.traffic = 0
    world.controllers.routers_hold = False
    await world.ask_for("1", scaling=SLEEPS)
    await world.until(lambda: world.serving() == "1")
    await world.live(200)
    assert replicas(world) == {"1": 1}
