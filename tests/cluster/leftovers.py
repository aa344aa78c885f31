"""Removes what a cluster made on the machine, in whatever state its end left it."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster import cgroups, clone, inside, mountpoints, network, owner, process, settings
from tests.cluster.layout import PLAN

_MOUNTS = Path("/proc/self/mountinfo")


def remove_leftovers(found: owner.Owner | None) -> bool:
    """Remove the cluster and all its traces; False when there were none.

    The state directory, which says what else to remove, goes last: a removal cut short can be
    done again.

    Raises:
        ClusterError: something could not be removed; says what.

    """
    removed = [
        bool(found and found.init and process.kill_process(found.init)),
        _kill_unrecorded(),
        detach_node(),
        mountpoints.remove(),
    ]
    for user in found.users if found else ():
        clone.forget(Path(user))
    if settings.STATE.exists():
        shutil.rmtree(settings.STATE)
        removed.append(True)
    return any(removed)


def detach_node() -> bool:
    """Remove what outlives the node's processes outside its directory; False if nothing did."""
    return any([network.disconnect(), cgroups.remove(), _unmount()])


def mounts_below(mountinfo: str, directory: Path) -> list[str]:
    """Return the mount points in or below `directory`, deepest first; see proc(5)."""
    points = (line.split()[4] for line in mountinfo.splitlines())
    ours = (point for point in points if Path(point).is_relative_to(directory))
    return sorted(ours, key=len, reverse=True)


def _kill_unrecorded() -> bool:
    """Kill a node whose state directory, and so its record, was removed by hand."""
    nodes = process.find_processes(("-m", inside.__name__, str(settings.STATE / PLAN)))
    for identity in nodes:
        process.kill_process(identity)
    return bool(nodes)


def _unmount() -> bool:
    """The node mounts in a namespace of its own, but there may be mounts made by hand."""
    points = mounts_below(_MOUNTS.read_text(), settings.STATE)
    for point in points:
        subprocess.run(["umount", "--lazy", point], check=True)
    return bool(points)
