"""One turn of one side: objects one after the other, new versions, and many at once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.apiserver import ApiServer, wait_until_idle
from tests.bench.burst import Burst, measure_burst
from tests.bench.latency import (
    measure_creations,
    measure_new_versions,
    median_and_p95,
    until_served,
)
from tests.bench.operator import resident_memory
from tests.bench.peers.sides import Side
from tests.bench.people import People
from tests.cluster.progress import say

PAUSE_SECONDS = 0.25
"""Between two new versions, so that each finds its controller at rest."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side did in one round; seconds, but for the memory."""

    creations: Sequence[float]
    """Of each object: create → a watch shows its workload object."""
    changes: Sequence[float]
    """Of each: new version → a watch shows its workload object."""
    burst: Burst
    memory: float
    """Resident, in MiB, after all that."""

    @property
    def figures(self) -> Mapping[str, float]:
        """Return what the table compares, by key."""
        created, changed = median_and_p95(self.creations), median_and_p95(self.changes)
        each = 1000 / self.burst.number
        return {
            "create p50": created["p50"],
            "create p95": created["p95"],
            "change p50": changed["p50"],
            "change p95": changed["p95"],
            "at once": self.burst.seconds,
            "writes": self.burst.writes / self.burst.number,
            "controller": each * self.burst.operator,
            "server": each * self.burst.server,
            "memory": self.memory,
        }


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    one_by_one: int
    """Objects one after the other, in each round."""
    at_once: int
    """Objects at once, in each round."""


FULL = Size(rounds=5, one_by_one=40, at_once=200)
QUICK = Size(rounds=1, one_by_one=20, at_once=100)


@dataclass(frozen=True, slots=True)
class Course:
    """Where both sides are measured."""

    server: ApiServer
    people: People
    place: Path
    """For files, such as logs."""
    size: Size

    async def take_turn(self, side: Side, number: int) -> Turn:
        """Let one side work alone, and remove all that it made; `number`: of the round."""
        prefix = f"of-{side.name.split()[0].lower()}-{number}"
        async with side.run(self.server, self.people, self.place) as pid:
            await asyncio.to_thread(wait_until_idle, self.server)
            creations = await measure_creations(
                self.people, prefix, self.size.one_by_one, side.asked
            )
            changes = await self._measure_changes(side, prefix)
            burst = await measure_burst(
                *(self.people, self.server, pid, self.size.at_once),
                prefix=f"{prefix}-burst",
                asked=side.asked,
                agent=side.agent,
            )
            memory, _ = resident_memory(pid)

        await self.people.remove_all(*side.asked.cleared)
        await asyncio.to_thread(wait_until_idle, self.server)
        turn = Turn(creations, changes, burst, memory)
        say(f"  {side.name}: " + ", ".join(f"{k} {v:.3g}" for k, v in turn.figures.items()))
        return turn

    async def _measure_changes(self, side: Side, prefix: str) -> list[float]:
        measure = partial(
            measure_new_versions,
            self.people,
            prefix,
            self.size.one_by_one,
            side.asked,
            PAUSE_SECONDS,
        )
        if side.serves is None:
            return await measure()
        async with side.serves(self.people):
            await until_served(self.people, {f"{prefix}-{n}" for n in range(self.size.one_by_one)})
            await asyncio.to_thread(wait_until_idle, self.server)
            changes = await measure()
            await asyncio.to_thread(wait_until_idle, self.server)  # the new versions serve as well
            return changes
