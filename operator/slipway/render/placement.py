"""The administrator's settings for pods that run in users' namespaces: routers and Jobs.

A setting that is absent renders to nothing, so that existing pods stay as they are.
"""

from collections.abc import Mapping

from slipway.api.base import Manifest
from slipway.settings import ContainerResources, PodSettings

POD_FIELDS = frozenset(PodSettings.model_fields) - {"resources", "labels", "annotations"}
"""Spelled in the settings as in a pod."""


def render_placement(pods: PodSettings) -> Manifest:
    """Return the fields of a pod's spec that the settings set."""
    fields: Manifest = pods.model_dump(
        by_alias=True, exclude_defaults=True, include=set(POD_FIELDS)
    )
    return fields


def render_metadata(
    own: dict[str, str], labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Manifest:
    """Return the metadata of a pod template; our own labels win, because selectors rely on them."""
    metadata: Manifest = {"labels": {**labels, **own}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return metadata


def render_resources(defaults: Manifest, given: ContainerResources) -> Manifest:
    """Return the resources of a container: the defaults, overridden by the settings."""
    configured = given.model_dump(exclude_defaults=True)
    return {
        key: {**defaults.get(key, {}), **configured.get(key, {})}
        for key in ("requests", "limits")
        if key in defaults or key in configured
    }
