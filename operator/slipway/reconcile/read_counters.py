"""Reads the routers' counters: once a pass, for the analysis and for the scaler.

The analysis always reads them now. Older counters would not do: requests that a proxy answered
before it acknowledged a weight are no evidence at that weight, and a revision that had nothing in
flight then may have something now. The scaler looks at every object each second and takes what was
read within `FRESH`, in its own pass or in that of another object.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from slipway.api.counters import Counters
from slipway.policy.facts import PodFact
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import Clock, CounterSource

FRESH = timedelta(seconds=0.8)
"""A younger answer is shared."""

T = TypeVar("T")
CountersByPod = Mapping[str, Counters | None]
"""By name of the router pod; None where it did not answer."""


class SharedReads(Generic[T]):
    """Reads by address, shared by all readers within `FRESH`."""

    def __init__(self, read: Callable[[str], Awaitable[T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._answers: dict[str, tuple[datetime, asyncio.Future[T]]] = {}

    async def recent(self, key: str, address: str) -> T:
        """Return an answer that is not older than `FRESH`; `key` names the pod at the address."""
        now = self._clock.now()
        known = self._answers.get(key)
        if known is None or now - known[0] >= FRESH:
            return await self.now(key, address)
        return await asyncio.shield(known[1])

    async def now(self, key: str, address: str) -> T:
        """Read now, whatever is known; later readers of a recent answer share it."""
        now = self._clock.now()
        self._answers = {
            name: answer
            for name, answer in self._answers.items()
            if now - answer[0] < FRESH or not answer[1].done()
        }
        answer = asyncio.ensure_future(self._read(address))
        self._answers[key] = (now, answer)
        # Shielded: a pass that is cancelled must not take the answer away from the others.
        return await asyncio.shield(answer)


class RouterCounters:
    """The one reader of router pods' counters."""

    def __init__(self, source: CounterSource, clock: Clock, guard: Guard) -> None:
        self._source = source
        self._guard = guard
        self._reads: SharedReads[Counters | None] = SharedReads(self._read, clock)

    async def read_now(self, pods: Sequence[PodFact]) -> CountersByPod:
        """Read every pod now."""
        return await self._gather(pods, self._reads.now)

    async def read_recent(self, pods: Sequence[PodFact]) -> CountersByPod:
        """Read every pod that has not been read within `FRESH`."""
        return await self._gather(pods, self._reads.recent)

    async def _read(self, address: str) -> Counters | None:
        answer = await self._guard.ask(
            f"read the router's counters at {address}", lambda: self._source.read(address)
        )
        return answer if isinstance(answer, Counters) else None

    async def _gather(
        self,
        pods: Sequence[PodFact],
        read: Callable[[str, str], Awaitable[Counters | None]],
    ) -> CountersByPod:
        answers = await asyncio.gather(*(read(pod.meta.uid, pod.address or "") for pod in pods))
        return {pod.meta.name: answer for pod, answer in zip(pods, answers, strict=True)}


def in_flight_by_revision(answers: Iterable[Counters | None], route: str) -> dict[str, int]:
    """Return the requests in flight of a ModelDeployment's revisions, over all that answered."""
    in_flight: dict[str, int] = {}
    for answer in answers:
        for entry in answer.routes if answer is not None else ():
            if entry.name == route:
                in_flight[entry.revision] = in_flight.get(entry.revision, 0) + entry.active
    return in_flight
