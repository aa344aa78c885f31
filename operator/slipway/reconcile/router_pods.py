"""Router pods that are no good: silent ones are replaced, the words of dead ones are removed.

A silent proxy blocks advances. It goes only where another one has acknowledged the same route: the
fault is then the pod's. A pod that was killed leaves its entry in the route's status behind, and
there is room for few.
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
    """Remembers since when a proxy has been asked in vain; a restart only begins to wait anew."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._since: dict[tuple[str, int, str], datetime] = {}

    async def heal(self, facts: Facts, pods: tuple[PodFact, ...], now: datetime) -> None:
        """Replace the silent and forget the dead; `pods` are all router pods, ready or not."""
        if facts.route is None:
            return
        namespace = facts.metadata.namespace
        alive = {pod.meta.uid for pod in pods}
        dead = [proxy for proxy in facts.route.proxies if proxy.uid not in alive]
        if len(dead) == len(facts.route.proxies):
            dead = dead[1:]  # the API server takes no status of which nothing is left
        for proxy in dead:
            if await self._is_gone(namespace, proxy):
                await self._forget(namespace, facts.route, proxy)
                return  # the route has another version now; the next pass sees to the next one
        await self._replace_silent(facts, facts.route, now)

    async def _replace_silent(self, facts: Facts, route: RouteFact, now: datetime) -> None:
        silent = facts.unacknowledged
        if not silent or len(silent) == len(facts.proxies):
            return
        for pod in facts.proxies:
            if pod.meta.name not in silent or pod.meta.deleting:
                continue
            mark = (route.meta.uid, route.generation, pod.meta.uid)
            if now - self._since.setdefault(mark, now) < PATIENCE:
                continue
            log.warning("router pod %s is silent and is replaced", pod.meta.name)
            namespace = facts.metadata.namespace
            await self._cluster.delete(kinds.POD, namespace, pod.meta.name, uid=pod.meta.uid)
        while len(self._since) > REMEMBERED:
            del self._since[next(iter(self._since))]

    async def _is_gone(self, namespace: str, proxy: ProxyFact) -> bool:
        live = await self._cluster.get(kinds.POD, namespace, proxy.name)
        return live is None or live["metadata"]["uid"] != proxy.uid

    async def _forget(self, namespace: str, route: RouteFact, proxy: ProxyFact) -> None:
        """Apply nothing in the dead agent's name: what it alone owned goes."""
        manifest = kinds.MODEL_ROUTE.manifest(namespace, route.meta.name, status={})
        await self._cluster.apply_status(
            manifest,
            resource_version=route.meta.resource_version,
            manager=f"{names.FIELD_MANAGER_ROUTER}/{proxy.name}",
        )
