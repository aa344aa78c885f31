"""Whether others touched what is ours: the fields that a manager applied, as one hash."""

import hashlib
import json

from slipway.api.base import Manifest


def our_fields_hash(manifest: Manifest, manager: str) -> str | None:
    """Return a hash of the fields that `manager` owns by server-side apply; None: none at all.

    It changes when another manager takes or removes one of them, not when others add their own.
    """
    for entry in manifest.get("metadata", {}).get("managedFields", ()):
        if (
            entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ):
            fields = json.dumps(entry.get("fieldsV1", {}), sort_keys=True, separators=(",", ":"))
            return hashlib.sha256(fields.encode()).hexdigest()[:16]
    return None
