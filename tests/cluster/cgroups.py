"""The cgroup above all pods: made before the kubelet starts, removed with what pods left in it.

On a node of a size it holds the daemons too, each in a cgroup of its own, and has a limit.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import settings
from tests.cluster.errors import ClusterError
from tests.cluster.layout import CGROUPS

_UNIFIED = CGROUPS / "cgroup.controllers"
_REMOVE_SECONDS = 20.0
_SHARES = {"cpu.shares": "2048", "cpu.weight": "200"}
"""Of the processor's time where it is short: twice the kernel's default, by version of cgroups.
What users ask goes before tests that need no cluster, which run beside it."""
_COUNTED = ("memory", "cpuacct")
"""Controllers of version 1 that say what a daemon takes."""
_LIMITS = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.max", "memory.swap.max")
"""By version of cgroups. In version 1 the second is of memory and swap together."""


def make(daemons: Iterable[str] = ()) -> None:
    """Make our cgroup under every controller, with processors and memory nodes to use.

    `daemons` are the names of those that get cgroups of their own below it.
    """
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

    if settings.NODE_MIB:
        _limit(settings.NODE_MIB)
    for name in daemons:
        for group in groups_of(name):
            group.mkdir(parents=True, exist_ok=True)


def groups_of(daemon: str) -> list[Path]:
    """Return the cgroups of a daemon that has its own, one per hierarchy."""
    return [group / settings.DAEMONS / daemon for group in _counted()]


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


def _counted() -> list[Path]:
    if _UNIFIED.exists():
        return _ours()
    return [CGROUPS / controller / settings.CGROUP for controller in _COUNTED]


def _limit(mebibytes: int) -> None:
    """Let all that runs in our cgroup have so much memory together, and no swap beside it."""
    for group in _counted():
        for name in _LIMITS:
            if (group / name).exists():
                (group / name).write_text("0" if "swap" in name else str(mebibytes * 2**20))
        if (group / "cgroup.subtree_control").exists():
            _delegate(group)
            (group / settings.DAEMONS).mkdir(exist_ok=True)
            _delegate(group / settings.DAEMONS)


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
