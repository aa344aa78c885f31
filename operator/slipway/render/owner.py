"""The owner of rendered objects: the reference to it, and the objects that are deleted with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import MODEL_DEPLOYMENT, Kind


@dataclass(frozen=True, slots=True)
class Owner:
    """The ModelDeployment that an object belongs to."""

    name: str
    namespace: str
    uid: str

    def render_child(
        self, kind: Kind, name: str, labels: Mapping[str, str], **content: Any
    ) -> Manifest:
        """Return an object in the owner's namespace that is deleted with the owner."""
        references = [controller_reference(MODEL_DEPLOYMENT, self.name, self.uid)]
        metadata = {"labels": labels, "ownerReferences": references}
        return kind.manifest(self.namespace, name, metadata=metadata, **content)

    def render_child_of_revision(self, kind: Kind, revision: str, spec: Manifest) -> Manifest:
        """Return the object of a kind that belongs to one revision: it has the revision's name."""
        labels = names.common_labels(self.name, names.COMPONENT_SERVER, revision)
        return self.render_child(kind, names.revision_name(self.name, revision), labels, spec=spec)


def controller_reference(kind: Kind, name: str, uid: str) -> Manifest:
    """Return the owner reference of the one object that controls another."""
    return {**kind.type_meta, "name": name, "uid": uid, "controller": True}
