"""Status: what users read back, and what the operator remembers between two passes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, Digest, Percent, Revision, Text, Time, list_map
from slipway.api.conditions import Condition
from slipway.api.modeldeployment.rollout import AnswersMode
from slipway.api.modelroute import ShadowOutput
from slipway.api.precision import Optimized
from slipway.api.result import Disagreements, SignedFiles, Warnings

STATE_LENGTH = 16_384
"""Characters of the memory of one metric: enough for 200 pods of either revision."""


class Stage(StrEnum):
    """Where a rollout stands."""

    IDLE = "Idle"
    PACKAGING = "Packaging"
    STARTING = "Starting"
    CHECKING = "Checking"
    SHADOWING = "Shadowing"
    """The candidate answers copies of requests; users get stable's answers."""
    AWAITING_APPROVAL = "AwaitingApproval"
    PROGRESSING = "Progressing"
    BAKING = "Baking"
    ROLLING_BACK = "RollingBack"
    PAUSED = "Paused"
    FAILED = "Failed"
    """The environment failed, not the model."""


class Outcome(StrEnum):
    """How a revision ended."""

    PROMOTED = "Promoted"
    REJECTED_BY_GOLDEN_SET = "RejectedByGoldenSet"
    REJECTED_BY_SIGNATURE = "RejectedBySignature"
    REJECTED_BY_SHADOW = "RejectedByShadow"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"
    FAILED_TO_START = "FailedToStart"
    PACKAGING_FAILED = "PackagingFailed"


class ScalingStatus(ApiModel):
    """How many replicas a revision should have, with the numbers that decided it."""

    desired: int
    """Replicas that the revision should have."""
    current: int = 0
    """Replicas that are ready."""
    signal: Annotated[str, Field(max_length=32)] = ""
    """Signal that decided: concurrency, queue, cpu or memory; empty if none did."""
    value: float | None = None
    """Value of the signal: concurrency over all replicas, queue in milliseconds, cpu and memory in
    percent."""
    target: float | None = None
    """Target of the signal for one replica, in the same unit."""
    bound_by: Annotated[str, Field(max_length=32)] | None = None
    """What kept the number from following the signal: minReplicas, maxReplicas, rollout,
    stabilization, NotReady or SignalsMissing."""
    message: Text = ""
    """The decision in words."""
    at: Time | None = None
    """When the decision last changed."""


class RevisionStatus(ApiModel):
    """A running revision."""

    revision: Revision
    """The revision, as 8 hex digits."""
    version: Text
    """`spec.model.version` that it was made from."""
    digest: Digest | None = None
    """Digest of the model's files."""
    image: Text | None = None
    """Image of the server container."""
    signed: SignedFiles | None = None
    """Who signed the model's files; absent where no signature was asked for."""
    optimized: Optimized | None = None
    """What the model was converted to; absent where no conversion was asked for."""
    warnings: Warnings | None = None
    """What was changed or left out when the model was packaged, one sentence each; absent where
    nothing was."""
    weight: Percent = 0
    """Share of requests, in percent, as every proxy has acknowledged it."""
    ready_replicas: int = 0
    """Replicas that are ready."""
    scaling: ScalingStatus | None = None
    """The scaler's decision; absent where no engine scales."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Label selector of the pods of all live revisions, for the scale subresource; with
    scaling.engine None only."""
    since: Time | None = None
    """Since when it has been stable, or the candidate."""


class AnalysisStatus(ApiModel):
    """A metric of the analysis."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the metric."""
    verdict: Annotated[str, Field(max_length=16)]
    """Pass, Fail, Inconclusive or NoData."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why, in one CamelCase word."""
    message: Text = ""
    """Why, with numbers."""
    candidate: float | None = None
    """The candidate's value, in the metric's own unit."""
    baseline: float | None = None
    """Stable's value, in the same unit."""
    limit: float | None = None
    """Largest value that the candidate may have, in the same unit."""
    samples: int = 0
    """Requests of the candidate that count."""
    baseline_samples: int = 0
    """Requests of stable that count."""
    last_check: Time | None = None
    """When the metric was last evaluated."""
    since: Time | None = None
    """Since when samples count."""
    role: Annotated[str, Field(max_length=16)] = "Required"
    """What the verdict does. Required: a Fail rolls back, and a promotion needs a Pass. Advisory: a
    Fail rolls back. Pause: a Fail holds the weight. ReportOnly: nothing."""
    looks: Annotated[list[float], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    """The candidate's last values, newest last."""
    disagreements: Disagreements | None = None
    """Of golden-set: the first cases that disagree; absent where none does, and where
    goldenSet.showCases is false."""
    state: Annotated[str, Field(max_length=STATE_LENGTH)] | None = None
    """State of the test; internal."""


class HookVerdict(StrEnum):
    """What a hook answered."""

    PASSED = "Passed"
    REJECTED = "Rejected"
    WAITING = "Waiting"
    """Neither yet; asked again with back-off."""


class HookStatus(ApiModel):
    """The last answer of a hook."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the hook."""
    step: int = 0
    """Step before which it was asked: 0 before any traffic; number of steps plus 1 in the bake."""
    weight: Percent | None = None
    """The candidate's weight at which it was asked, in percent; 100 before the promotion. An answer
    counts for this weight only, because editing the spec renumbers the steps."""
    verdict: HookVerdict
    """Passed, Rejected, or Waiting: asked again at retryAt."""
    reason: Annotated[str, Field(max_length=64)] = ""
    """Why, in one CamelCase word."""
    tries: int = 0
    """Number of requests sent."""
    retry_at: Time | None = None
    """When it is asked again."""
    at: Time | None = None
    """When it answered."""


class Before(ApiModel):
    """What a metric of the candidate was in the last step, for a bake without a control share."""

    name: Annotated[str, Field(max_length=63)]
    """Name of the metric."""
    ratio: float
    """Share of requests; ratio in [0, 1]."""
    samples: int
    """Requests counted."""


class StableRecord(ApiModel):
    """What stable was before a switch that left nothing to compare with at the same moment."""

    requests: Annotated[int, Field(ge=0)]
    """Requests that it answered since the rollout began."""
    errors: Annotated[int, Field(ge=0)]
    """Those that failed."""
    slow_millis: float | None = None
    """Time that at most 1% of its answers took longer than, in milliseconds; absent if unknown."""
    slow: Annotated[int, Field(ge=0)] = 0
    """Answers that took longer."""
    at: Time
    """When it was recorded."""


class Recreate(ApiModel):
    """How strategy Recreate stops one revision before it starts the other, and what that costs."""

    replicas: int
    """Replicas of stable before it stopped."""
    gap_started_at: Time | None = None
    """Since when nobody is answered; absent without a gap."""
    gap_seconds: float = 0
    """How long nobody was answered in this rollout, in seconds, without a gap that lasts."""


class Schedule(ApiModel):
    """Steps and deadline that were chosen when the rollout started, where the spec has none."""

    weights: Annotated[list[Percent], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    """Weights of the steps, in percent; empty if spec.rollout.steps were given."""
    deadline_seconds: int = 3600
    """Deadline of the rollout, in seconds, unless spec.rollout.deadlineSeconds is given."""
    requests_per_second: float | None = None
    """Requests per second that both were chosen for; absent if they could not be measured."""
    forecast_seconds: int | None = None
    """Time from the first weight to the promotion that was expected of a good version, in seconds;
    absent if it was unknown, or longer than the evidence is followed."""


class CapacityStatus(ApiModel):
    """How a candidate gets its replicas where there is no room beside stable's."""

    mode: Annotated[str, Field(max_length=16)] = "Swap"
    """Swap: both revisions share the places; absent as a whole in a Surge."""
    replicas: int
    """Replicas that the model has before and after the rollout."""
    places: int
    """Pods of both revisions that there may be at a time."""
    floor: int
    """Ready replicas below which Slipway takes none away."""
    missing: Text = ""
    """What there is no room for, as the scheduler or the quota says it; empty: the spec asks for a
    Swap."""
    next_weight: Percent = 0
    """Weight that replicas are being swapped for, in percent; 0: none at present."""
    gap_started_at: Time | None = None
    """Since when no replica has answered, where the only one is swapped; absent without a gap."""
    gap_seconds: float = 0
    """How long no replica answered in this rollout, in seconds, after the gap."""


class DownloadStatus(ApiModel):
    """How far the download of the model is."""

    bytes: int
    """Bytes that are there."""
    total_bytes: int | None = None
    """Bytes that are expected; absent where the source does not say."""
    bytes_per_second: int | None = None
    """Bytes per second since it began; absent where nothing has come."""
    seconds_left: int | None = None
    """Time until the rest is there at this rate, in seconds; absent where it is not known."""
    at: Time
    """When the pod that fetches was asked."""


class ShadowState(StrEnum):
    """What became of the comparison of answers."""

    OFF = "Off"
    """Nothing is compared in this rollout."""
    COMPARING = "Comparing"
    PASSED = "Passed"
    """The pairs rule harm out at `firstWeight`."""
    ENDED = "Ended"
    """It ended without a verdict: too few pairs in time, or a person skipped it."""


class ShadowDifference(ApiModel):
    """A request that stable and the candidate answered differently."""

    input_digest: Annotated[str, Field(max_length=71)]
    """sha256 of the request's body."""
    output: Annotated[str, Field(max_length=256)] | None = None
    """Name of the output; absent if one of the two did not answer."""
    text: Annotated[str, Field(max_length=256)]
    """What differs."""
    largest_difference: float | None = None
    """Largest absolute difference of two numbers at the same place."""
    at: Time
    """When it was answered."""


class ShadowStatus(ApiModel):
    """The answers of the candidate to copies of requests, beside stable's."""

    state: ShadowState
    """Off, Comparing, Passed, or Ended: without a verdict."""
    message: Text = ""
    """Why it is off, or what the pairs show."""
    since: Time | None = None
    """Since when every proxy has been copying requests."""
    since_active_seconds: int = 0
    """Active time of the rollout at that moment, in seconds."""
    pairs: int = 0
    """Requests that both were asked."""
    dropped: int = 0
    """Copies that made no pair."""
    first_weight: Percent = 0
    """Weight up to which the pairs rule out more harm than maxHarm, in percent; 0: none."""
    answers: AnswersMode = AnswersMode.AUTO
    """What follows where answers differ. Auto: Enforce, where most are stable's."""
    replicas_percent: Percent = 0
    """Share of the requests that the candidate needs replicas for while it answers copies."""
    outputs: Annotated[list[ShadowOutput], Field(max_length=64, json_schema_extra=ATOMIC)] = []
    """Rules by output, from the golden set; with an empty list the defaults of the datatypes."""
    earlier: Annotated[
        list[Annotated[str, Field(max_length=128)]],
        Field(max_length=32, json_schema_extra=ATOMIC),
    ] = []
    """Counts of earlier orders that the proxies still showed when this one was given; internal."""
    differences: Annotated[
        list[ShadowDifference], Field(max_length=5, json_schema_extra=ATOMIC)
    ] = []
    """Some of the requests that were answered differently."""


class RolloutStatus(ApiModel):
    """The current rollout, or the result of the last one."""

    stage: Stage = Stage.IDLE
    """Where the rollout stands. Failed: the environment failed, not the model."""
    underlying: Stage | None = None
    """Stage that continues when Paused or AwaitingApproval ends."""
    step: int = 0
    """Step whose weight every proxy has acknowledged, counted from 1; 0 before the first."""
    steps: int = 0
    """Number of steps."""
    attempt: int = 1
    """Number of the attempt at this version, counted from 1."""
    input: Annotated[str, Field(max_length=64)] | None = None
    """Hash of the input (spec.model, packaging and server) that is rolled out."""
    schedule: Schedule | None = None
    """Steps and deadline of this rollout, where the spec leaves them to Slipway."""
    shadow: ShadowStatus | None = None
    """How the candidate's answers compare with stable's; absent before that was decided."""
    capacity: CapacityStatus | None = None
    """How both revisions share the places that there are; absent where the candidate's replicas
    stand beside stable's."""
    started_at: Time | None = None
    """When the rollout began."""
    step_started_at: Time | None = None
    """When every proxy had acknowledged the step's weight."""
    step_active_seconds: int = 0
    """Active time of the rollout at stepStartedAt, in seconds."""
    active_seconds: int = 0
    """Active time until clockAt, in seconds; counts towards deadlineSeconds."""
    clock_at: Time | None = None
    """Since when the active clock has been running; absent while it is stopped."""
    waits_since: Time | None = None
    """Since when the rollout has been waiting for its turn, for replicas, or for proxies to
    acknowledge."""
    acked_weight: Percent = 0
    """The candidate's weight that every proxy has acknowledged, in percent."""
    approved_weight: Percent = 0
    """The candidate's weight that a person approved, in percent. A weight and not a step, because
    editing the spec renumbers the steps."""
    judged_weight: Percent = 0
    """The largest weight at which the analysis said Pass in this rollout, in percent; 0: none."""
    stable_down_since: Time | None = None
    """Since when stable has had no ready replica, by the operator's clock; absent while it has."""
    failures: int = 0
    """Consecutive attempts that the environment failed; they set the back-off."""
    retry_at: Time | None = None
    """When the next attempt begins."""
    paused: bool = False
    """Paused by the action `pause`, independent of spec.paused."""
    unjudged: Annotated[str, Field(max_length=256)] | None = None
    """Who or what skipped the analysis, so that the candidate gets all traffic at once."""
    before: Annotated[list[Before], Field(max_length=4, json_schema_extra=list_map("name"))] = []
    """The candidate's metrics in the last step, for a bake without a control share."""
    recreate: Recreate | None = None
    """The gap of strategy Recreate; absent with other strategies, and where nothing served."""
    recorded: StableRecord | None = None
    """What stable was before the switch of strategies BlueGreen and Recreate; absent before it, and
    where too few requests were counted."""
    download: DownloadStatus | None = None
    """How far the download of the model is; absent while nothing is fetched, and in the first
    seconds."""
    alarm: Text | None = None
    """Why a bake without a control share gave traffic back to stable."""
    alarm_step_started_at: Time | None = None
    """When every proxy had acknowledged the weight at which that was found."""
    skipped_weight: Percent = 0
    """Weight whose hold and analysis the action `skip` ended, in percent; 0 means none."""
    skipped: Annotated[str, Field(max_length=256)] | None = None
    """Steps that the action `skip` ended, and who asked for it."""
    outcome: Outcome | None = None
    """How the rollback that is under way will be recorded in the history."""
    cause: Text = ""
    """Why it is rolled back: reason and numbers."""
    message: Text = ""
    """What the rollout is doing, or waiting for."""
    analysis: Annotated[
        list[AnalysisStatus], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = []
    """Metrics of the analysis."""
    hooks: Annotated[
        list[HookStatus], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = []
    """Answers of the hooks."""


class AfterPromotionStatus(ApiModel):
    """What a promoted revision was in its own rollout, and what became worse since."""

    revision: Revision
    """Revision that was promoted."""
    until: Time
    """Until when it is watched."""
    requests: int
    """Requests that it had answered when it was promoted."""
    errors: int
    """Errors among them."""
    slow_millis: float | None = None
    """Latency that at most 1% of them exceeded, in milliseconds; absent if it was not counted."""
    slow: int = 0
    """Requests that exceeded it."""
    finding: Text | None = None
    """What became worse, with numbers; absent while nothing did."""
    found_at: Time | None = None
    """When that was found."""


class LastRollback(ApiModel):
    """The most recent rollback."""

    from_: Annotated[Revision, Field(alias="from")]
    """Revision that lost the traffic."""
    to: Revision | None = None
    """Revision that got the traffic."""
    trigger: Text
    """Why it was rolled back: reason and numbers."""
    metric: Annotated[str, Field(max_length=63)] | None = None
    """Metric or hook that caused it, the largest contributor of several; absent if none did."""
    decided_at: Time
    """When the rollback was decided."""
    traffic_restored_at: Time | None = None
    """When every proxy had given the traffic back."""
    capacity_restored_at: Time | None = None
    """When the revision that got the traffic had all its replicas."""


class Hold(ApiModel):
    """A version that a person took out; it stays out until the spec changes or `retry` is used."""

    input: Annotated[str, Field(max_length=64)]
    """Hash of the input that is held."""
    reason: Text
    """Who took it out, and how."""
    revision: Revision | None = None
    """Earlier revision that serves instead, if a person chose one."""


class SourceStatus(ApiModel):
    """The last look at the source, where it was looked at more than once."""

    input: Annotated[str, Field(max_length=64)]
    """Hash of the input that names the source."""
    revision: Revision | None = None
    """The revision that its bytes are."""
    looked_at: Time | None = None
    """When they were looked at."""
    asked_at: Time | None = None
    """Since when another look is asked for, by `retry` or by the clock."""


class Rejected(ApiModel):
    """A revision that was rejected because of evidence against it."""

    revision: Revision
    """The revision, as 8 hex digits."""
    version: Text
    """`spec.model.version` that it was made from."""
    digest: Digest | None = None
    """Digest of the model's files."""
    outcome: Outcome
    """How it ended."""
    reason: Text
    """The evidence against it."""
    golden_set: Annotated[str, Field(max_length=64)] | None = None
    """Hash of the golden set that rejected it; another golden set lifts the rejection."""
    at: Time
    """When it was rejected."""


class Level(ApiModel):
    """What a revision was in its own rollout, for a watch after it came back."""

    requests: int
    """Requests that it had answered when it was promoted."""
    errors: int
    """Errors among them."""
    slow_millis: float | None = None
    """Latency that at most 1% of them exceeded, in milliseconds; absent if it was not counted."""
    slow: int = 0
    """Requests that exceeded it."""


class HistoryEntry(ApiModel):
    """How a revision ended."""

    revision: Revision | None = None
    """The revision, as 8 hex digits; absent if packaging failed."""
    version: Text
    """`spec.model.version` that it was made from."""
    outcome: Outcome
    """How it ended; RolledBack also of a first version that evidence rejected, though nothing had
    served before it."""
    reason: Text = ""
    """Why: reason and numbers."""
    unjudged: Text | None = None
    """Who or what skipped the analysis; absent if it was judged."""
    against: Text | None = None
    """What spoke against the revision that this one replaced: a finding after its promotion, or the
    person who rolled it back; absent if nothing did."""
    level: Level | None = None
    """What it was in its rollout; absent if it was not judged, or had too few requests."""
    at: Time
    """When it ended."""


class LastAction(ApiModel):
    """An action and what became of it."""

    id: int
    """Id of the action, Unix time in milliseconds; an action with a smaller one has no effect."""
    earlier: Annotated[list[int], Field(max_length=10, json_schema_extra=ATOMIC)] = []
    """Ids of the actions before it, newest last; applying one of them again has no effect."""
    verb: Annotated[str, Field(max_length=32)]
    """The action: promote, approve, skip, abort, rollback, retry, pause or resume."""
    by: Text = "unverified"
    """Who asked for it."""
    at: Time
    """When it was carried out or refused."""
    result: Text
    """`Done`, or `Refused:` and why."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Why it was refused, one of the reasons of the page Reasons; absent when it was done."""
    request_reason: Text | None = None
    """Why it was asked for, in the words of who asked; absent where they did not say."""


class Endpoints(ApiModel):
    """Where clients inside the cluster reach the model."""

    http: Text
    """URL for HTTP."""
    grpc: Text | None = None
    """host:port for gRPC; absent if the server does not offer it."""
    candidate: Text | None = None
    """Header that reaches the candidate; absent if none is set, or no candidate takes requests."""
    preview: Text | None = None
    """URL that leads past the router to the candidate of strategy BlueGreen, and to stable while
    there is none; absent with other strategies, and where the model has TLS or traffic.access."""


class GatewayStatus(ApiModel):
    """What is asked of gateways: it is in force where the condition GatewayReady says so."""

    gateways: Annotated[list[Text], Field(max_length=8, json_schema_extra=ATOMIC)] = []
    """Gateways, as `<namespace>/<name>`."""
    hostnames: Annotated[list[Text], Field(max_length=16, json_schema_extra=ATOMIC)] = []
    """Hostnames that the routes have there; `*`: whatever a listener takes."""


class ModelDeploymentStatus(ApiModel):
    """What users read back. Slipway writes it."""

    conditions: Annotated[
        list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))
    ] = []
    """The state of the object, for people and tools."""
    observed_generation: int = 0
    """metadata.generation of the spec that this status is about."""
    stable: RevisionStatus | None = None
    """The revision that serves."""
    candidate: RevisionStatus | None = None
    """The revision that is being rolled out."""
    rollout: RolloutStatus | None = None
    after_promotion: AfterPromotionStatus | None = None
    last_rollback: LastRollback | None = None
    hold: Hold | None = None
    source: SourceStatus | None = None
    rejected: Annotated[list[Rejected], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    """Revisions that stay out until `retry` is used."""
    history: Annotated[list[HistoryEntry], Field(max_length=50, json_schema_extra=ATOMIC)] = []
    """How revisions ended."""
    last_action: LastAction | None = None
    """The most recent action that was carried out or refused."""
    refused_action: LastAction | None = None
    """The most recent action that had no effect because of its id: not newer than lastAction's,
    older than the object, or ahead of the operator's clock."""
    endpoints: Endpoints | None = None
    gateway: GatewayStatus | None = None
