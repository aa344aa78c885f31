"""Writes the HorizontalPodAutoscalers of revisions, so that `replicas` has one writer at a time.

The number of replicas survives a change of its writer, because the field is never released: the old
writer leaves its number behind, and the new one starts from it. Our autoscalers are gone before
Slipway writes, and before a revision loses its pods.
"""

from slipway.api import kinds
from slipway.api.modeldeployment import ScalingEngine
from slipway.policy.facts import AutoscalerFact
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.ports import Cluster
from slipway.reconcile.writer import ObjectWriter
from slipway.render.autoscaler import AutoscalerSpec, render_autoscaler


class AutoscalerWriter:
    """Writes HorizontalPodAutoscalers."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter) -> None:
        self._cluster = cluster
        self._writer = writer

    async def remove(self, decided: Decided) -> None:
        """Delete the autoscalers that must not write any more."""
        wanted = autoscaled_revisions(decided)
        for found in decided.children.of(AutoscalerFact):
            if found.revision not in wanted:
                name, uid = found.meta.name, found.meta.uid
                kind = kinds.HORIZONTAL_POD_AUTOSCALER
                await self._cluster.delete(kind, decided.namespace, name, uid=uid)

    async def write(self, decided: Decided) -> None:
        """Apply the autoscalers of live revisions whose Deployments exist."""
        md = decided.facts.md
        found = {item.revision: item.meta for item in decided.children.of(AutoscalerFact)}
        for revision in sorted(autoscaled_revisions(decided) & decided.facts.workloads.keys()):
            other = decided.facts.autoscalers.get(revision)
            if other is not None and other.is_kedas:
                continue  # two autoscalers of one Deployment stop each other
            spec = AutoscalerSpec(
                owner=render_inputs.owner_of(md),
                revision=revision,
                scaling=md.spec.scaling,
                least=decided.decision.floors[revision],
            )
            await self._writer.apply_if_due(render_autoscaler(spec), found.get(revision))


def autoscaled_revisions(decided: Decided) -> set[str]:
    """Return the revisions that a HorizontalPodAutoscaler scales."""
    if decided.facts.spec.scaling.engine is not ScalingEngine.HPA:
        return set()
    return set(decided.decision.floors)
