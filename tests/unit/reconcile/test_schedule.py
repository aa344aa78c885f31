"""Steps that the spec leaves open follow the requests that the routers count."""

from slipway.api.base import Manifest

from tests.unit.reconcile.world import OperatorWorld

CAREFUL = [5, 10, 25, 50]


async def starting() -> OperatorWorld:
    """Return a world in which version 1 serves and version 2 has begun to start."""
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2", rollout={"steps": None})
    await world.until(lambda: world.stage() in {"Starting", "Checking", "Progressing"})
    return world


def schedule(world: OperatorWorld) -> Manifest | None:
    found: Manifest | None = world.status()["rollout"].get("schedule")
    return found


async def test_the_requests_are_counted_while_the_candidate_starts_and_choose_the_steps() -> None:
    world = await starting()
    assert schedule(world) is None
    await world.until(lambda: world.weights().get("2") == CAREFUL[0])
    chosen = schedule(world)
    assert chosen is not None
    assert chosen["weights"] == CAREFUL
    assert chosen["requestsPerSecond"] > 0
    assert world.status()["rollout"]["steps"] == len(CAREFUL)


async def test_an_operator_that_restarts_counts_again_and_keeps_what_was_chosen() -> None:
    world = await starting()
    await world.live(5)
    world.start()
    await world.until(lambda: schedule(world) is not None)
    chosen = schedule(world)
    world.start()
    await world.until(lambda: world.weights().get("2") == CAREFUL[1])
    assert schedule(world) == chosen


async def test_routers_that_do_not_answer_leave_the_careful_steps() -> None:
    world = await starting()
    world.controllers.silent = {pod["metadata"]["name"] for pod in world.proxies()}
    await world.until(lambda: world.weights().get("2") == CAREFUL[0])
    assert schedule(world) == {"weights": CAREFUL, "deadlineSeconds": 3600}
