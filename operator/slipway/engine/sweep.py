"""The uid sweep: lists what exists, without contents, and compares it with the cache.

Watches lose deletions that happen across a re-list, so objects that only the cache knows are
ghosts. The first sweep is also the barrier before the first pass: the cache counts as filled when
every listed object was seen or has gone. And an object that the watch still does not show at the
next look means that the watch is dead.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from slipway.api.kinds import Kind
from slipway.engine.cache import Cache, Ref
from slipway.errors import DependencyError

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
RECHECK_SECONDS = 60.0
"""Until a watch that was behind must have caught up."""
AFTER_RELIST_SECONDS = 2.0
BARRIER_SECONDS = 60.0
"""Longest wait for the cache; then work starts, since every write has preconditions."""
BARRIER_LOOK_SECONDS = 0.1
RETRY_SECONDS = 5.0


class Lister(Protocol):
    """Lists metadata."""

    async def refs(self, kind: Kind, namespace: str | None) -> Sequence[Ref]:
        """Return all objects that the watch of this kind should show.

        Raises:
            DependencyError: the API server did not answer.

        """


class Sweep:
    """Compares the cache with the cluster."""

    def __init__(
        self,
        cache: Cache,
        lister: Lister,
        kinds: Sequence[Kind],
        *,
        namespaces: Sequence[str],
        on_ghost: Callable[[Ref], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`namespaces` empty: all. `on_ghost` removes the object and wakes its owner."""
        self._cache = cache
        self._lister = lister
        self._kinds = tuple(kinds)
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._on_ghost = on_ghost
        self._now = now
        self._wanted = asyncio.Event()
        self._behind: Mapping[str, Ref] = {}
        self._swept_at = now()
        self.synced = asyncio.Event()
        self.ghosts_removed = 0
        self.watch_is_dead = False

    @property
    def age(self) -> float:
        """Seconds since the last sweep that went well."""
        return self._now() - self._swept_at

    @property
    def behind(self) -> int:
        """Objects that the watches did not show at the last look."""
        return len(self._behind)

    def request(self) -> None:
        """Ask for a sweep soon: a watch has listed anew, so deletions may be lost."""
        if self.synced.is_set():
            self._wanted.set()

    async def run(self) -> None:
        """Fill the barrier, then sweep for ever."""
        await self._pass_barrier()
        while True:
            await self._wait()
            try:
                await self.sweep()
            except DependencyError as error:
                log.warning("sweep failed: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._wanted.set()

    async def sweep(self) -> None:
        """List everything once, remove ghosts, and note what the watches do not show yet.

        Raises:
            DependencyError: the API server did not answer; nothing was removed for that kind.

        """
        listed: dict[str, Ref] = {}
        for kind in self._kinds:
            listed.update({ref.uid: ref for ref in await self._sweep_kind(kind)})
        late = [ref for uid, ref in self._behind.items() if uid in listed and self._is_behind(ref)]
        self.watch_is_dead = bool(late)
        for ref in late[:3]:
            log.error("the watch does not show %s %s/%s", ref.kind.kind, ref.namespace, ref.name)
        self._behind = {uid: ref for uid, ref in listed.items() if self._is_behind(ref)}
        self._swept_at = self._now()

    async def _sweep_kind(self, kind: Kind) -> list[Ref]:
        before = self._cache.changes
        listed: list[Ref] = []
        for namespace in self._namespaces:
            listed.extend(await self._lister.refs(kind, namespace))
        uids = {ref.uid for ref in listed}
        ghosts = [
            entry.ref
            for entry in self._cache.entries(kind)
            if entry.stored <= before and entry.ref.uid not in uids
        ]
        for ghost in ghosts:
            self.ghosts_removed += 1
            log.info("removed ghost %s %s/%s", kind.kind, ghost.namespace, ghost.name)
            self._on_ghost(ghost)
        return listed

    def _is_behind(self, ref: Ref) -> bool:
        known = self._cache.entry(ref.kind, ref.namespace, ref.name)
        return known is None or known.ref.version < ref.version

    async def _pass_barrier(self) -> None:
        deadline = self._now() + BARRIER_SECONDS
        while not self.synced.is_set():
            try:
                await self.sweep()
            except DependencyError as error:
                log.warning("waiting for the API server: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            await self._until_shown(min(deadline, self._now() + RETRY_SECONDS))
            if not self._behind or self._now() >= deadline:
                self._open(len(self._behind))

    async def _until_shown(self, deadline: float) -> None:
        while self._behind and self._now() < deadline:
            await asyncio.sleep(BARRIER_LOOK_SECONDS)
            self._behind = {uid: ref for uid, ref in self._behind.items() if self._is_behind(ref)}

    def _open(self, missing: int) -> None:
        if missing:
            log.error("%d objects were not shown by the watches in time; starting anyway", missing)
        else:
            log.info("cache is filled: %d objects", len(self._cache))
        self.watch_is_dead = False
        self.synced.set()

    async def _wait(self) -> None:
        seconds = RECHECK_SECONDS if self._behind else INTERVAL_SECONDS
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311
                await self._wanted.wait()
                await asyncio.sleep(AFTER_RELIST_SECONDS)
        except TimeoutError:
            pass
        self._wanted.clear()
