"""The routers' counters: read once a pass, and never older than the decision needs."""

from collections import Counter
from typing import Any

from slipway.api.counters import Counters
from slipway.reconcile.guard import Guard
from slipway.reconcile.read_counters import RouterCounters, in_flight_by_revision

from tests.builders import a_pod, counted
from tests.fakes.clock import FakeClock
from tests.unit.reconcile.world import OperatorWorld

SCALING = {"minReplicas": 1, "maxReplicas": 8, "target": {"concurrency": 4}}
ROUTERS = (a_pod("router-a"), a_pod("router-b"))


class CountedReads:
    """Fits `slipway.reconcile.ports.CounterSource`."""

    def __init__(self) -> None:
        self.requests = 0

    async def read(self, address: str) -> Counters | None:
        del address
        self.requests += 1
        return counted("router-a", {"a" * 8: (1, 0, 0)})


async def baking(scaling: dict[str, Any]) -> OperatorWorld:
    """Return a world in which version 2 is being watched, and nothing moves."""
    world = OperatorWorld()
    await world.ask_for("1", scaling=scaling)
    await world.until(lambda: world.serving() == "1")
    await world.ask_for("2", scaling=scaling, rollout={"bakeSeconds": 300})
    await world.until(lambda: world.stage() == "Baking")
    await world.live(5)
    return world


async def test_a_pass_of_a_scaled_rollout_reads_every_router_pod_once() -> None:
    world = await baking(SCALING)
    reads: Counter[str] = Counter()
    passes: Counter[str] = Counter()
    read = world.controllers.read

    async def count_read(address: str) -> Counters | None:
        reads[address] += 1
        return await read(address)

    def count_pass(kind: str, result: str, seconds: float) -> None:
        passes[kind] += 1
        del result, seconds

    world.controllers.read = count_read  # type: ignore[method-assign]
    world.start()
    await world.live(5)
    reads.clear()
    world.operator.passes.observe_pass = count_pass  # type: ignore[method-assign]
    await world.live(60)

    assert passes["ModelDeployment"] >= 60
    assert len(reads) == len(world.proxies())
    assert set(reads.values()) == {passes["ModelDeployment"]}


async def test_counters_that_were_read_just_now_serve_the_next_who_asks() -> None:
    clock, source = FakeClock(), CountedReads()
    counters = RouterCounters(source, clock, Guard())

    await counters.read_now(ROUTERS)
    await counters.read_recent(ROUTERS)
    assert source.requests == 2

    clock.pass_on(1)
    await counters.read_recent(ROUTERS)
    assert source.requests == 4


async def test_what_judges_a_weight_is_read_after_the_weight_was_seen_in_force() -> None:
    source = CountedReads()
    counters = RouterCounters(source, FakeClock(), Guard())

    await counters.read_recent(ROUTERS)
    await counters.read_now(ROUTERS)

    assert source.requests == 4


def test_requests_in_flight_are_those_of_one_route_over_all_that_answered() -> None:
    one = counted("router-a", {"a" * 8: (9, 0, 0), "b" * 8: (9, 0, 0)})
    busy = [entry.model_copy(update={"active": 3}) for entry in one.routes]
    other = busy[0].model_copy(update={"name": "faces"})
    answer = one.model_copy(update={"routes": [*busy, other]})

    in_flight = in_flight_by_revision([answer, None, answer], "digits")

    assert in_flight == {"a" * 8: 6, "b" * 8: 6}
