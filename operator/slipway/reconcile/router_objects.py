"""What a router needs besides its Deployment: restored when it is deleted or edited.

Roles and NetworkPolicies are not watched: they are read again every ten minutes, and written only
where they are not as they should be. The disruption budget is watched, and restored at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.kinds import Kind
from slipway.engine.cache import Cache
from slipway.reconcile.ports import Clock, Cluster
from slipway.reconcile.projections import PlainObject, read_meta
from slipway.reconcile.writer import ObjectWriter

CHECK_EVERY = timedelta(minutes=10)
WAIT_SECONDS = 2.0
IDENTITY = frozenset({"apiVersion", "kind", "metadata"})


@dataclass(frozen=True, slots=True)
class LastCheck:
    """When an object was found, or made, as it should be."""

    anchor_uid: str
    hash: str
    at: datetime


class RouterObjects:
    """Keeps the objects of all routers, except those with pods."""

    def __init__(self, cache: Cache, cluster: Cluster, clock: Clock, writer: ObjectWriter) -> None:
        self._cache = cache
        self._cluster = cluster
        self._clock = clock
        self._writer = writer
        self._checks: dict[tuple[str, Kind, str], LastCheck] = {}
        self._absent: dict[tuple[str, Kind, str], datetime] = {}
        """When an object that must not be was last found, or made, absent."""

    async def ensure(self, manifest: Manifest, manifest_hash: str, anchor_uid: str) -> float | None:
        """Restore one object; return the seconds to wait where it cannot be written yet."""
        kind, metadata = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        place = namespace, kind, name
        if self._is_known_good(place, manifest_hash, anchor_uid):
            return None

        live = await self._cluster.get(kind, namespace, name)
        found = read_meta(live) if live is not None else None
        if found is not None and (found.deleting or found.owner_uid not in {None, anchor_uid}):
            return WAIT_SECONDS

        is_due = self._writer.is_due_live(manifest, live, manifest_hash)
        if is_due or not has_desired_fields(live, manifest):
            await self._writer.apply(manifest, manifest_hash, found)

        self._checks[place] = LastCheck(anchor_uid, manifest_hash, self._clock.now())
        self._absent.pop(place, None)
        return None

    async def drop_budget(self, namespace: str, anchor_uid: str) -> None:
        """Delete the budget that a single router pod must not have: no node could be drained."""
        kind = kinds.POD_DISRUPTION_BUDGET
        self._checks.pop((namespace, kind, names.ROUTER_NAME), None)
        known = self._cache.get(kind, namespace, names.ROUTER_NAME, PlainObject)
        if known is not None and known.meta.owner_uid == anchor_uid and not known.meta.deleting:
            await self._cluster.delete(kind, namespace, names.ROUTER_NAME, uid=known.meta.uid)

    async def drop(self, kind: Kind, namespace: str, name: str, anchor_uid: str) -> None:
        """Delete an object that is not watched, and look every ten minutes that it stays away."""
        place = namespace, kind, name
        self._checks.pop(place, None)
        now = self._clock.now()
        if now - self._absent.get(place, now - CHECK_EVERY) < CHECK_EVERY:
            return

        live = await self._cluster.get(kind, namespace, name)
        found = read_meta(live) if live is not None else None
        if found is not None and found.owner_uid == anchor_uid and not found.deleting:
            await self._cluster.delete(kind, namespace, name, uid=found.uid)
        self._absent[place] = now

    def next_check(self, namespace: str) -> float | None:
        """Return the seconds until an object of this namespace is to be read again."""
        checked = [check.at for (place, _, _), check in self._checks.items() if place == namespace]
        if not checked:
            return None
        return max((min(checked) + CHECK_EVERY - self._clock.now()).total_seconds(), 0.0)

    def forget(self, namespace: str) -> None:
        """Forget a router that is going away."""
        for known in (self._checks, self._absent):
            for place in [place for place in known if place[0] == namespace]:
                del known[place]

    def _is_known_good(
        self, place: tuple[str, Kind, str], manifest_hash: str, anchor_uid: str
    ) -> bool:
        namespace, kind, name = place
        check = self._checks.get(place)
        if check is None or (check.anchor_uid, check.hash) != (anchor_uid, manifest_hash):
            return False
        if self._clock.now() - check.at >= CHECK_EVERY:
            return False

        if kind not in kinds.WATCHED:
            return True
        known = self._cache.get(kind, namespace, name, PlainObject)
        return known is not None and not self._writer.differs(known.meta, manifest_hash)


def has_desired_fields(live: Manifest | None, manifest: Manifest) -> bool:
    """Return whether an object has the fields of the manifest, whatever others added.

    The objects that are not watched may have been changed and changed back between two looks.
    """
    desired = manifest.keys() - IDENTITY
    return live is not None and all(_contains(live.get(key), manifest[key]) for key in desired)


def _contains(found: Any, desired: Any) -> bool:
    if isinstance(desired, dict):
        return isinstance(found, dict) and all(
            _contains(found.get(k), v) for k, v in desired.items()
        )
    if isinstance(desired, list):
        return (
            isinstance(found, list) and len(found) == len(desired) and _all_contain(found, desired)
        )
    return bool(found == desired)


def _all_contain(found: Iterable[Any], desired: Iterable[Any]) -> bool:
    return all(_contains(one, other) for one, other in zip(found, desired, strict=True))
