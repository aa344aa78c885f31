"""Scaling: how many replicas a revision has, and which engine decides."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, ObjectName, cel_rule
from slipway.api.modeldeployment.placeholders import KNOWN, strip_placeholders

Replicas = Annotated[int, Field(ge=1, le=1000)]
DEFAULT_IDLE_SECONDS = 600
DEFAULT_HOLD_SECONDS = 300
DEFAULT_UTILIZATION_PERCENT = 70


class ScalingEngine(StrEnum):
    """What sets the number of replicas."""

    AUTO = "Auto"
    """The same as Builtin."""
    BUILTIN = "Builtin"
    """Slipway, by requests in flight and queue time."""
    HPA = "HPA"
    """A HorizontalPodAutoscaler for each revision, by CPU or memory."""
    KEDA = "KEDA"
    """A ScaledObject of KEDA for each revision, by your triggers."""
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


class TriggerAuthentication(ApiModel):
    """KEDA's object with the credentials of a trigger."""

    name: ObjectName
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] | None = None
    """Where it lies: in this namespace, or for all. Default: TriggerAuthentication."""


class MetricType(StrEnum):
    """How the value of a trigger is compared with its target."""

    AVERAGE_VALUE = "AverageValue"
    """Per replica; the default of KEDA for most triggers."""
    VALUE = "Value"
    UTILIZATION = "Utilization"
    """In percent of what pods request: triggers cpu and memory."""


class Trigger(ApiModel):
    """A trigger, in KEDA's own words. Placeholders in metadata are filled in for each revision."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "self.metadata.all(key, "
                    f"!{strip_placeholders('self.metadata[key]')}.contains('{{{{'))",
                    KNOWN,
                    ".metadata",
                ),
                cel_rule(
                    "self.type != 'prometheus' || ('query' in self.metadata && "
                    "['{{revision}}', '{{pods}}', '{{version}}'].exists(mark, "
                    "self.metadata['query'].contains(mark)))",
                    "each revision is scaled on its own load: the query needs {{revision}}, "
                    "{{pods}} or {{version}}",
                    ".metadata",
                ),
            ]
        }
    }

    type: Annotated[str, Field(pattern=r"^[a-z][-a-z0-9]*$", min_length=1, max_length=63)]
    """As KEDA names it: prometheus, cpu, cron …"""
    name: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Name of the trigger, where KEDA needs one."""
    metadata: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=32)]
    """Settings of the trigger, as KEDA's page about it has them."""
    authentication_ref: TriggerAuthentication | None = None
    """Credentials that the trigger needs."""
    metric_type: MetricType | None = None
    """How the value is compared with the target. Default: KEDA's for this trigger."""
    use_cached_metrics: bool | None = None
    """Whether KEDA answers from what it polled last. Default: KEDA's, false."""


class Keda(ApiModel):
    """What KEDA scales on."""

    triggers: Annotated[list[Trigger], Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)]
    """Triggers of each revision's ScaledObject."""


_IS_BUILTIN = "(!has(self.engine) || self.engine in ['Auto', 'Builtin'])"
_IS_HPA = "(has(self.engine) && self.engine == 'HPA')"
_IS_KEDA = "(has(self.engine) && self.engine == 'KEDA')"


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
                cel_rule(
                    f"self.minReplicas > 0 || {_IS_BUILTIN}",
                    "minReplicas 0 requires engine Builtin",
                    ".minReplicas",
                ),
                cel_rule(
                    "!has(self.idleSeconds) || self.minReplicas == 0",
                    "idleSeconds requires minReplicas 0",
                    ".idleSeconds",
                ),
                cel_rule(
                    "!has(self.holdSeconds) || self.minReplicas == 0",
                    "holdSeconds requires minReplicas 0",
                    ".holdSeconds",
                ),
                _only_with_engine("concurrency", _IS_BUILTIN, "Builtin"),
                _only_with_engine("queueMillis", _IS_BUILTIN, "Builtin"),
                _only_with_engine("utilizationPercent", _IS_HPA, "HPA"),
                _only_with_engine("resource", _IS_HPA, "HPA"),
                cel_rule(f"!has(self.keda) || {_IS_KEDA}", "keda requires engine KEDA", ".keda"),
                cel_rule(
                    f"has(self.keda) || !{_IS_KEDA}",
                    "engine KEDA requires keda.triggers: what it scales on",
                    ".engine",
                ),
            ]
        }
    }

    min_replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Smallest number of replicas. With 0 (engine Builtin only) nothing runs after idleSeconds
    without a request, and the next request wakes the model."""
    max_replicas: Replicas | None = None
    """Largest number of replicas. Default: minReplicas, so that nothing scales unless asked to; 1
    where that is 0."""
    idle_seconds: Annotated[int, Field(ge=10, le=86_400)] | None = None
    """Seconds without a request after which nothing runs. With minReplicas 0 only. Default: 600."""
    hold_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Seconds for which the router holds a request until a replica is ready, before it answers 503.
    With minReplicas 0 only. Default: 300."""
    engine: ScalingEngine = ScalingEngine.AUTO
    """What sets the number of replicas. Builtin (also Auto): Slipway, by requests in flight and
    queue time. HPA: a HorizontalPodAutoscaler, by CPU or memory. KEDA: a ScaledObject, by your
    triggers. None: you, or an autoscaler of yours."""
    replicas: Replicas | None = None
    """Number of replicas, as `kubectl scale` sets it. Engine None only. Default: Slipway leaves the
    replicas of the Deployments alone."""
    target: ScalingTarget = ScalingTarget()
    keda: Keda | None = None
    """What KEDA scales on. Engine KEDA only."""
    down_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """Seconds for which the load must stay low, and be measured without a gap, before replicas are
    removed."""

    @property
    def most(self) -> int:
        """The largest number of replicas, with its default."""
        return max(self.least_awake, self.max_replicas or 0)

    @property
    def least_awake(self) -> int:
        """The smallest number of replicas of a model that is not asleep."""
        return max(1, self.min_replicas)

    @property
    def may_sleep(self) -> bool:
        """Whether nothing runs while nobody asks."""
        return self.min_replicas == 0 and self.is_builtin

    @property
    def is_autoscaled(self) -> bool:
        """Whether an autoscaler of Kubernetes scales, within the limits that we give it."""
        return self.engine in {ScalingEngine.HPA, ScalingEngine.KEDA}

    @property
    def is_builtin(self) -> bool:
        """Whether Slipway itself scales: by its own engine, and between different limits."""
        engines = {ScalingEngine.AUTO, ScalingEngine.BUILTIN}
        return self.engine in engines and self.most > self.min_replicas
