"""Shows whether others touched our fields: what a manager applied, as one hash."""

from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of


def hash_owned_fields(
    manifest: Manifest, manager: str, *, ignored_annotation: str = ""
) -> str | None:
    """Return a hash of the fields that `manager` owns by server-side apply; None: none at all.

    It changes when another manager takes or removes one of them, not when others add their own.
    `ignored_annotation` does not count: we set it by other requests as well.
    """
    for entry in manifest.get("metadata", {}).get("managedFields", ()):
        is_ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if is_ours and not entry.get("subresource"):
            fields = _without_annotation(entry.get("fieldsV1", {}), f"f:{ignored_annotation}")
            return sha256_of(fields)[:16]

    return None


def _without_annotation(fields: Manifest, annotation: str) -> Manifest:
    metadata = fields.get("f:metadata", {})
    annotations = metadata.get("f:annotations", {})
    if annotation not in annotations:
        return fields
    kept = {name: value for name, value in annotations.items() if name != annotation}
    return {**fields, "f:metadata": {**metadata, "f:annotations": kept}}
