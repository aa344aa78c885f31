"""How many replicas a revision has, and who decides it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ApiModel, cel_rule

Replicas = Annotated[int, Field(ge=1, le=1000)]
DEFAULT_UTILIZATION_PERCENT = 70


class ScalingEngine(StrEnum):
    """Who writes the number of replicas."""

    AUTO = "Auto"
    """Builtin."""
    BUILTIN = "Builtin"
    """Slipway, on measured concurrency and queue time; knows the rollout."""
    HPA = "HPA"
    """Kubernetes' HorizontalPodAutoscaler, on CPU or memory."""
    NONE = "None"
    """Somebody else."""


class ScalingResource(StrEnum):
    """What a HorizontalPodAutoscaler looks at."""

    CPU = "CPU"
    MEMORY = "Memory"


class ScalingTarget(ApiModel):
    """What a replica should be loaded with."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Requests in flight per replica, waiting ones included; engine Builtin. Default 4."""
    queue_millis: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """Mean wait in Triton's queue that more replicas should end; engine Builtin. Default: none."""
    utilization_percent: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Of what the pods request; engine HPA. Default 70."""
    resource: ScalingResource | None = None
    """What the utilization is of; engine HPA. Default CPU."""

    @property
    def utilization(self) -> int:
        """Percent of the request, where the HorizontalPodAutoscaler aims."""
        return self.utilization_percent or DEFAULT_UTILIZATION_PERCENT

    @property
    def measured(self) -> ScalingResource:
        """What the utilization is of."""
        return self.resource or ScalingResource.CPU


_IS_BUILTIN = "(!has(self.engine) || self.engine in ['Auto', 'Builtin'])"
_IS_HPA = "(has(self.engine) && self.engine == 'HPA')"


def _only_with_engine(field: str, condition: str, engine: str) -> dict[str, Any]:
    return cel_rule(
        f"!has(self.target) || !has(self.target.{field}) || {condition}",
        f"target.{field} works with engine {engine} only",
        f".target.{field}",
    )


class Scaling(ApiModel):
    """How many replicas a revision has; a change here makes no new revision."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!has(self.maxReplicas) || self.maxReplicas >= self.minReplicas",
                    "maxReplicas must not be less than minReplicas",
                    ".maxReplicas",
                ),
                cel_rule(
                    "!has(self.replicas) || (has(self.engine) && self.engine == 'None')",
                    "replicas is somebody else's number: it works with engine None only",
                    ".replicas",
                ),
                _only_with_engine("concurrency", _IS_BUILTIN, "Builtin"),
                _only_with_engine("queueMillis", _IS_BUILTIN, "Builtin"),
                _only_with_engine("utilizationPercent", _IS_HPA, "HPA"),
                _only_with_engine("resource", _IS_HPA, "HPA"),
            ]
        }
    }

    min_replicas: Replicas = 1
    max_replicas: Replicas | None = None
    """Default: minReplicas, so that nothing scales unasked."""
    engine: ScalingEngine = ScalingEngine.AUTO
    """Who writes the number of replicas; Auto is Builtin."""
    replicas: Replicas | None = None
    """Engine None: the number, as `kubectl scale` and other autoscalers write it. Without it the
    Deployments themselves are left to somebody else."""
    target: ScalingTarget = ScalingTarget()
    down_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """Replicas go only after the load was low for so long without a gap in what is measured."""

    @property
    def most(self) -> int:
        """The highest number of replicas."""
        return max(self.min_replicas, self.max_replicas or 0)

    @property
    def is_builtin(self) -> bool:
        """Whether Slipway itself decides by the load: its engine, and room to decide."""
        engines = {ScalingEngine.AUTO, ScalingEngine.BUILTIN}
        return self.engine in engines and self.most > self.min_replicas
