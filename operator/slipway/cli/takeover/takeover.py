"""A ModelDeployment that is being written, and what of the old object is not in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.api.names import API_VERSION
from slipway.cli.kubectl import Manifest

UNKNOWN_SOURCE = "CHANGE-ME"
"""A uri that the API server refuses, where the old object does not tell where the model lies."""
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field of the old object that has no place in the new one."""

    field: str
    """Its path in the old object."""
    reason: str


@dataclass(slots=True)
class Takeover:
    """What is known so far."""

    origin: str
    """``kind/name`` of the old object."""
    name: str
    namespace: str
    spec: dict[str, Any] = field(default_factory=dict)
    left: list[LeftOut] = field(default_factory=list)
    services: list[str] = field(default_factory=list)
    """Services that clients call today."""

    def put(self, path: str, value: object) -> None:
        """Set a field of the spec by its dotted path; nothing and empty values are left out."""
        if value is None or (isinstance(value, dict | list) and not value):
            return
        *parents, last = path.split(".")
        place = self.spec
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value

    def leave(self, path: str, reason: str) -> None:
        """Note that a field of the old object is not taken over."""
        self.left.append(LeftOut(path, reason))

    def leave_others(self, old: Mapping[str, Any], known: set[str], path: str, reason: str) -> None:
        """Note every field that is not one of the known ones."""
        for name in sorted(set(old) - known):
            self.leave(f"{path}.{name}", reason)

    def manifest(self) -> Manifest:
        """Return the ModelDeployment."""
        return {
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self.spec,
        }


def begin_takeover(old: Mapping[str, Any]) -> Takeover:
    """Return an empty draft for an object.

    Its name is that of the old one with ``-slipway``: the Service of the old name stays as it is
    until its clients are moved.
    """
    metadata = old["metadata"]
    name = metadata["name"]
    draft = Takeover(
        origin=f"{old['kind']}/{name}",
        name=f"{name[: LONGEST_NAME - len('-slipway')].rstrip('-')}-slipway",
        namespace=metadata.get("namespace", "default"),
    )
    version = metadata.get("labels", {}).get("app.kubernetes.io/version", "1")
    draft.put("model.version", version)
    return draft
