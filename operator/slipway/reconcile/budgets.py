"""Writes a PodDisruptionBudget for each running revision of two or more replicas, and no other.

A drain then takes one of its pods at a time. A single replica cannot be protected from a drain.
"""

from slipway.api import kinds
from slipway.api.names import revision_name
from slipway.policy.facts import Meta
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import PlainObject
from slipway.reconcile.writer import ObjectWriter
from slipway.render.workload import render_pdb

LEAST = 2


class BudgetWriter:
    """Writes the PodDisruptionBudgets of revisions."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter) -> None:
        self._cluster = cluster
        self._writer = writer

    async def write(self, decided: Decided) -> None:
        """Create budgets that are missing, restore changed ones, delete the others."""
        md = decided.facts.md
        owner = render_inputs.owner_of(md)
        found = _existing_budgets(decided)
        wanted = {revision_name(owner.name, name): name for name in _protected_revisions(decided)}
        for name, revision in wanted.items():
            await self._writer.apply_if_due(render_pdb(owner, revision), found.get(name))

        for name, meta in found.items():
            if name not in wanted and not meta.deleting:
                await self._cluster.delete(
                    kinds.POD_DISRUPTION_BUDGET, decided.namespace, name, uid=meta.uid
                )


def _existing_budgets(decided: Decided) -> dict[str, Meta]:
    kind = kinds.POD_DISRUPTION_BUDGET.kind
    return {
        item.meta.name: item.meta for item in decided.children.of(PlainObject) if item.kind == kind
    }


def _protected_revisions(decided: Decided) -> list[str]:
    if decided.facts.spec.scaling.min_replicas < LEAST:
        return []
    known = decided.facts.revisions
    return [
        name for name, replicas in decided.decision.replicas.items() if replicas and name in known
    ]
