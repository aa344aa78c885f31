"""What a router needs beside its Deployment: mended when somebody deletes or edits it.

Rights and NetworkPolicies are not watched: they are read again now and then, and written only where
they are not as they should be. The disruption budget is watched, and mended at once.
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

LOOK_AGAIN = timedelta(minutes=10)
WAIT_SECONDS = 2.0
IDENTITY = frozenset({"apiVersion", "kind", "metadata"})


@dataclass(frozen=True, slots=True)
class LastCheck:
    """When an object was found, or made, as it should be."""

    anchor_uid: str
    hash: str
    at: datetime


class RouterObjects:
    """Keeps the objects of all routers that have no pods."""

    def __init__(self, cache: Cache, cluster: Cluster, clock: Clock, writer: ObjectWriter) -> None:
        self._cache = cache
        self._cluster = cluster
        self._clock = clock
        self._writer = writer
        self._looks: dict[tuple[str, Kind], LastCheck] = {}

    async def ensure(self, manifest: Manifest, manifest_hash: str, anchor_uid: str) -> float | None:
        """Mend one object; return the seconds to wait where that cannot be yet."""
        kind, namespace = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]["namespace"]
        if self._is_known_good(kind, namespace, manifest_hash, anchor_uid):
            return None
        live = await self._cluster.get(kind, namespace, names.ROUTER_NAME)
        found = read_meta(live) if live is not None else None
        if found is not None and (found.deleting or found.owner_uid not in {None, anchor_uid}):
            return WAIT_SECONDS
        if self._writer.is_due(found, manifest_hash) or not has_desired_fields(live, manifest):
            await self._writer.apply(manifest, manifest_hash, found)
        self._looks[namespace, kind] = LastCheck(anchor_uid, manifest_hash, self._clock.now())
        return None

    async def drop_budget(self, namespace: str, anchor_uid: str) -> None:
        """Delete the budget that a single router pod must not have: no node could be drained."""
        kind = kinds.POD_DISRUPTION_BUDGET
        self._looks.pop((namespace, kind), None)
        known = self._cache.get(kind, namespace, names.ROUTER_NAME, PlainObject)
        if known is not None and known.meta.owner_uid == anchor_uid and not known.meta.deleting:
            await self._cluster.delete(kind, namespace, names.ROUTER_NAME, uid=known.meta.uid)

    def look_in(self, namespace: str) -> float | None:
        """Return the seconds until something of this namespace is to be read again."""
        looks = [look.at for (place, _), look in self._looks.items() if place == namespace]
        if not looks:
            return None
        return max((min(looks) + LOOK_AGAIN - self._clock.now()).total_seconds(), 0.0)

    def forget(self, namespace: str) -> None:
        """Remember nothing of a router that goes."""
        for place in [place for place in self._looks if place[0] == namespace]:
            del self._looks[place]

    def _is_known_good(
        self, kind: Kind, namespace: str, manifest_hash: str, anchor_uid: str
    ) -> bool:
        look = self._looks.get((namespace, kind))
        if look is None or (look.anchor_uid, look.hash) != (anchor_uid, manifest_hash):
            return False
        if self._clock.now() - look.at >= LOOK_AGAIN:
            return False
        if kind not in kinds.WATCHED:
            return True
        known = self._cache.get(kind, namespace, names.ROUTER_NAME, PlainObject)
        return known is not None and not self._writer.is_due(known.meta, manifest_hash)


def has_desired_fields(live: Manifest | None, manifest: Manifest) -> bool:
    """Return whether an object says what we said, whoever else says more.

    Our managedFields entry tells that only of changes since this process saw the object first.
    """
    told = manifest.keys() - IDENTITY
    return live is not None and all(_holds(live.get(key), manifest[key]) for key in told)


def _holds(found: Any, told: Any) -> bool:
    if isinstance(told, dict):
        return isinstance(found, dict) and all(_holds(found.get(k), v) for k, v in told.items())
    if isinstance(told, list):
        return isinstance(found, list) and len(found) == len(told) and _all_hold(found, told)
    return bool(found == told)


def _all_hold(found: Iterable[Any], told: Iterable[Any]) -> bool:
    return all(_holds(one, other) for one, other in zip(found, told, strict=True))
