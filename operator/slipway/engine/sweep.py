"""The uid sweep: lists the metadata of what exists, and compares it with the cache.

Watches lose deletions that happen across a re-list, so objects that only the cache knows are
ghosts. The first sweep is also the barrier before the first pass: the cache counts as filled when
every listed object was seen or is gone. And an object that the watch still does not show at the
next sweep means that the watch is dead.

Each kind is listed in each namespace by itself: a permission that was revoked, or a namespace that
was deleted with its Role, costs the sweep that place and no other.
"""

import asyncio
import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from slipway.api.kinds import Kind
from slipway.engine.cache import Cache, Ref
from slipway.errors import (
    AdmissionDenied,
    ClusterUnavailable,
    DependencyError,
    Forbidden,
    SlipwayError,
)

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
RECHECK_SECONDS = 60.0
"""Until a watch that was behind must have caught up; also the longest delay between retries."""
AFTER_RELIST_SECONDS = 2.0
BARRIER_SECONDS = 60.0
"""Longest wait for a watch that shows nothing new; then passes start anyway, since every write has
preconditions. Thousands of objects may take longer, as long as they keep coming."""
BARRIER_POLL_SECONDS = 0.1
RETRY_SECONDS = 5.0

Scope = tuple[Kind, str | None]
"""A kind in a namespace; None: in all of them."""
REFUSALS = (Forbidden, AdmissionDenied)
"""The API server answered: an early retry would not help."""


class Lister(Protocol):
    """Lists metadata."""

    async def refs(self, kind: Kind, namespace: str | None) -> Sequence[Ref]:
        """Return all objects that the watch of this kind should show.

        Raises:
            SlipwayError: the API server did not answer, or refused.

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
        """`namespaces` empty: all. `on_ghost` removes the object and queues its owner."""
        self._cache = cache
        self._lister = lister
        self._kinds = tuple(kinds)
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._on_ghost = on_ghost
        self._now = now

        self._requested = asyncio.Event()
        self._behind: dict[str, Ref] = {}
        """What the watches did not show at the last sweep, by uid."""
        self._swept_at = now()
        self._listed_at = now()
        self._misses = 0
        """Consecutive sweeps in which the API server did not answer for something."""
        self._failed: dict[Scope, SlipwayError] = {}
        self._left_out: Mapping[Scope, SlipwayError] = {}

        self.synced = asyncio.Event()
        """Set once the cache is filled."""
        self.ghosts_removed = 0
        self.watch_is_dead = False

    @property
    def age(self) -> float:
        """Seconds since the last sweep in which nothing failed."""
        return self._now() - self._swept_at

    @property
    def idle(self) -> float:
        """Seconds since the last list, successful or not; they grow where the sweep is stuck."""
        return self._now() - self._listed_at

    @property
    def failures(self) -> Mapping[Scope, SlipwayError]:
        """What the last sweep could not list, or was left out from the start, and why."""
        return {**self._left_out, **self._failed}

    @property
    def behind(self) -> int:
        """Number of objects that the watches did not show at the last sweep."""
        return len(self._behind)

    def leave_out(self, failures: Mapping[Scope, SlipwayError]) -> None:
        """Never list the namespaces of these failures: they are not watched either."""
        gone = {namespace for _, namespace in failures}
        self._namespaces = tuple(name for name in self._namespaces if name not in gone)
        self._left_out = dict(failures)

    def request(self) -> None:
        """Ask for a sweep soon: a watch was listed again, so deletions may be lost."""
        if self.synced.is_set():
            self._requested.set()

    async def run(self) -> None:
        """Wait until the cache is filled, then sweep until cancelled."""
        await self._fill_cache()
        while True:
            await self._wait_for_turn()
            try:
                await self.sweep()
            except DependencyError as error:
                log.warning("sweep failed: %s", error)

    async def sweep(self) -> None:
        """List everything once, remove ghosts, and note what the watches do not show yet.

        What cannot be listed stays as it is and appears in `failures`; all else is swept. Missing
        permissions in some namespaces do not raise while one namespace is listed in full.

        Raises:
            DependencyError: the API server did not answer for something, or refused everywhere.

        """
        listed: dict[str, Ref] = {}
        for scope in itertools.product(self._kinds, self._namespaces):
            listed.update({ref.uid: ref for ref in await self._sweep_scope(scope)})

        # behind for the second time: before the new list replaces what was behind at the last sweep
        late = [ref for uid, ref in self._behind.items() if uid in listed and self._is_behind(ref)]
        self.watch_is_dead = bool(late)
        for ref in late[:3]:
            log.error("the watch does not show %s %s/%s", ref.kind.kind, ref.namespace, ref.name)
        self._behind = {uid: ref for uid, ref in listed.items() if self._is_behind(ref)}

        self._raise_failures()

    def _raise_failures(self) -> None:
        silent = self._unanswered()
        self._misses = self._misses + 1 if silent else 0
        if not self._failed:
            self._swept_at = self._now()
            return

        incomplete = {namespace for _, namespace in self._failed}
        if silent or incomplete.issuperset(self._namespaces):
            first = (silent or list(self._failed.values()))[0]
            raise ClusterUnavailable(str(first)) from first

    def _unanswered(self) -> list[SlipwayError]:
        return [error for error in self._failed.values() if not isinstance(error, REFUSALS)]

    async def _sweep_scope(self, scope: Scope) -> list[Ref]:
        """Return what exists there; where it cannot be listed, note the failure and return none."""
        kind, namespace = scope
        try:
            listed = await self._remove_ghosts(kind, namespace)
        except SlipwayError as error:
            if scope not in self._failed:
                log.warning(
                    "%s in %s not swept: %s", kind.plural, namespace or "all namespaces", error
                )
            self._failed[scope] = error
            return []
        finally:
            self._listed_at = self._now()

        if self._failed.pop(scope, None) is not None:
            log.info("%s in %s swept again", kind.plural, namespace or "all namespaces")
        return listed

    async def _remove_ghosts(self, kind: Kind, namespace: str | None) -> list[Ref]:
        """List a kind, remove what only the cache has of it, and return the list."""
        before = self._cache.changes
        listed = list(await self._lister.refs(kind, namespace))
        uids = {ref.uid for ref in listed}

        ghosts = [
            entry.ref
            for entry in self._cache.entries(kind)
            if entry.change <= before  # what came during the list may be missing in it
            and entry.ref.uid not in uids
            and namespace in {None, entry.ref.namespace}
        ]
        for ghost in ghosts:
            self.ghosts_removed += 1
            log.info("removed ghost %s %s/%s", kind.kind, ghost.namespace, ghost.name)
            self._on_ghost(ghost)

        return listed

    def _is_behind(self, ref: Ref) -> bool:
        known = self._cache.entry(ref.kind, ref.namespace, ref.name)
        return known is None or known.ref.version < ref.version

    async def _fill_cache(self) -> None:
        progressed_at, fewest = self._now(), math.inf
        while not self.synced.is_set():
            try:
                await self.sweep()
            except DependencyError as error:
                log.warning("waiting for the API server: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue

            await self._wait_until_shown()
            if len(self._behind) < fewest:
                progressed_at, fewest = self._now(), len(self._behind)
            if not self._behind or self._now() - progressed_at >= BARRIER_SECONDS:
                self._open_barrier(len(self._behind))

    async def _wait_until_shown(self) -> None:
        """Wait for what is behind, until the watches show none of it for `RETRY_SECONDS`."""
        since = self._now()
        while self._behind and self._now() - since < RETRY_SECONDS:
            await asyncio.sleep(BARRIER_POLL_SECONDS)
            shown = list(itertools.takewhile(self._is_shown, self._behind.items()))
            for uid, _ in shown:
                del self._behind[uid]
                since = self._now()

        self._behind = {uid: ref for uid, ref in self._behind.items() if self._is_behind(ref)}

    def _is_shown(self, item: tuple[str, Ref]) -> bool:
        return not self._is_behind(item[1])

    def _open_barrier(self, missing: int) -> None:
        if missing:
            log.error("the watches do not show %d objects; starting anyway", missing)
        else:
            log.info("cache filled: %d objects", len(self._cache))
        self.watch_is_dead = False
        self.synced.set()

    async def _wait_for_turn(self) -> None:
        seconds = RECHECK_SECONDS if self._behind else INTERVAL_SECONDS
        if self._misses:
            seconds = min(RETRY_SECONDS * 2.0 ** min(self._misses - 1, 10), RECHECK_SECONDS)

        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311
                await self._requested.wait()
                await asyncio.sleep(AFTER_RELIST_SECONDS)
        except TimeoutError:
            pass

        self._requested.clear()
