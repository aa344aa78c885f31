"""In which versions an API server keeps objects: in etcd, and in their managed fields. Pure."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.api.names import GROUP

Manifest = dict[str, Any]
Patch = list[Manifest]

KEEPERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Marks of tools that would take back what another changes."""


def stored_version(crd: Manifest) -> str:
    """Return the version in which new writes of a CRD's objects are stored."""
    return next(str(it["name"]) for it in crd["spec"]["versions"] if it["storage"])


def find_keeper(crd: Manifest) -> str | None:
    """Return the tool that keeps a CRD as its repository has it, or None."""
    metadata = crd["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return next((tool for mark, tool in KEEPERS.items() if mark in marks), None)


def storage_version_hash(version: str, kind: str) -> str:
    """Return what discovery says of a kind that is stored in this version."""
    digest = hashlib.sha256(f"{GROUP}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def choose_storage(crd: Manifest, version: str) -> Patch:
    """Return the JSON patch of a CRD that makes `version` the stored one."""
    changes = [
        {"op": "replace", "path": f"/spec/versions/{index}/storage", "value": it["name"] == version}
        for index, it in enumerate(crd["spec"]["versions"])
    ]
    return [_as_read(crd), *changes]


def give_back_ownership(changed: Manifest, before: Manifest) -> Patch:
    """Return the JSON patch that leaves a CRD to whoever owned its fields before.

    Else the next apply of who installed it would be refused for a conflict.
    """
    owners = before["metadata"].get("managedFields", [])
    return [_as_read(changed), _replace_owners(owners)]


def forget_other_versions(crd: Manifest, version: str) -> Patch:
    """Return the JSON patch of a CRD's status: nothing is stored otherwise any more.

    It fails where somebody chose another version meanwhile: objects that are stored in a version
    that a CRD has lost cannot be read.
    """
    index = [it["name"] for it in crd["spec"]["versions"]].index(version)
    return [
        {"op": "test", "path": f"/spec/versions/{index}/name", "value": version},
        {"op": "test", "path": f"/spec/versions/{index}/storage", "value": True},
        {"op": "replace", "path": "/status/storedVersions", "value": [version]},
    ]


def rewrite(manifest: Manifest, version: str) -> Patch:
    """Return the JSON patch that has an object stored anew, its fields owned in `version` alone.

    Where both are so already, it changes nothing, and the API server writes nothing. An owner in a
    version that is not served any more makes every server-side apply of the object fail.
    """
    owners = manifest["metadata"].get("managedFields", [])
    moved = move_owners(owners, version)
    return [_as_read(manifest), *([_replace_owners(moved)] if moved != owners else [])]


def move_owners(owners: Sequence[Manifest], version: str) -> list[Manifest]:
    """Return managed fields with all of our versions written as `version`.

    One manager may have updated an object through both: its fields are joined, because of two
    entries that differ in nothing else the API server keeps one.
    """
    moved: dict[tuple[str, ...], Manifest] = {}
    for entry in owners:
        api_version = entry["apiVersion"]
        if api_version.partition("/")[0] == GROUP:
            api_version = f"{GROUP}/{version}"
        keys = (entry.get("manager", ""), entry["operation"], entry.get("subresource", ""))
        place = (*keys, api_version)

        fields = entry.get("fieldsV1", {})
        if place in moved:
            fields = _join(moved[place]["fieldsV1"], fields)
        moved[place] = {**moved.get(place, entry), "apiVersion": api_version, "fieldsV1": fields}
    return list(moved.values())


def _join(one: Mapping[str, Any], other: Mapping[str, Any]) -> Manifest:
    return {key: _join(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}


def _as_read(manifest: Manifest) -> Manifest:
    version = manifest["metadata"]["resourceVersion"]
    return {"op": "test", "path": "/metadata/resourceVersion", "value": version}


def _replace_owners(owners: Sequence[Manifest]) -> Manifest:
    return {"op": "replace", "path": "/metadata/managedFields", "value": list(owners)}
