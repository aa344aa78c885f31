"""The ScaledObject of a revision, by which KEDA scales it."""

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, SCALED_OBJECT
from slipway.api.modeldeployment import Scaling, Trigger
from slipway.render.owner import Owner


@dataclass(frozen=True, slots=True)
class ScaledObjectSpec:
    """What a ScaledObject is made from."""

    owner: Owner
    revision: str
    scaling: Scaling
    triggers: Sequence[Trigger]
    """With everything filled in for this revision."""
    least: int
    """minReplicas, or more while a rollout or a hand-over needs it."""


def render_scaled_object(spec: ScaledObjectSpec) -> Manifest:
    """Return the ScaledObject.

    It leaves the replicas as they are when it goes, and scales down after `downSeconds`, as the
    other engines do. KEDA copies its labels to the autoscaler that it makes.
    """
    name = names.revision_name(spec.owner.name, spec.revision)
    window = {"stabilizationWindowSeconds": spec.scaling.down_seconds}

    return spec.owner.render_child_of_revision(
        SCALED_OBJECT,
        spec.revision,
        {
            "scaleTargetRef": {**DEPLOYMENT.type_meta, "name": name},
            "minReplicaCount": spec.least,
            "maxReplicaCount": max(spec.least, spec.scaling.most),
            "triggers": [trigger.wire() for trigger in spec.triggers],
            "advanced": {
                "restoreToOriginalReplicaCount": False,
                "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": window}},
            },
        },
    )
