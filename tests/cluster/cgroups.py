"""The cgroup above all pods: made before the kubelet starts, removed with what pods left in it."""

import time
from pathlib import Path

from tests.cluster import settings
from tests.cluster.errors import ClusterError
from tests.cluster.layout import CGROUPS

_UNIFIED = CGROUPS / "cgroup.controllers"
_REMOVE_SECONDS = 20.0
_SHARES = {"cpu.shares": "2048", "cpu.weight": "200"}
"""Of the processor's time where it is short: twice the kernel's default, by version of cgroups.
What users ask goes before tests that need no cluster, which run beside it."""


def make() -> None:
    """Make our cgroup under every controller, with processors and memory nodes to use."""
    for hierarchy in hierarchies():
        if (hierarchy / "cgroup.subtree_control").exists():
            _delegate(hierarchy)
        group = hierarchy / settings.CGROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy.name == "cpuset" and not (group / name).read_text().strip():
                (group / name).write_text((hierarchy / name).read_text())
        for name, shares in _SHARES.items():
            if (group / name).exists():
                (group / name).write_text(shares)


def remove() -> bool:
    """Remove our cgroups, deepest first; False when there were none.

    Raises:
        ClusterError: a process still lives in one of them.

    """
    found = [path for path in _ours() if path.exists()]
    for group in found:
        _remove_tree(group)
    return bool(found)


def hierarchies() -> list[Path]:
    """Return the roots: one in version 2, one per controller in version 1."""
    if _UNIFIED.exists():
        return [CGROUPS]
    # Several controllers may share one mount under two names, one of them a link.
    return [path for path in sorted(CGROUPS.iterdir()) if path.is_dir() and not path.is_symlink()]


def _ours() -> list[Path]:
    return [hierarchy / settings.CGROUP for hierarchy in hierarchies()]


def _delegate(hierarchy: Path) -> None:
    offered = (hierarchy / "cgroup.controllers").read_text().split()
    if offered:
        (hierarchy / "cgroup.subtree_control").write_text(" ".join(f"+{one}" for one in offered))


def _remove_tree(group: Path) -> None:
    below = [path for path in group.rglob("*") if path.is_dir()]
    for path in [*sorted(below, key=lambda path: -len(path.parts)), group]:
        _remove_one(path)


def _remove_one(path: Path) -> None:
    """Processes that were killed a moment ago may still hold it."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"cannot remove the cgroup {path}: {error}") from error
            time.sleep(0.1)
        else:
            return
