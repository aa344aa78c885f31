"""ModelDeployment: what users write, and what they read back.

Fields under ``model``, ``packaging`` and ``server`` have no schema defaults: a default is applied
on read, so a changed one would re-roll every model. The operator fills them from its settings when
it makes a revision, and freezes them there. The CRD holds what works; a field appears when it does.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from slipway.api.base import (
    ATOMIC,
    ApiModel,
    Digest,
    Manifest,
    Percent,
    Revision,
    Text,
    Time,
    cel,
    list_map,
)
from slipway.api.conditions import Condition
from slipway.api.modelroute import HeaderMatch
from slipway.api.request import ModelFormat

KIND = "ModelDeployment"
PLURAL = "modeldeployments"

Uri = Annotated[str, Field(min_length=1, max_length=2048)]
ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]

SOURCE_RULES: list[Any] = [
    cel(
        r"self.uri.matches('^(https?|pvc)://[^\\s]+$')",
        "uri must start with https://, http:// or pvc://",
        ".uri",
    ),
    cel(
        "!self.uri.startsWith('http') || !self.uri.endsWith('/')",
        "a web address that ends in '/' names no file; give the archive or model file itself",
        ".uri",
    ),
    cel(
        r"!self.uri.startsWith('pvc://') || self.uri.matches('^pvc://[a-z0-9][-a-z0-9.]*/.*$')",
        "a claim is written pvc://<claim>/<path>",
        ".uri",
    ),
    cel(
        "!self.uri.startsWith('pvc://') || !self.uri.split('/').exists(p, p == '..')",
        "the path inside a claim must not contain '..'",
        ".uri",
    ),
]


class LocalSecret(ApiModel):
    """A Secret in the ModelDeployment's own namespace."""

    name: ObjectName


class Source(ApiModel):
    """Where the model's bytes are."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": SOURCE_RULES}}

    uri: Uri
    """``https://`` or ``http://`` (an archive or one model file) or ``pvc://<claim>/<path>``."""
    digest: Digest | None = None
    """Pin of the model digest; without it the digest is resolved once and kept."""


class DynamicBatching(ApiModel):
    """Triton's dynamic batching."""

    preferred_batch_sizes: (
        Annotated[
            list[Annotated[int, Field(ge=1, le=65_536)]],
            Field(max_length=16, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    max_queue_delay_microseconds: Annotated[int, Field(ge=0, le=60_000_000)] | None = None
    max_queue_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that may wait; more are refused with 503. The operator's default bounds it."""


class InstanceKind(StrEnum):
    """Where Triton runs a model's instances."""

    AUTO = "Auto"
    CPU = "CPU"
    GPU = "GPU"


class InstanceGroup(ApiModel):
    """Copies of the model inside one server."""

    count: Annotated[int, Field(ge=1, le=64)] | None = None
    kind: InstanceKind | None = None


class ModelConfig(ApiModel):
    """Typed part of config.pbtxt. The source's own file wins; these fill what it leaves out."""

    max_batch_size: Annotated[int, Field(ge=0, le=65_536)] | None = None
    """Largest batch; 0: the model does not batch."""
    dynamic_batching: DynamicBatching | None = None
    instance_group: InstanceGroup | None = None
    raw: Annotated[str, Field(max_length=16_384)] | None = None
    """Protobuf text merged last; may override everything else."""


class GoldenSet(ApiModel):
    """Recorded inputs with expected outputs; the candidate answers them before users see it."""

    model_config = {"json_schema_extra": {"x-kubernetes-validations": SOURCE_RULES}}

    uri: Uri
    """Directory or archive with golden.yaml and the cases; the schemes of the model source."""
    digest: Digest | None = None
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Least share of cases that must agree; ratio in [0, 1]."""


class Warmup(ApiModel):
    """Requests that Triton answers on every replica before it turns ready."""

    requests: Annotated[int, Field(ge=1, le=10_000)]


class Model(ApiModel):
    """What is served."""

    version: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63)
    ]
    """For people; identity is the revision."""
    name: (
        Annotated[str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_]*[A-Za-z0-9])?$", max_length=63)]
        | None
    ) = None
    """Triton model name; default metadata.name; immutable."""
    format: ModelFormat | None = None
    """Default: detected."""
    source: Source
    config: ModelConfig | None = None
    golden_set: GoldenSet | None = None
    warmup: Warmup | None = None


class PackagingMode(StrEnum):
    """How the model gets into the pods."""

    AUTO = "Auto"
    """Image if the registry needs no secret or pushSecretRef is set; else Fetch."""
    IMAGE = "Image"
    """A container image per version: weights and configuration appended to server.image."""
    FETCH = "Fetch"
    """An init container fetches the model on every start."""


class Packaging(ApiModel):
    """How a container is built for a version."""

    mode: PackagingMode | None = None
    repository: (
        Annotated[
            str,
            Field(
                pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$",
                max_length=255,
            ),
        ]
        | None
    ) = None
    """Where images go, without a tag; default <registry.prefix>/<namespace>/<name>."""
    push_secret_ref: LocalSecret | None = None
    """Secret of type kubernetes.io/dockerconfigjson."""
    pull_secret_refs: (
        Annotated[list[LocalSecret], Field(max_length=8, json_schema_extra=list_map("name"))] | None
    ) = None
    """For pods and for reading the base image; default: the push secret."""


class Protocol(StrEnum):
    """A protocol that the server speaks."""

    HTTP = "HTTP"
    GRPC = "GRPC"


Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i|[eE][-+]?[0-9]+)?$",
        }
    ),
]


class Resources(ApiModel):
    """Resources of the server container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None


class EnvVar(ApiModel):
    """A literal environment variable of the server container."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128)]
    value: Annotated[str, Field(max_length=4096)] = ""


class Toleration(ApiModel):
    """A toleration, as Kubernetes knows it."""

    key: Annotated[str, Field(max_length=316)] | None = None
    operator: Annotated[str, Field(pattern="^(Exists|Equal)$", max_length=6)] | None = None
    value: Annotated[str, Field(max_length=63)] | None = None
    effect: (
        Annotated[str, Field(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)]
        | None
    ) = None
    toleration_seconds: int | None = None


OPEN_OBJECT = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "maxProperties": 8}


class PodOptions(ApiModel):
    """The allow-list of pod fields that users may set."""

    node_selector: (
        Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] | None
    ) = None
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=ATOMIC)] | None
    ) = None
    affinity: Annotated[Manifest, Field(json_schema_extra=OPEN_OBJECT)] | None = None
    """As in a pod; checked by a dry-run apply before a revision is made."""
    topology_spread_constraints: (
        Annotated[
            list[Annotated[Manifest, Field(json_schema_extra=OPEN_OBJECT)]],
            Field(max_length=4, json_schema_extra=ATOMIC),
        ]
        | None
    ) = None
    """As in a pod; checked by a dry-run apply before a revision is made."""
    priority_class_name: ObjectName | None = None
    runtime_class_name: ObjectName | None = None
    env: (
        Annotated[list[EnvVar], Field(max_length=64, json_schema_extra=list_map("name"))] | None
    ) = None


class Server(ApiModel):
    """The Triton container."""

    image: Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)] | None = None
    """Default: the operator's setting."""
    protocols: (
        Annotated[
            list[Protocol],
            Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = None
    resources: Resources | None = None
    """Default: requests of 100m CPU and 512Mi memory."""
    start_seconds: Annotated[int, Field(ge=10, le=7200)] | None = None
    """Time that a replica may take to load the model; default 600."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """Time that running requests get when a replica goes; default 30."""
    pod: PodOptions | None = None


class Scaling(ApiModel):
    """How many replicas a revision has."""

    min_replicas: Annotated[int, Field(ge=1, le=1000)] = 1


class RouterKind(StrEnum):
    """What splits the traffic."""

    AUTO = "Auto"
    BUILTIN = "Builtin"


class Traffic(ApiModel):
    """How clients reach the model."""

    router: RouterKind = RouterKind.AUTO
    candidate_header: HeaderMatch | None = None
    """Requests with this header reach the candidate after its checks; off unless set."""
    timeout_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    """Request timeout; 0 is none."""


class Approval(StrEnum):
    """Whether a person must agree before a step."""

    NONE = "None"
    REQUIRED = "Required"


class Step(ApiModel):
    """One step of a rollout."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of requests that the candidate gets."""
    hold_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """Least active time at this weight."""
    approval: Approval = Approval.NONE
    """Asked before the weight is written."""


class AnalysisMode(StrEnum):
    """How the candidate is judged."""

    AUTO = "Auto"
    """Beside stable, on the router's counters."""
    OFF = "Off"
    """Not at all: history says Unjudged."""


class OnInconclusive(StrEnum):
    """What happens at the deadline without a verdict."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"
    PROMOTE = "Promote"


class Tolerance(ApiModel):
    """How much worse than stable a candidate may be: limit = (1 + relative) · stable + absolute."""

    relative: Annotated[float, Field(ge=0, le=10)] = 0.25
    absolute: Annotated[float, Field(ge=0, le=1)] = 0.002


class Analysis(ApiModel):
    """How evidence is collected and judged."""

    mode: AnalysisMode = AnalysisMode.AUTO
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Requests that each revision must have answered in a step before it is judged."""
    tolerance: Tolerance = Tolerance()
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    """At the deadline only."""


class Rollout(ApiModel):
    """How a new revision gets its traffic."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel(
                    "!has(self.steps) || self.steps.map(s, s.weight).isSorted() && self.steps.all("
                    "s, self.steps.filter(t, t.weight == s.weight).size() == 1)",
                    "weights must increase from step to step",
                    ".steps",
                )
            ]
        }
    }

    steps: Annotated[list[Step], Field(max_length=20, json_schema_extra=ATOMIC)] = [
        Step(weight=5),
        Step(weight=25),
        Step(weight=50),
    ]
    """Strictly increasing; 100 is implicit and last."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] = 600
    """After the last step: keep judging, keep the old revision at full capacity."""
    bake_control_percent: Annotated[int, Field(ge=0, le=50)] = 5
    """Share that stays on stable in the bake, so that there is something to compare with."""
    deadline_seconds: Annotated[int, Field(ge=30, le=2_592_000)] = 3600
    """Of active time: pauses and waiting for approval do not count."""
    analysis: Analysis = Analysis()


class Automatic(StrEnum):
    """Whether Slipway rolls back by itself."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Rollback(ApiModel):
    """What happens with a bad candidate."""

    automatic: Automatic = Automatic.ENABLED
    """Disabled: a Fail holds the weight and waits for a person."""
    history_limit: Annotated[int, Field(ge=1, le=50)] = 10
    """Old revisions that are kept, without pods."""


class ModelDeploymentSpec(ApiModel):
    """What users write."""

    model: Model
    packaging: Packaging | None = None
    server: Server | None = None
    scaling: Scaling = Scaling()
    traffic: Traffic = Traffic()
    rollout: Rollout = Rollout()
    rollback: Rollback = Rollback()
    paused: bool = False
    """Stops advances and clocks; never a rollback, an abort or the analysis."""


class Stage(StrEnum):
    """Where a rollout stands."""

    IDLE = "Idle"
    PACKAGING = "Packaging"
    STARTING = "Starting"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROGRESSING = "Progressing"
    BAKING = "Baking"
    ROLLING_BACK = "RollingBack"
    PAUSED = "Paused"
    FAILED = "Failed"
    """The environment failed; retried with back-off."""


class Outcome(StrEnum):
    """How a revision ended."""

    PROMOTED = "Promoted"
    REJECTED_BY_GOLDEN_SET = "RejectedByGoldenSet"
    REJECTED_BY_SIGNATURE = "RejectedBySignature"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"
    FAILED_TO_START = "FailedToStart"
    PACKAGING_FAILED = "PackagingFailed"


class RevisionStatus(ApiModel):
    """A revision that runs."""

    revision: Revision
    version: Text
    digest: Digest | None = None
    image: Text | None = None
    weight: Percent = 0
    """As acknowledged by every proxy."""
    ready_replicas: int = 0
    since: Time | None = None


class AnalysisStatus(ApiModel):
    """One metric of the analysis."""

    name: Annotated[str, Field(max_length=63)]
    verdict: Annotated[str, Field(max_length=16)]
    reason: Annotated[str, Field(max_length=64)] = ""
    message: Text = ""
    candidate: float | None = None
    baseline: float | None = None
    limit: float | None = None
    samples: int = 0
    """Of the candidate."""
    baseline_samples: int = 0
    last_check: Time | None = None
    state: Annotated[str, Field(max_length=2048)] | None = None
    """Opaque memory of the test."""


class RolloutStatus(ApiModel):
    """The rollout under way, or the last word on the one that ended."""

    stage: Stage = Stage.IDLE
    underlying: Stage | None = None
    """The stage that goes on when Paused or AwaitingApproval ends."""
    step: int = 0
    """Step of the acknowledged weight, from 1; 0: before the first."""
    steps: int = 0
    attempt: int = 1
    input: Annotated[str, Field(max_length=64)] | None = None
    """Hash of the input that is rolled out."""
    started_at: Time | None = None
    step_started_at: Time | None = None
    """When every proxy had acknowledged the step's weight."""
    step_active_seconds: int = 0
    """Reading of the active clock at that moment."""
    active_seconds: int = 0
    """Active time before `clockAt`; the deadline counts these."""
    clock_at: Time | None = None
    """Since when the clock runs; absent while it stands still."""
    acked_weight: Percent = 0
    """The candidate's weight that every proxy has in force."""
    approved_step: int = 0
    failures: int = 0
    """Attempts in a row that the environment failed; sets the back-off."""
    retry_at: Time | None = None
    paused: bool = False
    """By the action `pause`; counts beside spec.paused."""
    unjudged: Annotated[str, Field(max_length=256)] | None = None
    """Who or what skips the evidence: set, the candidate goes straight to 100."""
    outcome: Outcome | None = None
    """What the roll back under way will be recorded as."""
    cause: Text = ""
    """Why it is rolled back: reason and numbers."""
    message: Text = ""
    analysis: Annotated[
        list[AnalysisStatus], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = []


class LastRollback(ApiModel):
    """The newest roll back."""

    from_: Annotated[Revision, Field(alias="from")]
    to: Revision | None = None
    trigger: Text
    metric: Annotated[str, Field(max_length=63)] | None = None
    decided_at: Time
    traffic_restored_at: Time | None = None
    capacity_restored_at: Time | None = None


class Hold(ApiModel):
    """An input that stays out until the spec's input changes, or `retry`."""

    input: Annotated[str, Field(max_length=64)]
    reason: Text


class Rejected(ApiModel):
    """A revision with evidence against its bytes."""

    revision: Revision
    version: Text
    digest: Digest | None = None
    outcome: Outcome
    reason: Text
    golden_set: Annotated[str, Field(max_length=64)] | None = None
    """Hash of the golden set that rejected it; another one lifts the rejection."""
    at: Time


class HistoryEntry(ApiModel):
    """How a revision ended."""

    revision: Revision | None = None
    version: Text
    outcome: Outcome
    reason: Text = ""
    unjudged: Text | None = None
    """Who or what skipped the evidence."""
    at: Time


class LastAction(ApiModel):
    """The newest action that was consumed."""

    id: int
    verb: Annotated[str, Field(max_length=32)]
    by: Text = "unverified"
    at: Time
    result: Text


class Endpoints(ApiModel):
    """Where clients find the model, inside the cluster."""

    http: Text
    grpc: Text | None = None
    candidate: Text | None = None
    """How to reach the candidate: the header, where one is set."""


class ModelDeploymentStatus(ApiModel):
    """What users read back."""

    conditions: Annotated[
        list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))
    ] = []
    observed_generation: int = 0
    stable: RevisionStatus | None = None
    candidate: RevisionStatus | None = None
    rollout: RolloutStatus | None = None
    last_rollback: LastRollback | None = None
    hold: Hold | None = None
    rejected: Annotated[list[Rejected], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    history: Annotated[list[HistoryEntry], Field(max_length=50, json_schema_extra=ATOMIC)] = []
    last_action: LastAction | None = None
    endpoints: Endpoints | None = None


MODEL_NAME_OF = "(has({0}.spec.model.name) ? {0}.spec.model.name : {0}.metadata.name)"

ROOT_RULES = [
    cel(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "metadata.name must be at most 40 lower-case letters, digits and '-', begin with a letter "
        "and end with a letter or digit",
    ),
    cel(
        "!self.metadata.name.endsWith('-candidate') && !self.metadata.name.startsWith('slipway-')",
        "metadata.name must not end in '-candidate' nor start with 'slipway-'",
    ),
    cel(
        f"{MODEL_NAME_OF.format('self')} == {MODEL_NAME_OF.format('oldSelf')}",
        "the model name (spec.model.name, or else metadata.name) never changes: clients call it",
    ),
]


class ObjectMeta(ApiModel):
    """The part of metadata that decisions need."""

    name: str
    namespace: str
    uid: str
    resource_version: str = ""
    generation: int = 0
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class ModelDeployment(ApiModel):
    """A model, and how its next version gets into production."""

    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus = ModelDeploymentStatus()

    @property
    def model_name(self) -> str:
        """Triton's name of the model."""
        return self.spec.model.name or self.metadata.name
