"""Which manager owns which field: server-side apply, as far as Slipway relies on it.

A field is a path to a scalar, an empty map or a list; lists are taken as a whole.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from slipway.api.base import Manifest

Path = tuple[str, ...]
Owner = tuple[str, str, str]
"""Manager, operation and subresource."""
Owners = dict[Owner, frozenset[Path]]

OF_THE_SERVER = frozenset(
    {
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
    }
)


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Return the fields of a value."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[Path, Any] = {}
    for key, child in value.items():
        found.update(leaves(child, (*path, key)))
    return found


def owned_leaves(manifest: Manifest, subresource: str = "") -> dict[Path, Any]:
    """Return the fields of an object that a manager can own through a (sub)resource."""
    found = {}
    for path, value in leaves(manifest).items():
        if path[0] in {"apiVersion", "kind"} or (path[0] == "status") != (subresource == "status"):
            continue
        if path[0] == "metadata" and (len(path) == 1 or path[1] in OF_THE_SERVER):
            continue
        found[path] = value
    return found


def conflicts(
    owners: Owners, present: Mapping[Path, Any], wanted: Mapping[Path, Any], me: Owner
) -> list[Path]:
    """Return the fields that others own with another value."""
    return [
        path
        for path, value in wanted.items()
        if present.get(path) != value
        and any(path in paths for owner, paths in owners.items() if owner != me)
    ]


def applied(
    manifest: Manifest, owners: Owners, wanted: Mapping[Path, Any], me: Owner
) -> tuple[Manifest, Owners]:
    """Return object and owners after a forced apply; the arguments are not changed."""
    present = leaves(manifest)
    changed = {path for path, value in wanted.items() if present.get(path) != value}
    after = _without(owners, changed, but=me)
    others = {path for owner, paths in after.items() if owner != me for path in paths}

    for path in after.get(me, frozenset()) - wanted.keys() - others:
        manifest = without(manifest, path)
    for path in changed:
        manifest = put(manifest, path, wanted[path])

    after[me] = frozenset(wanted)
    return manifest, after


def updated(owners: Owners, before: Manifest, after: Manifest, me: Owner) -> Owners:
    """Return the owners after `me` changed the object without apply."""
    old, new = leaves(before), leaves(after)
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    changed = {path for path in changed if path[:2] != ("metadata", "managedFields")}
    left = _without(owners, changed, but=me)
    mine = owned_leaves(after, me[2]).keys() & changed
    left[me] = (left.get(me, frozenset()) - changed) | frozenset(mine)
    return left


def _without(owners: Owners, changed: set[Path], *, but: Owner) -> Owners:
    return {
        owner: paths if owner == but else paths - frozenset(changed)
        for owner, paths in owners.items()
    }


def managed_fields(owners: Owners) -> list[Manifest]:
    """Return metadata.managedFields, without times."""
    entries = []
    for (manager, operation, subresource), paths in sorted(owners.items()):
        if not paths:
            continue
        entry = {"manager": manager, "operation": operation, "fieldsV1": _nested(paths)}
        entries.append({**entry, "subresource": subresource} if subresource else entry)
    return entries


def _nested(paths: Iterable[Path]) -> Manifest:
    root: Manifest = {}
    for path in sorted(paths):
        node = root
        for key in path:
            node = node.setdefault(f"f:{key}", {})
    return root


def put(manifest: Manifest, path: Path, value: Any) -> Manifest:
    """Return the object with a field set."""
    below = manifest.get(path[0])
    if len(path) > 1:
        value = put(below if isinstance(below, dict) else {}, path[1:], value)
    elif value == {} and isinstance(below, dict):
        return manifest
    return {**manifest, path[0]: value}


def without(manifest: Manifest, path: Path) -> Manifest:
    """Return the object without a field, and without the maps that this leaves empty."""
    rest = {key: value for key, value in manifest.items() if key != path[0]}
    below = manifest.get(path[0])
    if len(path) > 1 and isinstance(below, dict) and (left := without(below, path[1:])):
        return {**rest, path[0]: left}
    return rest


def merged(target: Manifest, patch: Manifest) -> Manifest:
    """Return the JSON merge patch of an object; neither argument is changed."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            result[key] = value
    return result
