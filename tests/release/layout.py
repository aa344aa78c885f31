"""An OCI layout with several artifacts, written blob by blob."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.bundle.archive import REFERENCE
from slipway.jobs.registry.media_types import OCI_INDEX, OCI_MANIFEST

Descriptor = dict[str, Any]


@dataclass(slots=True)
class Layout:
    """A directory as the OCI image layout has it."""

    directory: Path
    entries: list[Descriptor] = field(default_factory=list)

    def adopt(self, other: Path, name: str) -> Descriptor:
        """Take over the one artifact of another layout, under a new name."""
        (found,) = json.loads((other / "index.json").read_text())["manifests"]
        for blob in sorted((other / "blobs/sha256").iterdir()):
            target = self._path(f"sha256:{blob.name}")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(blob, target)
        return self._name(found, name)

    def add(self, config: bytes, config_type: str, layer: Path, layer_type: str, name: str) -> str:
        """Write an artifact of one layer, such as a chart, and return its digest."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self._write(config, config_type),
            "layers": [self._write(layer.read_bytes(), layer_type)],
        }
        found = self._write(json.dumps(manifest, separators=(",", ":")).encode(), OCI_MANIFEST)
        digest: str = self._name(found, name)["digest"]
        return digest

    def finish(self) -> None:
        """Write what makes the directory a layout; readers look at this last."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": self.entries}
        (self.directory / "index.json").write_text(json.dumps(index, indent=2) + "\n")

    def json(self, digest: str) -> Any:
        """Return a blob that is JSON."""
        return json.loads(self._path(digest).read_bytes())

    def path(self, descriptor: Mapping[str, Any]) -> Path:
        """Return the file of a blob."""
        return self._path(descriptor["digest"])

    def _name(self, found: Descriptor, name: str) -> Descriptor:
        entry = {key: found[key] for key in ("mediaType", "digest", "size")}
        entry["annotations"] = {REFERENCE: name}
        self.entries.append(entry)
        return entry

    def _write(self, data: bytes, media_type: str) -> Descriptor:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def _path(self, digest: str) -> Path:
        return self.directory / "blobs" / digest.replace(":", "/")
