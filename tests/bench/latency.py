"""From what a user applies to the first object that runs it, one after the other."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.api import kinds, names

from tests.bench.people import People, specification
from tests.bench.standin import OURS, at_work
from tests.bench.table import Figure
from tests.cluster.progress import say

NAMESPACE = "latency"
SEEN_SECONDS = 30.0
PAUSE_SECONDS = 0.05
"""Between two, so that each finds the operator at rest."""
OTHERS = "Argo Rollouts {} ms (ReplicaSet); a bare kopf handler {} ms"


class Eyes:
    """Sees the first workload object of each ModelDeployment's revisions."""

    def __init__(self, people: People) -> None:
        self._people = people
        self._seen: dict[tuple[str, str], float] = {}
        self._known: set[str] = set()
        self._news = asyncio.Condition()

    async def look(self, kind: kinds.Kind) -> None:
        """Watch Deployments or Jobs."""
        async for event, found in self._people.watch(kind, OURS):
            owner = found["metadata"]["labels"].get(names.LABEL_OWNER)
            if event == "ADDED" and owner and found["metadata"]["uid"] not in self._known:
                self._known.add(found["metadata"]["uid"])
                async with self._news:
                    self._seen.setdefault((owner, "next"), time.monotonic())
                    self._news.notify_all()

    async def first(self, owner: str) -> float:
        """Return when the next new object of an owner was seen."""
        async with asyncio.timeout(SEEN_SECONDS), self._news:
            await self._news.wait_for(lambda: (owner, "next") in self._seen)
            return self._seen.pop((owner, "next"))


@asynccontextmanager
async def watching(people: People) -> AsyncIterator[Eyes]:
    """Watch Deployments and Jobs while the block runs."""
    eyes = Eyes(people)
    tasks = [asyncio.create_task(eyes.look(kind)) for kind in (kinds.DEPLOYMENT, kinds.JOB)]
    await asyncio.sleep(0.5)
    try:
        yield eyes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(people: People, number: int) -> list[Figure]:
    """Create `number` ModelDeployments, and give each a new version once it serves."""
    await people.namespace(NAMESPACE)
    wanted = [f"model-{n}" for n in range(number)]
    async with watching(people) as eyes:
        await people.create("first", NAMESPACE)  # makes the namespace's router
        await eyes.first("first")
        say(f"  creating {number}, one after the other")
        created = [await _create(people, eyes, name) for name in wanted]
        say("  letting them serve, by a stand-in for controllers and agents")
        async with at_work(people):
            await _until_served(people, {*wanted})
            say(f"  changing {number}, one after the other")
            changed = [await _change(people, eyes, name) for name in wanted]
    return [
        *_figures("create -> first workload object", created, ("8", "18"), ("11", "16"), (20, 40)),
        *_figures("new version -> its workload object", changed, None, None, None),
    ]


async def _create(people: People, eyes: Eyes, name: str) -> float:
    await asyncio.sleep(PAUSE_SECONDS)
    began = time.monotonic()
    await people.create(name, NAMESPACE)
    return await eyes.first(name) - began


async def _change(people: People, eyes: Eyes, name: str) -> float:
    await asyncio.sleep(PAUSE_SECONDS)
    path = kinds.MODEL_DEPLOYMENT.path(NAMESPACE, name)
    began = time.monotonic()
    await people.patch(path, {"spec": specification(2)})
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


def _figures(
    what: str,
    seconds: list[float],
    argo: tuple[str, str] | None,
    bare: tuple[str, str] | None,
    targets: tuple[float, float] | None,
) -> list[Figure]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    figures = []
    for column, (name, cut) in enumerate((("p50", cuts[9]), ("p95", cuts[18]))):
        others = OTHERS.format(argo[column], bare[column]) if argo and bare else "-"
        target = targets[column] if targets else None
        figures.append(Figure(f"{what}, {name}", 1000 * cut, "ms", target, others))
    return figures
