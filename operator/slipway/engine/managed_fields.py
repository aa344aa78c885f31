"""Whether others touched what is ours: the fields that a manager applied, as one hash."""

from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of


def hash_owned_fields(manifest: Manifest, manager: str, *, beside: str = "") -> str | None:
    """Return a hash of the fields that `manager` owns by server-side apply; None: none at all.

    It changes when another manager takes or removes one of them, not when others add their own.
    The annotation `beside` does not count: we too set it in other ways.
    """
    for entry in manifest.get("metadata", {}).get("managedFields", ()):
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields = _without(entry.get("fieldsV1", {}), f"f:{beside}")
            return sha256_of(fields)[:16]
    return None


def _without(fields: Manifest, annotation: str) -> Manifest:
    metadata = fields.get("f:metadata", {})
    annotations = metadata.get("f:annotations", {})
    if annotation not in annotations:
        return fields
    kept = {name: value for name, value in annotations.items() if name != annotation}
    return {**fields, "f:metadata": {**metadata, "f:annotations": kept}}
