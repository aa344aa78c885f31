"""What idle ModelDeployments cost: memory, processor time and writes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.api import kinds

from tests.bench.apiserver import ApiServer
from tests.bench.latency import is_promoted
from tests.bench.operator import run_operator
from tests.bench.people import People
from tests.bench.standin import run_stand_in
from tests.bench.table import Figure
from tests.bench.writes import WriteLog, count_by_resource
from tests.cluster.progress import say

PER_NAMESPACE = 50
SETTLE_SECONDS = 20.0
"""Longer than every requeue that a pass asks for after a promotion."""
MOST_SECONDS = 900.0
LIMITS = {1000: (200.0, "Argo Rollouts 141 MB"), 5000: (400.0, "-")}
OTHERS_AFTER_RESTART = {1000: "Argo Rollouts 1,000"}
REPORT_EVERY = 500


@dataclass(frozen=True, slots=True)
class Rest:
    """What an operator did that was started while all objects were at rest."""

    after_start: int
    """Writes from its start until it had reconciled everything."""
    at_rest: int
    """Writes from then on."""
    share: float
    """Of a core, from then on."""
    rss: float
    pss: float
    """In MiB."""


class Idle:
    """A cluster that fills with objects, and the operator that serves it."""

    def __init__(
        self, server: ApiServer, people: People, place: Path, *, rest_seconds: float
    ) -> None:
        self._server = server
        self._people = people
        self._place = place
        self._rest_seconds = rest_seconds
        self._log = WriteLog(server.audit_log)
        self._have = 0

    async def measure(self, sizes: Sequence[int]) -> list[Figure]:
        """Fill up to each size in turn, and measure the operator at rest."""
        figures: list[Figure] = []
        for size in sizes:
            async with run_operator(self._server, self._place) as operator:
                await self._fill(size)
                await self._log.until_quiet(SETTLE_SECONDS, MOST_SECONDS)
                worked = operator.memory()
            rest = await self._rest()
            say(f"  {size} objects: {worked[0]:.0f} MiB after work, {rest.rss:.0f} after a start")
            figures += self._figures(size, worked, rest)
        return figures

    async def _fill(self, size: int) -> None:
        numbers = range(self._have, size)
        self._have = size
        places = [(f"idle-{n // PER_NAMESPACE}", f"model-{n}") for n in numbers]
        for space in sorted({f"idle-{n // PER_NAMESPACE}" for n in numbers}):
            await self._people.namespace(space)
        async with run_stand_in(self._people):
            promoted = asyncio.create_task(until_promoted(self._people, size))
            await self._people.create_all(places)
            async with asyncio.timeout(MOST_SECONDS):
                await promoted

    async def _rest(self) -> Rest:
        self._log.new()
        async with run_operator(self._server, self._place) as operator:
            await asyncio.sleep(SETTLE_SECONDS)
            after = self._log.new()
            used = operator.cpu_seconds()
            await asyncio.sleep(self._rest_seconds)
            share = (operator.cpu_seconds() - used) / self._rest_seconds
            rested = self._log.new()
            for what, count in (count_by_resource(after) + count_by_resource(rested)).most_common():
                say(f"    {count} writes where none was expected: {what}")
            return Rest(len(after), len(rested), share, *operator.memory())

    def _figures(self, size: int, worked: tuple[float, float], rest: Rest) -> list[Figure]:
        limit, others = LIMITS.get(size, (None, "-"))
        rss, pss = max(worked[0], rest.rss), max(worked[1], rest.pss)
        figures = [
            Figure(f"memory at {size:,} idle objects, RSS", rss, "MiB", limit, others),
            Figure("  its own share, PSS", pss, "MiB"),
        ]

        if not size:
            return figures

        seconds, others_after = f"{self._rest_seconds:.0f} s", OTHERS_AFTER_RESTART.get(size, "-")
        return [
            *figures,
            Figure("  processor at rest, of a core", 100 * rest.share, "%", 1),
            Figure(f"  writes at rest, in {seconds}", rest.at_rest, "", 0, "Argo Rollouts 0"),
            Figure("  writes after a restart", rest.after_start, "", 0, others_after),
        ]


async def until_promoted(people: People, number: int) -> None:
    """Wait until so many ModelDeployments have been promoted."""
    done: set[str] = set()
    reported = 0
    if not number:
        return
    async for _, found in people.watch(kinds.MODEL_DEPLOYMENT):
        if is_promoted(found):
            done.add(found["metadata"]["name"])
        if len(done) >= reported + REPORT_EVERY:
            reported = len(done)
            say(f"  {reported} serve")
        if len(done) >= number:
            return
