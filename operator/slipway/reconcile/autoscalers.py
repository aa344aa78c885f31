"""Writes the HorizontalPodAutoscalers of revisions, so that one alone writes `replicas`.

A Deployment's number stays when its writer changes, because nobody ever gives the field back: who
stops writing it leaves the number behind, and the next one begins from there. Ours are gone before
Slipway writes, and before a revision loses its pods.
"""

from slipway.api import kinds
from slipway.api.modeldeployment import ScalingEngine
from slipway.policy.facts import AutoscalerFact
from slipway.reconcile import compose
from slipway.reconcile.ports import Cluster
from slipway.reconcile.work import Pass
from slipway.reconcile.writer import Writer
from slipway.render.autoscaler import Autoscaler, render_autoscaler


class Autoscalers:
    """Writes HorizontalPodAutoscalers."""

    def __init__(self, cluster: Cluster, writer: Writer) -> None:
        self._cluster = cluster
        self._writer = writer

    async def remove(self, pass_: Pass) -> None:
        """Delete those that must not write any more."""
        wanted = live(pass_)
        for found in pass_.children.of(AutoscalerFact):
            if found.revision not in wanted:
                name, uid = found.meta.name, found.meta.uid
                kind = kinds.HORIZONTAL_POD_AUTOSCALER
                await self._cluster.delete(kind, pass_.namespace, name, uid=uid)

    async def write(self, pass_: Pass) -> None:
        """Apply those of live revisions whose Deployments exist."""
        object_ = pass_.facts.md
        found = {item.revision: item.meta for item in pass_.children.of(AutoscalerFact)}
        for revision in sorted(live(pass_) & pass_.facts.workloads.keys()):
            spec = Autoscaler(
                owner=compose.owner_of(object_),
                revision=revision,
                scaling=object_.spec.scaling,
                least=pass_.decision.floors[revision],
            )
            await self._writer.apply_if_due(render_autoscaler(spec), found.get(revision))


def live(pass_: Pass) -> set[str]:
    """Return the revisions that a HorizontalPodAutoscaler scales."""
    if pass_.facts.spec.scaling.engine is not ScalingEngine.HPA:
        return set()
    return set(pass_.decision.floors)
