"""The files that Envoy watches: replaced by rename, and only where the content changed."""

import json
from collections.abc import Mapping
from pathlib import Path

from slipway.api.base import Manifest


class Files:
    """Writes into the directory that agent and Envoy share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._versions: dict[str, str] = {}

    @property
    def versions(self) -> Mapping[str, str]:
        """The version of each discovery file as written."""
        return self._versions

    def write(self, name: str, document: Manifest) -> bool:
        """Write a discovery document; return whether the file changed."""
        version = str(document["version_info"])
        if self._versions.get(name) == version:
            return False
        changed = self._read_version(name) != version
        if changed:
            self.replace(name, document)
        self._versions[name] = version
        return changed

    def replace(self, name: str, document: Manifest) -> None:
        """Replace a file by rename, so that no reader ever sees half of it."""
        hidden = self.directory / f".{name}"
        hidden.write_text(json.dumps(document, separators=(",", ":")))
        hidden.rename(self.directory / name)

    def _read_version(self, name: str) -> str | None:
        """An agent that ran here before may have written the same."""
        try:
            found = json.loads((self.directory / name).read_text())
            return str(found["version_info"])
        except (OSError, ValueError, KeyError):
            return None
