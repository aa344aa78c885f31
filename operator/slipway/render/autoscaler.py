"""The HorizontalPodAutoscaler of a revision."""

from dataclasses import dataclass

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from slipway.api.modeldeployment import Scaling
from slipway.render.workload import Owner, controller_reference


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """What it may do."""

    owner: Owner
    revision: str
    scaling: Scaling
    least: int
    """minReplicas, or the rollout's floor where that is higher."""


def render_autoscaler(spec: Autoscaler) -> Manifest:
    """Return the HorizontalPodAutoscaler.

    It goes up without waiting, as the builtin engine does, and down after the same window.
    """
    name = names.revision_name(spec.owner.name, spec.revision)
    target = spec.scaling.target
    return {
        "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version,
        "kind": HORIZONTAL_POD_AUTOSCALER.kind,
        "metadata": {
            "name": name,
            "namespace": spec.owner.namespace,
            "labels": names.common_labels(spec.owner.name, names.COMPONENT_SERVER, spec.revision),
            "ownerReferences": [controller_reference(spec.owner)],
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": name,
            },
            "minReplicas": spec.least,
            "maxReplicas": max(spec.least, spec.scaling.most),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": target.measured.value.lower(),
                        "target": {"type": "Utilization", "averageUtilization": target.utilization},
                    },
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": spec.scaling.down_seconds}},
        },
    }
