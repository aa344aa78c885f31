"""Repairs the set of proxies: replaces those that stop acknowledging, removes entries of dead ones.

A silent proxy blocks every advance. It is replaced only where another proxy has acknowledged the
same route: then the fault is the pod's. A pod that was killed leaves its entry in the status of the
route, where there is room for few.
"""

import logging
from datetime import datetime, timedelta

from slipway.api import kinds, names
from slipway.policy.facts import Facts, PodFact, ProxyFact, RouteFact
from slipway.reconcile.ports import Cluster

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=30)
REMEMBERED = 1024


class ProxyRepair:
    """Remembers since when each proxy has been silent; after a restart, from the first pass."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._since: dict[tuple[str, int, str], datetime] = {}

    async def repair(self, facts: Facts, pods: tuple[PodFact, ...], now: datetime) -> None:
        """Replace silent proxies, remove dead entries; `pods`: all router pods, ready or not."""
        if facts.route is None:
            return

        namespace = facts.metadata.namespace
        alive = {pod.meta.uid for pod in pods}
        dead = [proxy for proxy in facts.route.proxies if proxy.uid not in alive]
        if len(dead) == len(facts.route.proxies):
            dead = dead[1:]  # the API server accepts no status of which nothing is left
        for proxy in dead:
            if await self._is_gone(namespace, proxy):
                await self._remove_entry(namespace, facts.route, proxy)
                return  # the route has a new version now; the next pass removes the next entry

        await self._replace_silent(facts, facts.route, now)

    async def _replace_silent(self, facts: Facts, route: RouteFact, now: datetime) -> None:
        silent = facts.unacknowledged
        if not silent or len(silent) == len(facts.proxies):
            return  # none, or all of them: no pod's own fault

        for pod in facts.proxies:
            if pod.meta.name not in silent or pod.meta.deleting:
                continue
            asked = (route.meta.uid, route.generation, pod.meta.uid)
            if now - self._since.setdefault(asked, now) < PATIENCE:
                continue

            log.warning("replacing router pod %s: it does not acknowledge", pod.meta.name)
            namespace = facts.metadata.namespace
            await self._cluster.delete(kinds.POD, namespace, pod.meta.name, uid=pod.meta.uid)

        while len(self._since) > REMEMBERED:
            del self._since[next(iter(self._since))]

    async def _is_gone(self, namespace: str, proxy: ProxyFact) -> bool:
        live = await self._cluster.get(kinds.POD, namespace, proxy.name)
        return live is None or live["metadata"]["uid"] != proxy.uid

    async def _remove_entry(self, namespace: str, route: RouteFact, proxy: ProxyFact) -> None:
        """Apply an empty status as the dead agent: the API server removes what it alone owned."""
        manifest = kinds.MODEL_ROUTE.manifest(namespace, route.meta.name, status={})
        await self._cluster.apply_status(
            manifest,
            resource_version=route.meta.resource_version,
            manager=f"{names.FIELD_MANAGER_ROUTER}/{proxy.name}",
        )
