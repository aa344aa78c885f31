"""Actions in whole rollouts: answered also where admission refuses every object, and kept."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.errors import AdmissionDenied, ClusterUnavailable
from slipway.policy.hook_call import HookAnswer, Said

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.test_trouble import NO_WEBHOOK
from tests.unit.reconcile.world import OperatorWorld

HELD: list[dict[str, Any]] = [{"weight": 10, "holdSeconds": 600}, {"weight": 50}]


class DeniesWorkloads(Trouble):
    """A webhook that lets no Deployment pass."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def before(self, write: Write) -> None:
        if write.kind == kinds.DEPLOYMENT.kind:
            raise self.error


async def denied(world: OperatorWorld, error: Exception) -> OperatorWorld:
    """Return the world with every Deployment denied, and one that is to be written."""
    world.trouble = DeniesWorkloads(error)
    world.start()
    await world.ask_for("2", rollout={"steps": HELD}, scaling={"minReplicas": 3})
    await world.live(60)
    return world


async def denied_at_once(error: Exception) -> OperatorWorld:
    """Return a world in which the candidate cannot even begin."""
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    return await denied(world, error)


async def denied_in_a_hold(error: Exception) -> OperatorWorld:
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2", rollout={"steps": HELD})
    await world.until(lambda: world.status()["rollout"].get("ackedWeight") == 10)
    return await denied(world, error)


async def answer(world: OperatorWorld, verb: str) -> str:
    await world.act(verb)
    await world.live(60)
    last = world.status()["lastAction"]
    assert last["verb"] == verb
    return str(last["result"])


ERRORS = [AdmissionDenied("admission webhook denied the request"), ClusterUnavailable(NO_WEBHOOK)]


@pytest.mark.parametrize("error", ERRORS, ids=["denied", "away"])
async def test_a_pause_counts_while_no_object_can_be_written(error: Exception) -> None:
    world = await denied_in_a_hold(error)
    assert await answer(world, "pause") == "Done"
    assert world.status()["rollout"]["paused"]

    before = world.status()["rollout"]["activeSeconds"]
    await world.live(60)
    assert world.status()["rollout"]["activeSeconds"] == before
    assert world.weights() == {"1": 90, "2": 10}
    assert world.status()["candidate"]["weight"] == 10

    writes = [write for write in world.writes if write.verb == "status"]
    await world.live(60)
    assert [write for write in world.writes if write.verb == "status"] == writes

    world.trouble = Trouble()
    world.start()
    await world.live(700)
    assert world.weights() == {"1": 90, "2": 10}, "it stays paused"


@pytest.mark.parametrize("error", ERRORS, ids=["denied", "away"])
async def test_an_abort_counts_while_the_candidate_cannot_begin(error: Exception) -> None:
    world = await denied_at_once(error)
    assert await answer(world, "abort") == "Done"
    world.trouble = Trouble()
    world.start()
    await world.live(120)
    assert world.serving() == "1"
    assert world.condition("Stalled")[1] == "Held"
    assert world.outcomes() == [("1", "Promoted")]


async def test_an_abort_in_traffic_is_answered_and_carried_out() -> None:
    world = await denied_in_a_hold(ERRORS[0])
    assert await answer(world, "abort") == "Done"
    world.trouble = Trouble()
    world.start()
    await world.until(lambda: world.serving() == "1")
    await world.live(60)
    assert world.outcomes()[-1] == ("2", "Aborted")


async def test_what_was_promoted_by_a_person_is_not_claimed_before_it_is_written() -> None:
    world = await denied_in_a_hold(ERRORS[0])
    assert await answer(world, "promote") == "Done"
    assert world.status()["stable"]["version"] == "1"
    assert world.status()["candidate"]["weight"] == 10
    world.trouble = Trouble()
    world.start()
    await world.until(lambda: world.serving() == "2")


async def test_a_retry_asks_a_hook_again_at_once() -> None:
    world = OperatorWorld()

    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    hook = {"name": "gate", "stage": "Step", "webhook": {"url": "http://gate.vision.svc/ask"}}
    broken = HookAnswer(Said.UNCLEAR, "HTTP500")
    world.hooks.says = {"gate": [broken] * 5 + [HookAnswer(Said.PASSED, "Agreed")]}
    await world.ask_for("2", rollout={"analysis": {"intervalSeconds": 1, "hooks": [hook]}})
    await world.until(lambda: len(world.hooks.calls) == 5)
    await world.live(2)
    await world.act("retry")
    await world.live(3)

    assert world.status()["lastAction"]["result"] == "Done"
    assert [call.tries for call in world.hooks.calls[:6]] == [0, 1, 2, 3, 4, 5]
    assert world.status()["rollout"]["hooks"][0]["verdict"] == "Passed"
