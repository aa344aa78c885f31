"""ModelDeployment: what users write, and what they read back; one module for each part of it.

Fields under ``model``, ``packaging`` and ``server`` have no schema defaults. The API server would
apply a default on every read, so changing one would roll out every model again. The operator fills
them in when it makes a revision, and freezes them there. Every field works: what does not work yet
has no field. Docstrings of fields are the reference that users read, in the CRD and in docs/api.md.
"""

from slipway.api.base import ApiModel, cel_rule
from slipway.api.modeldeployment.analysis import (
    Analysis,
    AnalysisMode,
    OnInconclusive,
    Threshold,
    Tolerance,
)
from slipway.api.modeldeployment.gateway import (
    Gateway,
    GatewayGRPC,
    GatewayParent,
)
from slipway.api.modeldeployment.metrics import (
    Drift,
    Hook,
    HookStage,
    Metric,
    MetricMode,
    MetricPreset,
    MetricStage,
    PrometheusQuery,
    Webhook,
)
from slipway.api.modeldeployment.model import (
    DynamicBatching,
    GoldenSet,
    InstanceGroup,
    InstanceKind,
    Model,
    ModelConfig,
    Source,
    Warmup,
)
from slipway.api.modeldeployment.packaging import FetchCache, LocalSecret, Packaging, PackagingMode
from slipway.api.modeldeployment.pod import EnvVar, PodOptions, Toleration, Volume
from slipway.api.modeldeployment.rollout import (
    AfterPromotion,
    AfterPromotionMode,
    AnswersMode,
    Approval,
    Automatic,
    Capacity,
    Gap,
    Rollback,
    Rollout,
    ShadowMode,
    ShadowSpec,
    Step,
    Strategy,
    Window,
)
from slipway.api.modeldeployment.scaling import (
    Keda,
    Scaling,
    ScalingEngine,
    ScalingResource,
    ScalingTarget,
    Trigger,
)
from slipway.api.modeldeployment.server import Resources, Server
from slipway.api.modeldeployment.source import Connection, LocalConfigMap, Location, Refresh
from slipway.api.modeldeployment.status import (
    STATE_LENGTH,
    AfterPromotionStatus,
    AnalysisStatus,
    Before,
    CapacityStatus,
    DownloadStatus,
    Endpoints,
    GatewayStatus,
    HistoryEntry,
    Hold,
    HookStatus,
    HookVerdict,
    LastAction,
    LastRollback,
    Level,
    ModelDeploymentStatus,
    Outcome,
    Recreate,
    Rejected,
    RevisionStatus,
    RolloutStatus,
    ScalingStatus,
    Schedule,
    ShadowDifference,
    ShadowState,
    ShadowStatus,
    SourceStatus,
    StableRecord,
    Stage,
)
from slipway.api.modeldeployment.traffic import Plaintext, RouterKind, Traffic
from slipway.api.protocol import Protocol

__all__ = [
    "KIND",
    "MODEL_NAME_OF",
    "PLURAL",
    "ROOT_RULES",
    "STATE_LENGTH",
    "AfterPromotion",
    "AfterPromotionMode",
    "AfterPromotionStatus",
    "Analysis",
    "AnalysisMode",
    "AnalysisStatus",
    "AnswersMode",
    "Approval",
    "Automatic",
    "Before",
    "Capacity",
    "CapacityStatus",
    "Connection",
    "DownloadStatus",
    "Drift",
    "DynamicBatching",
    "Endpoints",
    "EnvVar",
    "FetchCache",
    "Gap",
    "Gateway",
    "GatewayGRPC",
    "GatewayParent",
    "GatewayStatus",
    "GoldenSet",
    "HistoryEntry",
    "Hold",
    "Hook",
    "HookStage",
    "HookStatus",
    "HookVerdict",
    "InstanceGroup",
    "InstanceKind",
    "Keda",
    "LastAction",
    "LastRollback",
    "Level",
    "LocalConfigMap",
    "LocalSecret",
    "Location",
    "Metric",
    "MetricMode",
    "MetricPreset",
    "MetricStage",
    "Model",
    "ModelConfig",
    "ModelDeployment",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "ObjectMeta",
    "OnInconclusive",
    "Outcome",
    "Packaging",
    "PackagingMode",
    "Plaintext",
    "PodOptions",
    "PrometheusQuery",
    "Protocol",
    "Recreate",
    "Refresh",
    "Rejected",
    "Resources",
    "RevisionStatus",
    "Rollback",
    "Rollout",
    "RolloutStatus",
    "RouterKind",
    "Scaling",
    "ScalingEngine",
    "ScalingResource",
    "ScalingStatus",
    "ScalingTarget",
    "Schedule",
    "Server",
    "ShadowDifference",
    "ShadowMode",
    "ShadowSpec",
    "ShadowState",
    "ShadowStatus",
    "Source",
    "SourceStatus",
    "StableRecord",
    "Stage",
    "Step",
    "Strategy",
    "Threshold",
    "Tolerance",
    "Toleration",
    "Traffic",
    "Trigger",
    "Volume",
    "Warmup",
    "Webhook",
    "Window",
]

KIND = "ModelDeployment"
PLURAL = "modeldeployments"


class ModelDeploymentSpec(ApiModel):
    """What users write."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!has(self.rollout) || !has(self.rollout.capacity)"
                    " || self.rollout.capacity == 'Surge' || !has(self.scaling)"
                    " || !has(self.scaling.engine) || self.scaling.engine != 'None'"
                    " || has(self.scaling.replicas)",
                    "rollout.capacity Swap and Auto move replicas, which engine None leaves to you;"
                    " set scaling.replicas, or another engine",
                    ".rollout.capacity",
                ),
                cel_rule(
                    "!has(self.rollout) || !has(self.rollout.capacity)"
                    " || self.rollout.capacity == 'Surge' || !has(self.scaling)"
                    " || !has(self.scaling.engine) || self.scaling.engine != 'KEDA'",
                    "rollout.capacity Swap and Auto move replicas, which KEDA may move too;"
                    " remove capacity, or set another engine",
                    ".rollout.capacity",
                ),
            ]
        }
    }

    model: Model
    packaging: Packaging | None = None
    server: Server | None = None
    scaling: Scaling = Scaling()
    traffic: Traffic = Traffic()
    rollout: Rollout = Rollout()
    rollback: Rollback = Rollback()
    paused: bool = False
    """Stop raising the weight, and stop the clocks; analysis and rollbacks continue."""


MODEL_NAME_OF = "(has({0}.spec.model.name) ? {0}.spec.model.name : {0}.metadata.name)"


ROOT_RULES = [
    cel_rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name must be at most 40 lower-case letters, digits and '-', begin with a letter "
        "and end with a letter or digit",
    ),
    cel_rule(
        "!self.metadata.name.endsWith('-candidate') && !self.metadata.name.startsWith('slipway-')",
        "metadata.name must not end in '-candidate' nor start with 'slipway-'",
    ),
    cel_rule(
        f"{MODEL_NAME_OF.format('self')} == {MODEL_NAME_OF.format('oldSelf')}",
        "the model's name (spec.model.name, else metadata.name) is immutable: clients use it",
    ),
]


class ObjectMeta(ApiModel):
    """The metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class ModelDeployment(ApiModel):
    """A served model, and how its next version gets into production."""

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def model_name(self) -> str:
        """Triton's name of the model."""
        return self.spec.model.name or self.metadata.name
