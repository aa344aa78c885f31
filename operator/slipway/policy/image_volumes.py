"""Whether a cluster mounts images as volumes, as far as the version of its API server says.

What a node's runtime can do is seen when a pod waits: to list nodes is a right that nothing else
needs. Source: KEP-4639; alpha in 1.31, on by default from 1.35 on.
"""

OLDEST = (1, 31)
"""Before it, there is no such volume."""
ON_BY_DEFAULT = (1, 35)
GATE = "ImageVolume"

Version = tuple[int, int]
"""Major and minor."""


def refuse_volumes(version: Version | None) -> str | None:
    """Return why nothing can be mounted, and what to do; None where it may be, or is not known."""
    if version is None or version >= OLDEST:
        return None
    return (
        f"spec.packaging.mode: found Volume and Kubernetes {_show(version)}, which mounts no "
        f"images; set Image or Fetch, or update the cluster to {_show(ON_BY_DEFAULT)}"
    )


def warn_of_gate(version: Version | None) -> str:
    """Return a clause about a version that mounts images only where it was told to; else empty."""
    if version is None or not OLDEST <= version < ON_BY_DEFAULT:
        return ""
    return (
        f"; mode Volume: Kubernetes {_show(version)} mounts images only where the feature gate "
        f"{GATE} is on, in the API server and on the nodes; if it is not, set Image or Fetch"
    )


def _show(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
