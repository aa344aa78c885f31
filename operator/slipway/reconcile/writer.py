"""The one way to write an object of ours: skipped where it is done, refused where it is foreign.

The object itself shows that it was written: it carries our hash, and our fields were not touched
since. What this process sees for the first time is compared with what it would apply.
"""

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from slipway.api import kinds, names
from slipway.api.base import Manifest
from slipway.engine.managed_fields import owns_all_fields
from slipway.errors import ChangedUnderneath, ConflictError
from slipway.policy.facts import Meta
from slipway.reconcile.ports import Cluster
from slipway.reconcile.projections import hash_manifest, read_meta

NO_STAMP: Mapping[str, str] = MappingProxyType({})
REMEMBERED = 50_000
"""Objects; a forgotten one is compared again when it is seen again."""


class ObjectWriter:
    """Applies and creates objects, and remembers how our fields looked afterwards."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._fields: OrderedDict[str, str] = OrderedDict()
        """Hash of our managedFields entry by uid, after our last apply or the comparison."""

    def has_seen(self, found: Meta | None) -> bool:
        """Return whether an object was applied or compared by this process before."""
        return found is not None and found.uid in self._fields

    def differs(self, found: Meta | None, manifest_hash: str) -> bool:
        """Return whether an object is known to be absent, of another manifest, or touched."""
        if found is None or found.applied_hash != manifest_hash or found.fields_hash is None:
            return True
        return self._fields.get(found.uid, found.fields_hash) != found.fields_hash

    async def is_due(self, manifest: Manifest, found: Meta | None, manifest_hash: str) -> bool:
        """Return whether an object must be applied: absent, of another manifest, or touched.

        What this process has not seen yet may have been touched while no operator looked: it is
        read, and compared with what would be applied.
        """
        if found is None or self.differs(found, manifest_hash):
            return True
        if self.has_seen(found):
            return False

        kind, namespace = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]["namespace"]
        live = await self._cluster.get(kind, namespace, found.name)
        return self.is_due_live(manifest, live, manifest_hash)

    def is_due_live(self, manifest: Manifest, live: Manifest | None, manifest_hash: str) -> bool:
        """Return whether an object must be applied that was read just now."""
        found = read_meta(live) if live is not None else None
        if live is None or found is None or self.differs(found, manifest_hash):
            return True
        if not self.has_seen(found) and not owns_all_fields(live, names.FIELD_MANAGER, manifest):
            return True

        self._remember(found)
        return False

    async def apply_if_due(
        self,
        manifest: Manifest,
        found: Meta | None,
        *,
        of_this_version: bool = False,
        stamp: Mapping[str, str] = NO_STAMP,
    ) -> None:
        """Apply an object unless that is done already.

        `of_this_version`: the version that was read is a precondition of the write.
        """
        manifest_hash = hash_manifest(manifest)
        if not await self.is_due(manifest, found, manifest_hash):
            return

        if of_this_version and found is not None:
            read = {"resourceVersion": found.resource_version}
            manifest = {**manifest, "metadata": {**manifest["metadata"], **read}}

        await self.apply(manifest, manifest_hash, found, stamp=stamp)

    async def apply(
        self,
        manifest: Manifest,
        manifest_hash: str,
        found: Meta | None,
        *,
        stamp: Mapping[str, str] = NO_STAMP,
    ) -> Manifest:
        """Apply an object, and return it as it is now.

        `stamp` has annotations that are written along, but are no reason to write.

        Raises:
            ChangedUnderneath: the object is being deleted, or was created again since it was read.
            ConflictError: the object of this name is not ours.

        """
        if found is not None and found.deleting:
            raise ChangedUnderneath(f"{manifest['kind']} {found.name} is being deleted")

        metadata = manifest["metadata"]
        annotations = (
            metadata.get("annotations", {}) | stamp | {names.ANNOTATION_HASH: manifest_hash}
        )
        marked = {**manifest, "metadata": {**metadata, "annotations": annotations}}

        try:
            applied = await self._cluster.apply(marked, existing_uid=found.uid if found else None)
        except ConflictError as error:
            return await self._adopt_existing(manifest, error)

        self._remember(read_meta(applied))
        return applied

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object whose name identifies its content: one of ours that exists is equal."""
        try:
            return await self._cluster.create(manifest)
        except ConflictError as error:
            return await self._adopt_existing(manifest, error)

    def _remember(self, found: Meta) -> None:
        if found.fields_hash is None:
            return
        self._fields[found.uid] = found.fields_hash
        if len(self._fields) > REMEMBERED:
            self._fields.popitem(last=False)

    async def _adopt_existing(self, manifest: Manifest, error: ConflictError) -> Manifest:
        """Return the object that exists if it is ours: then the cache was only late.

        Raises:
            ChangedUnderneath: it is gone, or is being collected with an earlier object of our name.
            ConflictError: it is not ours.

        """
        metadata = manifest["metadata"]
        kind = kinds.BY_NAME[manifest["kind"]]
        live = await self._cluster.get(kind, metadata["namespace"], metadata["name"])
        if live is None:
            raise ChangedUnderneath(f"{kind.kind} {metadata['name']} is gone again") from error

        found = read_meta(live)
        owners = [owner["uid"] for owner in metadata.get("ownerReferences", ())]
        is_ours = found.owner_uid in owners or (found.managed and not owners)
        if is_ours and not found.deleting:
            return live

        if is_ours or (found.managed and found.owner_uid is not None):
            raise ChangedUnderneath(f"{kind.kind} {found.name} is being collected") from error
        raise ConflictError(
            f"{kind.kind} {metadata['namespace']}/{found.name} exists and is not Slipway's; "
            "rename the ModelDeployment or remove that object"
        ) from error
