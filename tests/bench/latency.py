"""The time from what a user applies to the first object that runs it, one after the other."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.api import kinds, names

from tests.bench.people import People, spec_of
from tests.bench.standin import OURS, run_stand_in
from tests.bench.table import Figure
from tests.cluster.progress import say

SEEN_SECONDS = 30.0
LIST_SECONDS = 1.0
"""Until what exists was seen."""
PAUSE_SECONDS = 0.05
"""Between two, so that each finds the operator at rest."""
OTHERS = "a bare kopf handler, now: {:.0f} ms; Argo Rollouts {} ms (ReplicaSet)"


class Eyes:
    """Sees the next new workload object of each ModelDeployment."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._seen: dict[str, float] = {}
        self._known: set[str] = set()
        self._news = asyncio.Condition()

    async def look(self, kind: kinds.Kind) -> None:
        """Watch Deployments or Jobs."""
        async for event, found in self._people.watch(kind, OURS):
            owner = found["metadata"]["labels"].get(names.LABEL_OWNER)
            if event == "ADDED" and owner and found["metadata"]["uid"] not in self._known:
                self._known.add(found["metadata"]["uid"])
                async with self._news:
                    self._seen.setdefault(owner, time.monotonic())
                    self._news.notify_all()

    def forget(self) -> None:
        """Count what was seen until now as old."""
        self._seen.clear()

    async def first(self, owner: str) -> float:
        """Return when the next new object of an owner was seen."""
        async with asyncio.timeout(SEEN_SECONDS), self._news:
            await self._news.wait_for(lambda: owner in self._seen)
            return self._seen.pop(owner)


@asynccontextmanager
async def watch_workloads(people: People) -> AsyncIterator[Eyes]:
    """Watch Deployments and Jobs while the block runs."""
    eyes = Eyes(people)
    tasks = [asyncio.create_task(eyes.look(kind)) for kind in (kinds.DEPLOYMENT, kinds.JOB)]
    await asyncio.sleep(LIST_SECONDS)
    eyes.forget()
    try:
        yield eyes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure_creations(people: People, namespace: str, number: int) -> list[float]:
    """Create `number` ModelDeployments one after the other; return the seconds that each took."""
    await people.namespace(namespace)
    async with watch_workloads(people) as eyes:
        await people.create(f"{namespace}-first", namespace)  # makes the namespace's router
        await eyes.first(f"{namespace}-first")
        say(f"  creating {number}, one after the other")
        return [await _create(people, eyes, f"{namespace}-{n}", namespace) for n in range(number)]


async def measure_changes(people: People, namespace: str, number: int) -> list[float]:
    """Give each of those a new version once it serves; return the seconds that each took."""
    wanted = [f"{namespace}-{n}" for n in range(number)]
    async with watch_workloads(people) as eyes, run_stand_in(people):
        say("  letting them serve, by a stand-in for controllers and agents")
        await _until_served(people, {*wanted})
        say(f"  changing {number}, one after the other")
        return [await _change(people, eyes, name, namespace) for name in wanted]


def latency_figures(bare: list[float], ours: list[float], changes: list[float]) -> list[Figure]:
    """Return Slipway's figures, the first ones next to those of the bare handler."""
    least = _cuts(bare)
    return [
        *(
            Figure(f"create -> first workload object, {name}", cut, "ms", target, others)
            for (name, cut), target, others in zip(
                _cuts(ours).items(),
                (20, 40),
                (OTHERS.format(least["p50"], 8), OTHERS.format(least["p95"], 18)),
                strict=True,
            )
        ),
        *(
            Figure(f"new version -> its workload object, {name}", cut, "ms")
            for name, cut in _cuts(changes).items()
        ),
    ]


async def _create(people: People, eyes: Eyes, name: str, namespace: str) -> float:
    await asyncio.sleep(PAUSE_SECONDS)
    began = time.monotonic()
    await people.create(name, namespace)
    return await eyes.first(name) - began


async def _change(people: People, eyes: Eyes, name: str, namespace: str) -> float:
    await asyncio.sleep(PAUSE_SECONDS)
    path = kinds.MODEL_DEPLOYMENT.path(namespace, name)
    began = time.monotonic()
    await people.patch(path, {"spec": spec_of(2)})
    return await eyes.first(name) - began


async def _until_served(people: People, wanted: set[str]) -> None:
    left = set(wanted)
    async with asyncio.timeout(SEEN_SECONDS + len(wanted)):
        async for _, found in people.watch(kinds.MODEL_DEPLOYMENT):
            if is_promoted(found):
                left.discard(found["metadata"]["name"])
            if not left:
                return


def is_promoted(found: dict[str, dict[str, object]]) -> bool:
    """Return whether the version in the spec serves."""
    conditions = found.get("status", {}).get("conditions") or ()
    return any(
        entry["type"] == "Ready" and entry["status"] == "True"
        for entry in conditions  # type: ignore[attr-defined]
    )


def _cuts(seconds: list[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": 1000 * cuts[9], "p95": 1000 * cuts[18]}
