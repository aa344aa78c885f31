"""Repairs the set of proxies: replaces those that are stuck, removes entries of dead ones.

A proxy that is silent, or not Ready while its Envoy serves on, blocks every advance. It is replaced
only where another proxy has acknowledged the same route: then the fault is the pod's. A pod that
was killed leaves its entry in the status of the route, where there is room for few.
"""

import logging
from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from slipway.api import kinds, names
from slipway.policy.facts import Facts, PodFact, ProxyFact, RouteFact
from slipway.reconcile.ports import Cluster

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

PATIENCE = timedelta(seconds=30)
LEAVES_WITHIN = timedelta(seconds=50)
"""By then a pod that is deleted has ended, or carries only requests that began before; unless its
node no longer answers: nobody waits on."""
REMEMBERED = 1024


class ServingRouters:
    """Tells which router pods carry requests: a weight counts once all of them run it.

    A pod that is not Ready gets no new connections. Its Envoy keeps those that it has, with the
    weights that it took last.
    """

    def __init__(self) -> None:
        self._leaving: dict[str, datetime] = {}
        """By uid: when this operator first saw that the pod is deleted."""

    def find(
        self, pods: Sequence[PodFact], route: RouteFact | None, now: datetime
    ) -> tuple[PodFact, ...]:
        """Return those that are Ready, and those that took a weight of the route and run on."""
        told = route.proxies if route is not None else ()
        took = {proxy.uid for proxy in told if proxy.generation}
        return tuple(
            pod
            for pod in pods
            if pod.address and (pod.ready or (pod.meta.uid in took and self._serves_on(pod, now)))
        )

    def _serves_on(self, pod: PodFact, now: datetime) -> bool:
        if not pod.running or not pod.meta.deleting:
            return pod.running

        since = self._leaving.setdefault(pod.meta.uid, now)
        _forget_oldest(self._leaving)
        return now - since < LEAVES_WITHIN


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

        await self._replace_stuck(facts, facts.route, now)

    async def _replace_stuck(self, facts: Facts, route: RouteFact, now: datetime) -> None:
        silent = set(facts.unacknowledged)
        if not any(pod.ready and pod.meta.name not in silent for pod in facts.proxies):
            return  # none takes the weights: no pod's own fault

        for pod in facts.proxies:
            is_silent = pod.meta.name in silent
            # a pod that is not Ready answers for no generation: its patience outlasts them
            asked = (route.meta.uid, route.generation if pod.ready else 0, pod.meta.uid)
            if (pod.ready and not is_silent) or pod.meta.deleting:
                self._since.pop((route.meta.uid, 0, pod.meta.uid), None)
                continue
            if now - self._since.setdefault(asked, now) < PATIENCE:
                continue

            why = "it does not acknowledge" if is_silent else "it serves on and is not ready"
            log.warning("replacing router pod %s: %s", pod.meta.name, why)
            namespace = facts.metadata.namespace
            await self._cluster.delete(kinds.POD, namespace, pod.meta.name, uid=pod.meta.uid)

        _forget_oldest(self._since)

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


def _forget_oldest(moments: dict[K, datetime]) -> None:
    while len(moments) > REMEMBERED:
        del moments[next(iter(moments))]
