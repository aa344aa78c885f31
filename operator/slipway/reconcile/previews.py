"""Writes the preview Service of strategy BlueGreen, and takes it away with the strategy."""

from slipway.api import kinds, names
from slipway.errors import ConflictError
from slipway.policy.preview import find_previewed
from slipway.reconcile import render_inputs
from slipway.reconcile.decided import Decided
from slipway.reconcile.observe import find_service
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import read_meta
from slipway.reconcile.writer import ObjectWriter
from slipway.render.routing import render_preview_service


class PreviewWriter:
    """Writes preview Services."""

    def __init__(self, cluster: Cluster, writer: ObjectWriter) -> None:
        self._cluster = cluster
        self._writer = writer

    async def write(self, decided: Decided) -> None:
        """Lead the preview to the revision that it is to show; delete it where there is none."""
        owner = render_inputs.owner_of(decided.facts.md)
        name = names.preview_name(owner.name)
        found = find_service(decided.children, name)

        shown = find_previewed(decided.decision, decided.facts)
        if shown is None:
            if found is not None and not found.meta.deleting:
                await self._cluster.delete(
                    kinds.SERVICE, decided.namespace, name, uid=found.meta.uid
                )
            return
        if found is None:
            await self._refuse_foreign(decided, name)
        protocols = decided.facts.revisions[shown].snapshot.protocols
        service = render_preview_service(owner, shown, protocols)
        await self._writer.apply_if_due(service, found.meta if found else None)

    async def _refuse_foreign(self, decided: Decided, name: str) -> None:
        """Leave the Service of another model alone, which may well have that name.

        Raises:
            ConflictError: there is one.

        """
        live = await self._cluster.get(kinds.SERVICE, decided.namespace, name)
        owner = read_meta(live).owner_uid if live is not None else None
        if live is not None and owner != decided.facts.metadata.uid:
            raise ConflictError(f"Service {name} exists and belongs to another object")
