"""One pass over a namespace's router: there while a ModelDeployment wants it, gone a minute after.

The router outlives the operator, and an upgrade of the operator leaves it alone: its pods change
only with the agent's version or the router's own settings, one namespace at a time.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.cache import Cache
from slipway.engine.queue import Key
from slipway.errors import ChangedUnderneath, FencedError, SlipwayError
from slipway.reconcile.ports import Clock, Cluster
from slipway.reconcile.project import Broken, Plain, RouterWorkload, meta_of
from slipway.reconcile.writer import Writer, hash_of
from slipway.render.router import RouterSpec, agent_image, render_anchor, render_router
from slipway.settings import Settings

log = logging.getLogger(__name__)

GONE_AFTER = timedelta(seconds=60)
"""A ModelDeployment that is deleted and created anew finds its router still there."""
WAIT_SECONDS = 2.0
RENDERED = 64
"""Routers whose objects are kept; every new ModelDeployment asks for those of its namespace."""


class RouterReconciler:
    """Runs the passes of the namespaces' routers."""

    def __init__(
        self,
        cache: Cache,
        cluster: Cluster,
        clock: Clock,
        settings: Settings,
        wake: Callable[[Key], None] = lambda _key: None,
    ) -> None:
        """`wake` asks for a pass of another key."""
        self._wake = wake
        self._cache = cache
        self._cluster = cluster
        self._writer = Writer(cluster)
        self._clock = clock
        self._settings = settings
        self._unused_since: dict[str, datetime] = {}
        self._verified: set[tuple[str, str, str]] = set()
        """uid of the anchor, kind and hash of what was found as it should be."""
        self._problems: dict[str, str] = {}

    def problem(self, namespace: str) -> str | None:
        """Return why the namespace's router is not as it should be; None: it is, or will be."""
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        return self._problems.get(namespace) or (known.failure if known else None)

    async def reconcile(self, key: Key) -> float | None:
        """Make one namespace's router true; return the seconds until the next look."""
        try:
            again_in = await self._pass(key)
        except (ChangedUnderneath, FencedError):
            raise
        except SlipwayError as error:
            self._note(key.namespace, f"the router is refused: {error}")
            raise
        self._note(key.namespace, None)
        return again_in

    def _note(self, namespace: str, problem: str | None) -> None:
        """Remember a problem, and let those who serve through the router say so."""
        if self._problems.get(namespace) == problem:
            return
        self._problems.pop(namespace, None)
        if problem is not None:
            self._problems[namespace] = problem
        for found in self._cache.within(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment):
            self._wake(Key(kinds.MODEL_DEPLOYMENT.kind, namespace, found.metadata.name))

    async def _pass(self, key: Key) -> float | None:
        namespace = key.namespace
        anchor = self._cache.get(kinds.SERVICE_ACCOUNT, namespace, names.ROUTER_NAME, Plain)
        if not self._is_wanted(namespace):
            return await self._retire(namespace, anchor)
        self._unused_since.pop(namespace, None)
        if anchor is not None and anchor.meta.deleting:
            return WAIT_SECONDS
        uid = await self._anchor(namespace, anchor)
        for manifest, hash_ in _rendered(namespace, uid, self._spec(namespace)):
            wait = await self._ensure(manifest, hash_, uid)
            if wait is not None:
                return wait
        return None

    def _spec(self, namespace: str) -> RouterSpec:
        router = self._settings.router
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        running = known.agent if known is not None else None
        return RouterSpec(
            agent_image=agent_image(router.agent_image, self._settings.operator_image, running),
            envoy_image=router.envoy_image,
            replicas=router.replicas,
            concurrency=router.concurrency,
        )

    def _is_wanted(self, namespace: str) -> bool:
        found = self._cache.within(kinds.MODEL_DEPLOYMENT, namespace, object)
        return any(
            isinstance(item, Broken)
            or (isinstance(item, ModelDeployment) and not item.metadata.deletion_timestamp)
            for item in found
        )

    async def _retire(self, namespace: str, anchor: Plain | None) -> float | None:
        if anchor is None:
            self._unused_since.pop(namespace, None)
            return None
        now = self._clock.now()
        left = self._unused_since.setdefault(namespace, now) + GONE_AFTER - now
        if left > timedelta():
            return left.total_seconds()
        live = await self._cluster.get(kinds.SERVICE_ACCOUNT, namespace, names.ROUTER_NAME)
        if live is not None and live["metadata"]["uid"] == anchor.meta.uid:
            await self._cluster.delete(
                kinds.SERVICE_ACCOUNT,
                namespace,
                names.ROUTER_NAME,
                uid=anchor.meta.uid,
                resource_version=live["metadata"]["resourceVersion"],
            )
        return None

    async def _anchor(self, namespace: str, anchor: Plain | None) -> str:
        manifest = render_anchor(namespace)
        hash_ = hash_of(manifest)
        if anchor is not None and anchor.meta.applied_hash == hash_:
            return anchor.meta.uid
        applied = await self._writer.apply(manifest, hash_, anchor.meta if anchor else None)
        uid: str = applied["metadata"]["uid"]
        return uid

    async def _ensure(self, manifest: Manifest, hash_: str, anchor_uid: str) -> float | None:
        """Write one object if it is due; return the seconds to wait where it must not be yet."""
        kind = kinds.BY_NAME[manifest["kind"]]
        if kind == kinds.DEPLOYMENT:
            return await self._ensure_deployment(manifest, hash_, anchor_uid)
        mark = (anchor_uid, kind.kind, hash_)
        if mark in self._verified:
            return None
        namespace = manifest["metadata"]["namespace"]
        live = await self._cluster.get(kind, namespace, names.ROUTER_NAME)
        found = meta_of(live) if live is not None else None
        if found is not None and found.owner_uid not in {None, anchor_uid}:
            return WAIT_SECONDS
        if found is None or found.applied_hash != hash_:
            await self._writer.apply(manifest, hash_, found)
        self._verified.add(mark)
        return None

    async def _ensure_deployment(
        self, manifest: Manifest, hash_: str, anchor_uid: str
    ) -> float | None:
        namespace = manifest["metadata"]["namespace"]
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        if known is None:
            await self._writer.apply(manifest, hash_, None)
            return None
        if known.meta.owner_uid != anchor_uid or known.meta.deleting:
            return WAIT_SECONDS
        if not self._writer.is_due(known.meta, hash_):
            return None
        others = (
            entry.value
            for entry in self._cache.entries(kinds.DEPLOYMENT)
            if isinstance(entry.value, RouterWorkload) and entry.ref.namespace != namespace
        )
        if not all(other.is_complete for other in others):
            return WAIT_SECONDS
        await self._writer.apply(manifest, hash_, known.meta)
        return None


@lru_cache(RENDERED)
def _rendered(namespace: str, uid: str, spec: RouterSpec) -> tuple[tuple[Manifest, str], ...]:
    return tuple((item, hash_of(item)) for item in render_router(namespace, uid, spec))
