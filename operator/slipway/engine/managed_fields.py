"""Shows whether others touched our fields: what a manager applied, as one hash."""

import json
from typing import Any

from slipway.api.base import Manifest
from slipway.api.canonical_json import sha256_of

IDENTITY = frozenset({"apiVersion", "kind", "name", "namespace", "uid", "resourceVersion"})
"""What names an object; nobody owns it."""
EMPTY: tuple[Any, ...] = (None, {}, [], "")


def hash_owned_fields(
    manifest: Manifest, manager: str, *, ignored_annotation: str = ""
) -> str | None:
    """Return a hash of the fields that `manager` owns by server-side apply; None: none at all.

    It changes when another manager takes or removes one of them, not when others add their own.
    `ignored_annotation` does not count: we set it by other requests as well.
    """
    fields = _applied_fields(manifest, manager)
    if fields is None:
        return None
    return sha256_of(_without_annotation(fields, f"f:{ignored_annotation}"))[:16]


def owns_all_fields(manifest: Manifest, manager: str, applied: Manifest) -> bool:
    """Return whether `manager` still owns by server-side apply every field that it applied.

    Whoever changes or removes a field takes it from its owner, so that a field which is owned has
    the value that was applied, in whatever way the API server spells it.
    """
    fields = _applied_fields(manifest, manager)
    wanted = {key: value for key, value in applied.items() if key not in IDENTITY}
    metadata = applied.get("metadata", {})
    wanted["metadata"] = {key: value for key, value in metadata.items() if key not in IDENTITY}
    return fields is not None and _covers(fields, wanted)


def _applied_fields(manifest: Manifest, manager: str) -> Manifest | None:
    """Return the fields that `manager` owns by server-side apply, as `fieldsV1` has them."""
    for entry in manifest.get("metadata", {}).get("managedFields", ()):
        is_ours = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if is_ours and not entry.get("subresource"):
            fields: Manifest = entry.get("fieldsV1", {})
            return fields

    return None


def _covers(fields: Manifest, value: Any) -> bool:
    """Return whether the fields are those of the value; what is empty needs none."""
    if not fields or value in EMPTY:
        return True  # a field without parts is owned as a whole
    if isinstance(value, dict):
        return all(
            part in EMPTY or (f"f:{key}" in fields and _covers(fields[f"f:{key}"], part))
            for key, part in value.items()
        )
    if isinstance(value, list):
        return all(_covers_item(fields, item) for item in value)
    return True


def _covers_item(fields: Manifest, item: Any) -> bool:
    """Return whether the fields of a list have the item, by its key or by its value."""
    for name, below in fields.items():
        kind, _, text = name.partition(":")
        if kind == "v" and json.loads(text) == item:
            return True
        if kind == "k" and isinstance(item, dict) and _has_key(item, json.loads(text)):
            return _covers(below, item)
    return False


def _has_key(item: Manifest, key: Manifest) -> bool:
    """Return whether an item has this key; a part that it leaves out is the server's default."""
    return all(item.get(name, value) == value for name, value in key.items())


def _without_annotation(fields: Manifest, annotation: str) -> Manifest:
    metadata = fields.get("f:metadata", {})
    annotations = metadata.get("f:annotations", {})
    if annotation not in annotations:
        return fields
    kept = {name: value for name, value in annotations.items() if name != annotation}
    return {**fields, "f:metadata": {**metadata, "f:annotations": kept}}
