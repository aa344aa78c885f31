"""The HorizontalPodAutoscaler of a revision."""

from dataclasses import dataclass

from slipway.api import names
from slipway.api.base import Manifest
from slipway.api.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from slipway.api.modeldeployment import Scaling
from slipway.render.owner import Owner


@dataclass(frozen=True, slots=True)
class AutoscalerSpec:
    """What an autoscaler is made from."""

    owner: Owner
    revision: str
    scaling: Scaling
    least: int
    """minReplicas, or the rollout's floor where that is higher."""


def render_autoscaler(spec: AutoscalerSpec) -> Manifest:
    """Return the HorizontalPodAutoscaler.

    It scales up without delay and down after `downSeconds`, as the builtin engine does.
    """
    name = names.revision_name(spec.owner.name, spec.revision)
    window = spec.scaling.down_seconds

    return spec.owner.render_child_of_revision(
        HORIZONTAL_POD_AUTOSCALER,
        spec.revision,
        {
            "scaleTargetRef": {**DEPLOYMENT.type_meta, "name": name},
            "minReplicas": spec.least,
            "maxReplicas": max(spec.least, spec.scaling.most),
            "metrics": [_render_metric(spec.scaling)],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": window}},
        },
    )


def _render_metric(scaling: Scaling) -> Manifest:
    utilization = {"type": "Utilization", "averageUtilization": scaling.target.utilization}
    resource = {"name": scaling.target.measured.value.lower(), "target": utilization}
    return {"type": "Resource", "resource": resource}
