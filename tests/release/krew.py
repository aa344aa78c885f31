"""The manifest by which ``kubectl krew install --manifest`` finds the program."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from slipway import __version__

from tests.release.provenance import digest_of


def krew_manifest(programs: Mapping[str, Path], downloads: str) -> str:
    """Return the manifest for programs by platform, such as ``linux-amd64``.

    `downloads` is the address under which the files of this release lie.
    """
    described = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "slipway"},
        "spec": {
            "version": f"v{__version__}",
            "shortDescription": "Look at model rollouts, and control them",
            "description": "Shows why a model's version is where it is; moves rollouts on.\n",
            "caveats": "Needs Python 3.11 or newer.\n",
            "homepage": downloads,
            "platforms": [_platform(name, path, downloads) for name, path in programs.items()],
        },
    }
    return yaml.safe_dump(described, sort_keys=False)


def _platform(name: str, path: Path, downloads: str) -> dict[str, object]:
    system, _, architecture = name.partition("-")
    return {
        "selector": {"matchLabels": {"os": system, "arch": architecture}},
        "uri": f"{downloads}/{path.name}",
        "sha256": digest_of(path),
        "files": [{"from": path.name, "to": "kubectl-slipway"}],
        "bin": "kubectl-slipway",
    }
