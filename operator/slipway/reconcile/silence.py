"""Router pods that stay silent: they block advances, so after a while they are replaced.

A pod goes only where another proxy has acknowledged the same route: the fault is then the pod's.
"""

import logging
from datetime import datetime, timedelta

from slipway.api import kinds
from slipway.policy.facts import Facts
from slipway.reconcile.ports import Cluster

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=30)
REMEMBERED = 1024


class Silence:
    """Remembers since when a proxy has been asked in vain; a restart only begins to wait anew."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._since: dict[tuple[str, int, str], datetime] = {}

    async def heal(self, facts: Facts, now: datetime) -> None:
        """Delete the router pods that did not acknowledge in time while others did."""
        route = facts.route
        if route is None or not facts.unacknowledged:
            return
        if len(facts.unacknowledged) == len(facts.proxies):
            return
        for pod in facts.proxies:
            if pod.meta.name not in facts.unacknowledged or pod.meta.deleting:
                continue
            mark = (route.meta.uid, route.generation, pod.meta.uid)
            if now - self._since.setdefault(mark, now) < PATIENCE:
                continue
            log.warning("router pod %s is silent and is replaced", pod.meta.name)
            await self._cluster.delete(
                kinds.POD,
                facts.object.metadata.namespace,
                pod.meta.name,
                uid=pod.meta.uid,
            )
        while len(self._since) > REMEMBERED:
            del self._since[next(iter(self._since))]
