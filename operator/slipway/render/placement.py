"""What the cluster's owner says of pods that run in others' namespaces: routers and Jobs.

What is not said is not there, so that pods which exist stay as they are.
"""

from slipway.api.base import Manifest
from slipway.settings import PodSettings

OF_THE_POD = frozenset(PodSettings.model_fields) - {"resources"}
"""Spelt in settings as in a pod."""


def placement(pods: PodSettings) -> Manifest:
    """Return the fields of a pod's spec that are asked for."""
    found: Manifest = pods.model_dump(by_alias=True, exclude_defaults=True, include=set(OF_THE_POD))
    return found


def resources(usual: Manifest, pods: PodSettings) -> Manifest:
    """Return the resources of a container: the usual ones, and over them what is asked for."""
    asked = pods.resources.model_dump(exclude_defaults=True)
    return {
        key: {**usual.get(key, {}), **asked.get(key, {})}
        for key in ("requests", "limits")
        if key in usual or key in asked
    }
