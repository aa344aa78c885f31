"""Scaling: how many replicas a revision has, and which engine decides."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from slipway.api.base import ApiModel, cel_rule

Replicas = Annotated[int, Field(ge=1, le=1000)]
DEFAULT_UTILIZATION_PERCENT = 70


class ScalingEngine(StrEnum):
    """What sets the number of replicas."""

    AUTO = "Auto"
    """The same as Builtin."""
    BUILTIN = "Builtin"
    """Slipway, by requests in flight and queue time."""
    HPA = "HPA"
    """A HorizontalPodAutoscaler for each revision, by CPU or memory."""
    NONE = "None"
    """You, or an autoscaler of yours."""


class ScalingResource(StrEnum):
    """What a HorizontalPodAutoscaler measures."""

    CPU = "CPU"
    MEMORY = "Memory"


class ScalingTarget(ApiModel):
    """The load that a replica should have."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Requests in flight per replica, waiting ones included. Engine Builtin only. Default: 4."""
    queue_millis: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """Mean time in Triton's queue, in milliseconds, above which replicas are added. Engine Builtin
    only. Default: none."""
    utilization_percent: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Use of the resource, in percent of what the pods request. Engine HPA only. Default: 70."""
    resource: ScalingResource | None = None
    """Resource that utilizationPercent is about. Engine HPA only. Default: CPU."""

    @property
    def utilization(self) -> int:
        """Percent of the request that the HorizontalPodAutoscaler aims at, with its default."""
        return self.utilization_percent or DEFAULT_UTILIZATION_PERCENT

    @property
    def measured(self) -> ScalingResource:
        """The resource that the HorizontalPodAutoscaler measures, with its default."""
        return self.resource or ScalingResource.CPU


_IS_BUILTIN = "(!has(self.engine) || self.engine in ['Auto', 'Builtin'])"
_IS_HPA = "(has(self.engine) && self.engine == 'HPA')"


def _only_with_engine(field: str, condition: str, engine: str) -> dict[str, Any]:
    return cel_rule(
        f"!has(self.target) || !has(self.target.{field}) || {condition}",
        f"target.{field} requires engine {engine}",
        f".target.{field}",
    )


class Scaling(ApiModel):
    """How many replicas a revision has. A change here makes no new revision."""

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
                    "replicas requires engine None: other engines set the number themselves",
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
    """Smallest number of replicas."""
    max_replicas: Replicas | None = None
    """Largest number of replicas. Default: minReplicas, so that nothing scales unless asked to."""
    engine: ScalingEngine = ScalingEngine.AUTO
    """What sets the number of replicas. Builtin (also Auto): Slipway, by requests in flight and
    queue time. HPA: a HorizontalPodAutoscaler, by CPU or memory. None: you, or an autoscaler of
    yours."""
    replicas: Replicas | None = None
    """Number of replicas, as `kubectl scale` sets it. Engine None only. Default: Slipway leaves the
    replicas of the Deployments alone."""
    target: ScalingTarget = ScalingTarget()
    down_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """Seconds for which the load must stay low, and be measured without a gap, before replicas are
    removed."""

    @property
    def most(self) -> int:
        """The largest number of replicas, with its default."""
        return max(self.min_replicas, self.max_replicas or 0)

    @property
    def is_builtin(self) -> bool:
        """Whether Slipway itself scales: by its own engine, and between different limits."""
        engines = {ScalingEngine.AUTO, ScalingEngine.BUILTIN}
        return self.engine in engines and self.most > self.min_replicas
