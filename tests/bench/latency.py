"""The time from what a user applies to the first object that runs it, one after the other."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from slipway.api import kinds, names
from slipway.api.base import Manifest

from tests.bench.asked import MODELS, Asked
from tests.bench.people import People
from tests.bench.standin import run_stand_in
from tests.bench.table import Figure
from tests.cluster.progress import say

SEEN_SECONDS = 30.0
LIST_SECONDS = 1.0
"""Until what exists was seen."""
PAUSE_SECONDS = 0.05
"""Between two, so that each finds the operator at rest."""
OTHERS = "a bare kopf handler, now: {:.0f} ms; Argo Rollouts {} ms (ReplicaSet)"


class Eyes:
    """Sees the next new workload object of each object that users asked for."""

    def __init__(self, people: People, selector: str) -> None:
        self._people = people
        self._selector = selector
        self._seen: dict[str, float] = {}
        self._known: set[str] = set()
        self._news = asyncio.Condition()

    async def look(self, kind: kinds.Kind) -> None:
        """Watch workload objects of one kind."""
        async for event, found in self._people.watch(kind, self._selector):
            owner = _owner_of(found)
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
async def watch_workloads(people: People, asked: Asked = MODELS) -> AsyncIterator[Eyes]:
    """Watch workload objects while the block runs."""
    eyes = Eyes(people, asked.selector)
    tasks = [asyncio.create_task(eyes.look(kind)) for kind in asked.workloads]
    await asyncio.sleep(LIST_SECONDS)
    eyes.forget()
    try:
        yield eyes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure_creations(
    people: People, namespace: str, number: int, asked: Asked = MODELS
) -> list[float]:
    """Create `number` objects one after the other; return the seconds that each took."""
    await people.namespace(namespace)
    async with watch_workloads(people, asked) as eyes:
        first = f"{namespace}-first"  # makes what all of a namespace share, such as its router
        await people.create(first, namespace, asked)
        await eyes.first(first)

        say(f"  creating {number}, one after the other")
        seconds = []
        for n in range(number):
            await asyncio.sleep(PAUSE_SECONDS)
            began = time.monotonic()
            await people.create(f"{namespace}-{n}", namespace, asked)
            seconds.append(await eyes.first(f"{namespace}-{n}") - began)
        return seconds


async def measure_changes(people: People, namespace: str, number: int) -> list[float]:
    """Give each of those a new version once it serves; return the seconds that each took."""
    async with run_stand_in(people):
        say("  letting them serve, by a stand-in for controllers and agents")
        await until_served(people, {f"{namespace}-{n}" for n in range(number)})
        return await measure_new_versions(people, namespace, number)


async def measure_new_versions(
    people: People,
    namespace: str,
    number: int,
    asked: Asked = MODELS,
    pause_seconds: float = PAUSE_SECONDS,
) -> list[float]:
    """Give each a new version, one after the other; return the seconds that each took."""
    async with watch_workloads(people, asked) as eyes:
        say(f"  changing {number}, one after the other")
        seconds = []
        for n in range(number):
            await asyncio.sleep(pause_seconds)
            path = asked.kind.path(namespace, f"{namespace}-{n}")
            began = time.monotonic()
            await people.patch(path, {"spec": asked.spec_of(2)})
            seconds.append(await eyes.first(f"{namespace}-{n}") - began)
        return seconds


def latency_figures(bare: list[float], ours: list[float], changes: list[float]) -> list[Figure]:
    """Return Slipway's figures, the first ones next to those of the bare handler."""
    least = median_and_p95(bare)
    return [
        *(
            Figure(f"create -> first workload object, {name}", cut, "ms", target, others)
            for (name, cut), target, others in zip(
                median_and_p95(ours).items(),
                (20, 40),
                (OTHERS.format(least["p50"], 8), OTHERS.format(least["p95"], 18)),
                strict=True,
            )
        ),
        *(
            Figure(f"new version -> its workload object, {name}", cut, "ms")
            for name, cut in median_and_p95(changes).items()
        ),
    ]


async def until_served(people: People, wanted: set[str]) -> None:
    """Wait until the versions of these ModelDeployments serve."""
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


def median_and_p95(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": 1000 * cuts[9], "p95": 1000 * cuts[18]}


def _owner_of(found: Manifest) -> str | None:
    """Return the name of the object that a workload belongs to; None for what all share."""
    metadata = found["metadata"]
    labelled = metadata.get("labels", {}).get(names.LABEL_OWNER)
    owners = [owner["name"] for owner in metadata.get("ownerReferences", ())]
    return labelled or next(iter(owners), None)
