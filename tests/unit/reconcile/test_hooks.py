"""Hooks in whole rollouts: asked once, obeyed, and never blamed on the model."""

from typing import Any

import pytest
from slipway.api import kinds
from slipway.policy.hook_call import HookAnswer, Said
from slipway.policy.rollout.hooks import is_hook_allowed

from tests.fakes.cluster import Trouble, Write
from tests.unit.reconcile.world import OperatorWorld
from tests.unit.worlds import Killed

PASSED = HookAnswer(Said.PASSED, "Agreed")
REJECTED = HookAnswer(Said.REJECTED, "HookRejected")
BROKEN = HookAnswer(Said.UNCLEAR, "HTTP500")


def a_hook(name: str, stage: str, url: str = "http://gate.vision.svc/ask") -> dict[str, Any]:
    return {"name": name, "stage": stage, "webhook": {"url": url}}


async def world_with(*hooks: dict[str, Any]) -> OperatorWorld:
    """Return a world in which version 1 serves and version 2 begins, with these hooks."""
    world = OperatorWorld()
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2", rollout={"analysis": {"intervalSeconds": 1, "hooks": list(hooks)}})
    return world


async def test_each_hook_is_asked_once_at_each_of_its_places() -> None:
    world = await world_with(
        a_hook("first", "BeforeTraffic"), a_hook("each", "Step"), a_hook("last", "BeforePromotion")
    )
    world.hooks.says = {"first": [PASSED], "each": [PASSED], "last": [PASSED]}
    await world.until(lambda: world.serving() == "2")
    asked = [(call.hook.name, call.step, call.weight, call.tries) for call in world.hooks.calls]
    assert asked == [("first", 0, 0, 0), ("each", 1, 10, 0), ("each", 2, 50, 0), ("last", 3, 95, 0)]
    assert len({call.id for call in world.hooks.calls}) == 4


async def test_nobody_gets_traffic_before_the_hook_has_answered() -> None:
    world = await world_with(a_hook("gate", "BeforeTraffic"))
    await world.live(60)
    assert world.weights() == {"1": 100, "2": 0}
    assert world.condition("Ready")[1:] == ("AwaitingHook", "waiting for hook gate")
    assert len(world.hooks.calls) == 1


async def test_a_refusal_brings_the_candidate_back_and_is_remembered() -> None:
    world = await world_with(a_hook("gate", "Step"))
    world.hooks.says = {"gate": [REJECTED]}
    await world.until(lambda: ("2", "RolledBack") in world.outcomes())
    await world.settle()
    assert world.serving() == "1"
    assert world.status()["lastRollback"]["metric"] == "gate"
    assert "HookRejected" in world.condition("Stalled")[2]


async def test_a_service_that_is_an_alias_for_another_host_is_never_asked() -> None:
    world = OperatorWorld()
    alias = {"type": "ExternalName", "externalName": "secrets.kube-system.svc.cluster.local"}
    world.api.create(
        kinds.SERVICE.manifest("vision", "gate", metadata={}, spec=alias), manager="somebody"
    )
    await world.ask_for("1")
    await world.until(lambda: world.serving() == "1")
    hook = a_hook("gate", "BeforeTraffic")
    await world.ask_for("2", rollout={"analysis": {"intervalSeconds": 1, "hooks": [hook]}})
    world.hooks.says = {"gate": [PASSED]}
    await world.live(30)

    assert world.hooks.calls == []
    assert world.weights() == {"1": 100, "2": 0}
    assert "HostNotAllowed" in world.condition("Ready")[2]

    world.change(kinds.SERVICE, "gate", spec={"type": "ClusterIP", "externalName": None})
    await world.until(lambda: world.serving() == "2")


async def test_a_hook_that_stays_broken_tells_a_person_and_heals_by_its_answer() -> None:
    world = await world_with(a_hook("gate", "BeforePromotion"))
    world.hooks.says = {"gate": [*[BROKEN] * 8, PASSED]}
    await world.until(lambda: world.stage() == "Paused")
    assert world.condition("Stalled") == ("", "", "")

    await world.until(lambda: world.condition("Stalled")[1] == "DeadlineExceeded", 1000)
    assert "hook gate has not approved yet" in world.condition("Stalled")[2]

    await world.until(lambda: world.serving() == "2", 2000)
    assert world.condition("Stalled") == ("", "", "")


async def test_a_broken_hook_holds_is_asked_again_and_blames_nobody() -> None:
    world = await world_with(a_hook("gate", "BeforePromotion"))
    world.hooks.says = {"gate": [BROKEN, BROKEN, PASSED]}
    await world.until(lambda: world.stage() == "Paused")
    assert "not approved yet (HTTP500, 1 attempt); retrying" in world.condition("Ready")[2]
    assert world.weights() == {"1": 5, "2": 95}
    await world.until(lambda: world.serving() == "2")
    tries = [(call.tries, call.id) for call in world.hooks.calls]
    assert [number for number, _ in tries] == [0, 1, 2]
    assert len({id_ for _, id_ in tries}) == 1


async def test_time_that_a_hook_takes_does_not_count_against_the_deadline() -> None:
    world = await world_with(a_hook("gate", "Step"))
    world.hooks.says = {"gate": [BROKEN]}
    await world.until(lambda: world.stage() == "Paused")
    before = world.status()["rollout"]["activeSeconds"]
    await world.live(200)
    assert world.status()["rollout"]["activeSeconds"] <= before + 10
    assert world.outcomes()[-1] == ("1", "Promoted")


async def test_promote_goes_on_without_the_hook() -> None:
    world = await world_with(a_hook("gate", "Step"))
    await world.until(lambda: world.condition("Ready")[1] == "AwaitingHook")
    await world.act("promote")
    await world.until(lambda: world.serving() == "2")


async def test_the_first_version_asks_before_its_traffic() -> None:
    world = OperatorWorld()
    hooks = [a_hook("gate", "BeforeTraffic"), a_hook("each", "Step")]
    await world.ask_for("1", rollout={"analysis": {"hooks": hooks}})
    await world.until(lambda: bool(world.hooks.calls))
    await world.live(20)
    assert world.serving() is None
    world.hooks.answers[world.hooks.calls[0].key] = PASSED
    await world.until(lambda: world.serving() == "1")
    assert [call.hook.name for call in world.hooks.calls] == ["gate"]


class KilledOnce(Trouble):
    """The process ends at the first status write after the hook was asked."""

    def __init__(self, world: OperatorWorld) -> None:
        self._world = world
        self._done = False

    def before(self, write: Write) -> None:
        if self._world.hooks.answers and write.verb == "status" and not self._done:
            self._done = True
            self._world.hooks.answers.clear()
            self._world.hooks.calls.clear()
            raise Killed


async def test_after_a_crash_the_same_is_asked_again_under_the_same_id() -> None:
    world = await world_with(a_hook("gate", "BeforeTraffic"))
    await world.until(lambda: bool(world.hooks.calls))
    first = world.hooks.calls[0]
    world.trouble = world.operator.cluster.trouble = KilledOnce(world)
    world.hooks.says = {"gate": [PASSED]}
    world.hooks.answers[first.key] = PASSED
    await world.until(lambda: world.serving() == "2")
    assert {call.id for call in world.hooks.calls} <= {first.id}


async def test_a_host_that_is_not_allowed_stalls_before_anything_is_built() -> None:
    world = await world_with(a_hook("gate", "Step", "http://gate.other.svc/ask"))
    await world.live(5)
    assert world.condition("Stalled")[1] == "InvalidSpec"
    assert "<service>.vision.svc" in world.condition("Stalled")[2]
    assert not world.hooks.calls


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://gate.vision.svc/x", True),
        ("https://gate.vision.svc.cluster.local:8443/x", True),
        ("http://GATE.vision.svc", True),
        ("http://gate.other.svc/x", False),
        ("http://kubernetes.default.svc/api", False),
        ("http://vision.svc/x", False),
        ("http://a.gate.vision.svc/x", False),
        ("http://gate.vision.svc.example.com/x", False),
        ("http://gate/x", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]/x", False),
        ("http://2130706433/x", False),
        ("https://ci.example.com/x", True),
        ("https://ci.example.com.evil.com/x", False),
        ("https://a.ok.example/x", True),
        ("https://ok.example/x", False),
        ("https://notok.example/x", False),
        ("https://only.example:8443/x", True),
        ("https://only.example/x", False),
        ("https://ci.example.com:99999/x", False),
    ],
)
def test_hooks_lead_to_the_own_namespace_or_where_the_admin_allows(url: str, allowed: bool) -> None:
    hosts = ["ci.example.com", "*.ok.example", "only.example:8443"]
    assert is_hook_allowed(url, "vision", hosts) is allowed
