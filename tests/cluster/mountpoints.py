"""Directories of the machine over which the node mounts its own.

Those that did not exist before carry a mark, which the node's mounts hide: it says whose they are
even when every other record of the cluster is lost. Clusters beside each other share them.
"""

from tests.cluster import settings

MARK = ".slipway-cluster"


def make() -> None:
    """Make those that are missing."""
    for place in settings.MOUNT_POINTS:
        if not place.exists():
            place.mkdir(parents=True)
            (place / MARK).touch()


def remove() -> bool:
    """Remove those that `make` made, unless they are used otherwise by now; False without any."""
    if _are_shared():
        return False
    ours = [place for place in settings.MOUNT_POINTS if (place / MARK).exists()]
    for place in ours:
        (place / MARK).unlink()
        if not any(place.iterdir()):
            place.rmdir()
    return bool(ours)


def _are_shared() -> bool:
    """Whether another cluster of this machine stands: without its directory a mount is gone."""
    states = settings.STATE.parent.glob(settings.STATES)
    return any(state != settings.STATE for state in states)
