"""Directories of the machine over which the node mounts its own.

Those that did not exist before carry a mark, which the node's mounts hide: it says whose they are
even when every other record of the cluster is lost.
"""

from tests.cluster import settings

MARK = f".{settings.STATE.name}"


def make() -> None:
    """Make those that are missing."""
    for place in settings.MOUNT_POINTS:
        if not place.exists():
            place.mkdir(parents=True)
            (place / MARK).touch()


def remove() -> bool:
    """Remove those that `make` made, unless they are used otherwise by now; False without any."""
    ours = [place for place in settings.MOUNT_POINTS if (place / MARK).exists()]
    for place in ours:
        (place / MARK).unlink()
        if not any(place.iterdir()):
            place.rmdir()
    return bool(ours)
