"""What users read back."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest, Percent, Revision, Text, Time, list_map
from slipway.api.conditions import Condition


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


class ScalingStatus(ApiModel):
    """How many replicas a revision should have, and why; the numbers are those that decided."""

    desired: int
    current: int = 0
    """Ready ones."""
    signal: Annotated[str, Field(max_length=32)] = ""
    """concurrency, queue, cpu, memory; empty where no signal decided."""
    value: float | None = None
    """Of the signal, over all replicas (concurrency), in milliseconds (queue), else in percent."""
    target: float | None = None
    """Per replica, in the same unit."""
    bound_by: Annotated[str, Field(max_length=32)] | None = None
    """What held the number where the signal alone would not: minReplicas, maxReplicas, rollout,
    stabilization, SignalsMissing."""
    message: Text = ""
    at: Time | None = None


class RevisionStatus(ApiModel):
    """A revision that runs."""

    revision: Revision
    version: Text
    digest: Digest | None = None
    image: Text | None = None
    weight: Percent = 0
    """As acknowledged by every proxy."""
    ready_replicas: int = 0
    scaling: ScalingStatus | None = None
    """Where an engine scales it."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Of the pods of all live revisions, for the scale subresource; with scaling.engine None."""
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
    since: Time | None = None
    """From when on the samples count."""
    role: Annotated[str, Field(max_length=16)] = "Required"
    """Required: rolls back, and promotion waits for its Pass. Advisory: rolls back. ReportOnly."""
    looks: Annotated[list[float], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    """The candidate's last values as they were stored, newest last."""
    state: Annotated[str, Field(max_length=2048)] | None = None
    """Opaque memory of the test."""


class HookVerdict(StrEnum):
    """What a hook said."""

    PASSED = "Passed"
    REJECTED = "Rejected"
    WAITING = "Waiting"
    """Neither yet; asked again with back-off."""


class HookStatus(ApiModel):
    """The last word of one hook."""

    name: Annotated[str, Field(max_length=63)]
    step: int = 0
    """Where it was asked: 0 before traffic, else the step; one more than there are: the bake."""
    verdict: HookVerdict
    reason: Annotated[str, Field(max_length=64)] = ""
    tries: int = 0
    retry_at: Time | None = None
    at: Time | None = None


class Before(ApiModel):
    """A share of the candidate's requests, before it had all of them."""

    name: Annotated[str, Field(max_length=63)]
    ratio: float
    samples: int


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
    waits_since: Time | None = None
    """Since when it waits for replicas or for the proxies to take a weight."""
    acked_weight: Percent = 0
    """The candidate's weight that every proxy has in force."""
    approved_weight: Percent = 0
    """The weight that a person let the candidate have; steps move when the spec is edited."""
    failures: int = 0
    """Attempts in a row that the environment failed; sets the back-off."""
    retry_at: Time | None = None
    paused: bool = False
    """By the action `pause`; counts beside spec.paused."""
    unjudged: Annotated[str, Field(max_length=256)] | None = None
    """Who or what skips the evidence: set, the candidate goes straight to 100."""
    before: Annotated[list[Before], Field(max_length=4, json_schema_extra=list_map("name"))] = []
    """What the last step showed, where the bake leaves stable no traffic to compare with."""
    alarm: Text | None = None
    """Why a bake without control gave a share back to stable."""
    skipped_weight: Percent = 0
    """The weight whose waiting the action `skip` cut short; 0: none."""
    skipped: Annotated[str, Field(max_length=256)] | None = None
    """Steps that the action `skip` cut short, and who asked."""
    outcome: Outcome | None = None
    """What the roll back under way will be recorded as."""
    cause: Text = ""
    """Why it is rolled back: reason and numbers."""
    message: Text = ""
    analysis: Annotated[
        list[AnalysisStatus], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = []
    hooks: Annotated[
        list[HookStatus], Field(max_length=16, json_schema_extra=list_map("name"))
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
    revision: Revision | None = None
    """The earlier revision that serves meanwhile, where a person asked for one."""


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
    """One with a smaller id does not count any more."""
    earlier: Annotated[list[int], Field(max_length=10, json_schema_extra=ATOMIC)] = []
    """Ids before it, newest last: a tool that applies one of them again gets no other answer."""
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
    refused_action: LastAction | None = None
    """The newest action that did not count because of its id: no newer than that of lastAction,
    older than the object, or ahead of the clock."""
    endpoints: Endpoints | None = None
