"""One pass over a namespace's router: it exists while a ModelDeployment does, and a minute longer.

The router outlives the operator, and an upgrade of the operator leaves it alone: its pods change
only with the agent's version or the router's own settings, in one namespace at a time.
"""

import asyncio
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
from slipway.policy.facts import RouteFact
from slipway.reconcile.ports import Clock, Cluster
from slipway.reconcile.projections import (
    InvalidModelDeployment,
    PlainObject,
    RouterWorkload,
    hash_manifest,
)
from slipway.reconcile.router_objects import WAIT_SECONDS, RouterObjects
from slipway.reconcile.writer import ObjectWriter
from slipway.render.network_policies import Walls
from slipway.render.router import (
    NEWEST_AGENT_VERSIONS,
    AgentMark,
    RouterSpec,
    choose_agent,
    needs_budget,
    render_anchor,
    render_router,
)
from slipway.settings import Settings, WalledServers

log = logging.getLogger(__name__)

GONE_AFTER = timedelta(seconds=60)
"""A ModelDeployment that is deleted and created again finds its router still there."""
RENDERED = 64
"""Routers whose rendered objects are kept: each new ModelDeployment brings a pass of its router."""


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
        self._cache = cache
        self._cluster = cluster
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._writer = ObjectWriter(cluster)
        self._objects = RouterObjects(cache, cluster, clock, self._writer)

        self._unused_since: dict[str, datetime] = {}
        self._upgrade = asyncio.Lock()
        """Held from the look at the other namespaces' routers until ours is written."""
        self._waiting_for: dict[str, list[str]] = {}
        """By namespace, those whose routers it waits for; logged once."""
        self._problems: dict[str, str] = {}
        self._newest: set[str] = set()
        """Namespaces whose routers all run the newest agent."""
        self._walls: dict[str, Walls] = {}
        """By namespace, those that stand."""

    def problem_of(self, namespace: str) -> str | None:
        """Return why the namespace's router is not as it should be; None: no problem is known."""
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        return self._problems.get(namespace) or (known.failure if known else None)

    def runs_newest_agent(self, namespace: str) -> bool:
        """Return whether all router pods understand everything that a route can ask for.

        A router that does not exist yet will.
        """
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        if known is None:
            return True
        is_newest = known.agent is not None and known.agent.version in NEWEST_AGENT_VERSIONS
        return is_newest and known.is_complete

    def is_walled(self, namespace: str, model: str) -> bool:
        """Return whether the NetworkPolicies that a model's servers need are there."""
        standing = self._walls.get(namespace, Walls())
        return standing.protect(model) or not self._wants_walls(namespace, model)

    async def reconcile(self, key: Key) -> float | None:
        """Make one namespace's router true; return the seconds until the next pass."""
        try:
            requeue_after = await self._reconcile(key.namespace)
        except (ChangedUnderneath, FencedError):
            raise
        except SlipwayError as error:
            self._note_problem(key.namespace, f"the router was refused: {error}")
            raise

        self._note_problem(key.namespace, None)
        self._note_newest(key.namespace)
        return requeue_after

    def _note_newest(self, namespace: str) -> None:
        """Wake the ModelDeployments that wait for the newest agent when the last pod has it."""
        is_newest, was_newest = self.runs_newest_agent(namespace), namespace in self._newest
        if is_newest == was_newest:
            return
        (self._newest.add if is_newest else self._newest.discard)(namespace)
        if is_newest and self._needs_newest_agent(namespace):
            self._wake_all(namespace)

    def _note_problem(self, namespace: str, problem: str | None) -> None:
        """Remember a problem; the ModelDeployments behind the router report it."""
        if self._problems.get(namespace) == problem:
            return
        self._problems.pop(namespace, None)
        if problem is not None:
            self._problems[namespace] = problem
        self._wake_all(namespace)

    def _wake_all(self, namespace: str) -> None:
        for found in self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment):
            self._wake(Key(kinds.MODEL_DEPLOYMENT.kind, namespace, found.metadata.name))

    async def _reconcile(self, namespace: str) -> float | None:
        # The anchor owns the router's objects: they are deleted with it.
        anchor = self._cache.get(kinds.SERVICE_ACCOUNT, namespace, names.ROUTER_NAME, PlainObject)
        if not self._is_wanted(namespace):
            return await self._retire(namespace, anchor)
        self._unused_since.pop(namespace, None)
        if anchor is not None and anchor.meta.deleting:
            return WAIT_SECONDS
        uid = await self._ensure_anchor(namespace, anchor)

        # Its objects in their order: policies and rights before the pods that need them.
        spec = self._spec_of(namespace)
        if not spec.walls.exist:
            await self._drop_walls(namespace, uid)
        for manifest, manifest_hash in _render_hashed(namespace, uid, spec):
            wait = await self._ensure_object(manifest, manifest_hash, uid)
            if wait is not None:
                return wait
            if manifest["metadata"]["name"] == names.SERVERS_NAME:
                self._note_walls(namespace, spec.walls)
        if not needs_budget(spec):
            await self._objects.drop_budget(namespace, uid)

        return self._objects.next_check(namespace)

    async def _drop_walls(self, namespace: str, anchor_uid: str) -> None:
        """The Jobs' policy is deleted first, and written second: it is never there alone."""
        self._walls.pop(namespace, None)
        for name in (names.JOBS_NAME, names.SERVERS_NAME):
            await self._objects.drop(kinds.NETWORK_POLICY, namespace, name, anchor_uid)

    def _note_walls(self, namespace: str, walls: Walls) -> None:
        """Remember which servers are walled in, and wake the models that wait for it."""
        if self._walls.get(namespace) != walls:
            self._walls[namespace] = walls
            self._wake_all(namespace)

    def _wants_walls(self, namespace: str, model: str) -> bool:
        """Return what `_walls_of` says of one model, without a look at the others."""
        servers = self._settings.model_network_policies.servers
        if servers is not WalledServers.WITH_ACCESS:
            return servers is WalledServers.ALL
        found = self._cache.get(kinds.MODEL_DEPLOYMENT, namespace, model, ModelDeployment)
        return found is not None and found.spec.traffic.says_who_may_call

    def _walls_of(self, namespace: str) -> Walls:
        """Return the walls that the namespace's ModelDeployments want."""
        settings = self._settings.model_network_policies
        models = self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment)
        closed = {each.metadata.name for each in models if each.spec.traffic.says_who_may_call}
        wanted: dict[WalledServers, frozenset[str] | None] = {
            WalledServers.ALL: None,
            WalledServers.NONE: frozenset(),
            WalledServers.WITH_ACCESS: frozenset(closed),
        }
        return Walls(self._settings.namespace, wanted[settings.servers], settings)

    def _spec_of(self, namespace: str) -> RouterSpec:
        """Return what the namespace's router should be.

        Pods that serve are not replaced to end better; those that are replaced anyway will.
        """
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        running = known.agent if known is not None else None
        spec = self._spec_with(namespace, self._choose_agent(namespace, running))
        if known is None or spec.ends_idle or _is_applied(known, namespace, spec):
            return spec
        newest = self._choose_agent(namespace, running, is_replaced=True)
        return self._spec_with(namespace, newest)

    def _choose_agent(
        self, namespace: str, running: AgentMark | None, *, is_replaced: bool = False
    ) -> AgentMark:
        return choose_agent(
            self._settings.router.agent_image,
            self._settings.operator_image,
            running,
            needs_newest=self._needs_newest_agent(namespace),
            needs_comparer=self._needs_comparer(namespace),
            needs_holding=self._needs_holding(namespace),
            needs_traces=self._settings.tracing.is_on,
            is_replaced=is_replaced,
        )

    def _spec_with(self, namespace: str, agent: AgentMark) -> RouterSpec:
        router = self._settings.router
        return RouterSpec(
            agent_image=agent.image,
            agent_version=agent.version,
            ends_idle=agent.ends_idle,
            can_trace=agent.can_trace,
            tracing=self._settings.tracing,
            envoy_image=router.envoy_image,
            replicas=router.replicas,
            concurrency=router.concurrency,
            pods=router,
            users=self._settings.pod_users,
            walls=self._walls_of(namespace),
        )

    def _needs_newest_agent(self, namespace: str) -> bool:
        found = self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment)
        return any(each.spec.traffic.needs_newest_agent for each in found)

    def _needs_holding(self, namespace: str) -> bool:
        """Return whether a model of the namespace may fall asleep."""
        models = self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment)
        return any(each.spec.scaling.may_sleep for each in models)

    def _needs_comparer(self, namespace: str) -> bool:
        """Return whether a spec asks for copies, or a route orders them.

        Nobody else's pods are replaced for a comparer. Where the spec asks, they are while the
        candidate starts, and not when it is to be compared.
        """
        models = self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, ModelDeployment)
        routes = self._cache.in_namespace(kinds.MODEL_ROUTE, namespace, RouteFact)
        return any(each.spec.rollout.asks_for_pairs for each in models) or any(
            each.shadow is not None for each in routes
        )

    def _is_wanted(self, namespace: str) -> bool:
        found = self._cache.in_namespace(kinds.MODEL_DEPLOYMENT, namespace, object)
        return any(
            isinstance(item, InvalidModelDeployment)
            or (isinstance(item, ModelDeployment) and not item.metadata.deletion_timestamp)
            for item in found
        )

    async def _retire(self, namespace: str, anchor: PlainObject | None) -> float | None:
        if anchor is None:
            self._unused_since.pop(namespace, None)
            self._objects.forget(namespace)
            self._walls.pop(namespace, None)
            return None

        now = self._clock.now()
        left = self._unused_since.setdefault(namespace, now) + GONE_AFTER - now
        if left > timedelta():
            return left.total_seconds()

        # the version is a precondition: a new ModelDeployment may have its router written meanwhile
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

    async def _ensure_anchor(self, namespace: str, anchor: PlainObject | None) -> str:
        manifest = render_anchor(namespace)
        manifest_hash = hash_manifest(manifest)
        found = anchor.meta if anchor is not None else None
        if found is not None and not await self._writer.is_due(manifest, found, manifest_hash):
            return found.uid
        applied = await self._writer.apply(manifest, manifest_hash, found)
        uid: str = applied["metadata"]["uid"]
        return uid

    async def _ensure_object(
        self, manifest: Manifest, manifest_hash: str, anchor_uid: str
    ) -> float | None:
        """Write one object if it is due; return the seconds to wait where it must not be yet."""
        if manifest["kind"] != kinds.DEPLOYMENT.kind:
            return await self._objects.ensure(manifest, manifest_hash, anchor_uid)

        namespace = manifest["metadata"]["namespace"]
        known = self._cache.get(kinds.DEPLOYMENT, namespace, names.ROUTER_NAME, RouterWorkload)
        if known is None:
            await self._writer.apply(manifest, manifest_hash, None)
            return None
        if known.meta.owner_uid != anchor_uid or known.meta.deleting:
            return WAIT_SECONDS
        if not await self._writer.is_due(manifest, known.meta, manifest_hash):
            return None

        async with self._upgrade:
            if known.is_complete and self._waits_for_others(namespace):
                return WAIT_SECONDS
            await self._writer.apply(manifest, manifest_hash, known.meta)
        return None

    def _waits_for_others(self, namespace: str) -> bool:
        """Return whether another namespace's router is being replaced, and log once which.

        A router that is not complete itself never waits: the others may be waiting for it.
        """
        others = self._routers_being_replaced(namespace)
        if others and self._waiting_for.get(namespace) != others:
            log.info("waiting for the routers of %s", ", ".join(others), extra={"of": others})

        self._waiting_for.pop(namespace, None)
        if others:
            self._waiting_for[namespace] = others
        return bool(others)

    def _routers_being_replaced(self, namespace: str) -> list[str]:
        """Return the other namespaces whose routers are being replaced."""
        return sorted(
            entry.ref.namespace
            for entry in self._cache.entries(kinds.DEPLOYMENT)
            if isinstance(entry.value, RouterWorkload)
            and entry.ref.namespace != namespace
            and self._is_being_replaced(entry.ref.namespace, entry.value)
        )

    def _is_being_replaced(self, namespace: str, router: RouterWorkload) -> bool:
        """Return whether a router has the newest template, and is not complete yet but may be."""
        if router.is_complete or router.is_stuck or router.meta.owner_uid is None:
            return False
        return _is_applied(router, namespace, self._spec_of(namespace))


def _is_applied(router: RouterWorkload, namespace: str, spec: RouterSpec) -> bool:
    """Return whether the Deployment has been written as the spec is."""
    uid = router.meta.owner_uid
    rendered = _render_hashed(namespace, uid, spec) if uid is not None else ()
    return any(manifest_hash == router.meta.applied_hash for _, manifest_hash in rendered)


@lru_cache(RENDERED)
def _render_hashed(namespace: str, uid: str, spec: RouterSpec) -> tuple[tuple[Manifest, str], ...]:
    return tuple((item, hash_manifest(item)) for item in render_router(namespace, uid, spec))
