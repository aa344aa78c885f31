"""What a clone of the repository sees of a cluster: the files in `.cluster/`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import settings

DIRECTORY = f".cluster{settings.NUMBER or ''}"
KUBECONFIG = "kubeconfig"
DESCRIPTION = "cluster.json"
_MADE = (KUBECONFIG, DESCRIPTION, "bin/kubectl", "bin/helm")


@dataclass(frozen=True, slots=True)
class Access:
    """How to use a cluster, whatever its kind."""

    kind: str
    """`existing`, `kind` or `single-node`."""
    kubeconfig: str
    """Text of the kubeconfig, with its keys."""
    kubectl: Path
    helm: Path
    registry: str | None
    """Host and port under which host, pods and nodes reach the registry; None without one."""
    details: dict[str, Any]
    """What only this kind of cluster has."""


def publish(root: Path, access: Access) -> Path:
    """Write the files and return the path of the kubeconfig."""
    directory = root / DIRECTORY
    (directory / "bin").mkdir(parents=True, exist_ok=True)
    kubeconfig = directory / KUBECONFIG
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(access.kubeconfig)
    _link(directory / "bin/kubectl", access.kubectl)
    _link(directory / "bin/helm", access.helm)
    description = {"kind": access.kind, "registry": access.registry} | access.details
    (directory / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n")
    return kubeconfig


def description(root: Path) -> dict[str, Any] | None:
    """Return what `publish` wrote, or None where no cluster was made."""
    try:
        return dict(json.loads((root / DIRECTORY / DESCRIPTION).read_text()))
    except FileNotFoundError:
        return None


def forget(root: Path) -> None:
    """Remove the files that `publish` wrote, and nothing else that lies there."""
    directory = root / DIRECTORY
    for name in _MADE:
        (directory / name).unlink(missing_ok=True)
    for emptied in (directory / "bin", directory):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)
