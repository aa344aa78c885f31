"""Leader election and its Lease against the real API server."""

import asyncio

import pytest
from slipway.adapters.connection import Connection
from slipway.adapters.leases import KubeLeases
from slipway.engine.elector import Elector, LeaseTimes
from slipway.engine.quiet_lease import QuietLeases

pytestmark = pytest.mark.cluster

TIMES = LeaseTimes(duration=3, renew=0.3, write_window=1.5)


@pytest.fixture
def leases(connection: Connection, namespace: str) -> KubeLeases:
    return KubeLeases(connection, namespace=namespace, name="slipway-operator")


async def test_a_released_lease_is_taken_over_and_its_transitions_counted(
    leases: KubeLeases,
) -> None:
    a = Elector(leases, identity="a", times=TIMES)
    b = Elector(leases, identity="b", times=TIMES)
    await a.tick()
    running = asyncio.create_task(b.run())
    assert (a.may_write(), b.may_write()) == (True, False)
    await a.release()
    await asyncio.wait_for(b.leading.wait(), TIMES.duration)
    running.cancel()
    stored = await leases.read()
    assert stored is not None
    assert (stored.holder, stored.transitions) == ("b", 1)


async def test_a_lease_whose_holder_died_runs_out(leases: KubeLeases) -> None:
    await Elector(leases, identity="dead", times=TIMES).tick()
    heir = Elector(leases, identity="heir", times=TIMES)
    running = asyncio.create_task(heir.run())
    await asyncio.wait_for(heir.leading.wait(), 4 * TIMES.duration)
    running.cancel()
    assert heir.epoch == "1.heir"


async def test_of_two_that_claim_it_at_the_same_moment_one_gets_it(leases: KubeLeases) -> None:
    rivals = [Elector(leases, identity=name, times=TIMES) for name in ("a", "b", "c")]
    await asyncio.gather(*(rival.tick() for rival in rivals))
    assert sum(rival.may_write() for rival in rivals) == 1


async def test_a_single_replica_writes_its_lease_when_it_changes_hands(leases: KubeLeases) -> None:
    alone = Elector(QuietLeases(leases), identity="a", times=TIMES)
    await alone.tick()
    taken = await leases.read()
    for _ in range(5):
        await alone.tick()
    assert alone.may_write()
    assert await leases.read() == taken

    await alone.release()
    given = await leases.read()
    assert given is not None
    assert given.holder == ""
