"""A PodDisruptionBudget for every running revision of two or more replicas, and for no other.

A drain then takes one of its pods at a time. With a single replica there is nothing to keep.
"""

from slipway.api import kinds
from slipway.api.names import revision_name
from slipway.policy.facts import Meta
from slipway.reconcile import compose
from slipway.reconcile.ports import Cluster
from slipway.reconcile.project import Plain
from slipway.reconcile.work import Pass
from slipway.reconcile.writer import Writer
from slipway.render.workload import render_pdb

LEAST = 2


class Budgets:
    """Writes the PodDisruptionBudgets of revisions."""

    def __init__(self, cluster: Cluster, writer: Writer) -> None:
        self._cluster = cluster
        self._writer = writer

    async def write(self, pass_: Pass) -> None:
        """Make those that are missing, mend those that were changed, delete the others."""
        object_ = pass_.facts.md
        owner = compose.owner_of(object_)
        found = _found(pass_)
        wanted = {revision_name(owner.name, name): name for name in _wanted(pass_)}
        for name, revision in wanted.items():
            await self._writer.apply_if_due(render_pdb(owner, revision), found.get(name))
        for name, meta in found.items():
            if name not in wanted and not meta.deleting:
                await self._cluster.delete(
                    kinds.POD_DISRUPTION_BUDGET, pass_.namespace, name, uid=meta.uid
                )


def _found(pass_: Pass) -> dict[str, Meta]:
    kind = kinds.POD_DISRUPTION_BUDGET.kind
    return {item.meta.name: item.meta for item in pass_.children.of(Plain) if item.kind == kind}


def _wanted(pass_: Pass) -> list[str]:
    if pass_.facts.spec.scaling.min_replicas < LEAST:
        return []
    known = pass_.facts.revisions
    return [
        name for name, replicas in pass_.decision.replicas.items() if replicas and name in known
    ]
