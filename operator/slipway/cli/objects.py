"""A ModelDeployment as this program sees it: parsed once, tolerant of older and newer operators.

These classes mirror those of `slipway.api` on purpose (docs/decisions/0011), and are the one place
where a new status field is added: `slipway.cli.wire` reads and prints it by its name and type.
Their JSON form is what ``--json`` prints. Fields are only ever added.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from slipway.api.names import ANNOTATION_ACTION
from slipway.api.plain_text import printable
from slipway.api.reasons import Reason
from slipway.cli.time_format import seconds_since
from slipway.cli.wire import load, wire_field
from slipway.policy.swap import fit_weight

ACTION_ID = re.compile(r"#(\d{1,16})$")
HEALING = frozenset(reason.value for reason in Reason if reason.heals_by_itself)
"""Reasons after which the operator tries again; one that this program does not know is not."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the rollout's policy."""

    weight: int
    hold_seconds: int = 0
    needs_approval: bool = field(
        default=False, metadata=wire_field("approval", parse=lambda raw: raw == "Required")
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """How the user wants rollouts to go; the defaults are the CRD's."""

    steps: tuple[Step, ...] | None = field(default=None, metadata=wire_field("rollout", "steps"))
    """None: chosen from the request rate when a rollout starts."""
    bake_seconds: int = field(default=600, metadata=wire_field("rollout", "bakeSeconds"))
    bake_control_percent: int = field(
        default=5, metadata=wire_field("rollout", "bakeControlPercent")
    )
    deadline_seconds: int | None = field(
        default=None, metadata=wire_field("rollout", "deadlineSeconds")
    )
    """None: by what the rollout is expected to take."""
    shadow: str = field(default="Auto", metadata=wire_field("rollout", "shadow", "mode"))
    shadow_seconds: int | None = field(
        default=None, metadata=wire_field("rollout", "shadow", "maxSeconds")
    )
    """None: by the request rate."""
    mode: str = field(default="Auto", metadata=wire_field("rollout", "analysis", "mode"))
    interval_seconds: int = field(
        default=5, metadata=wire_field("rollout", "analysis", "intervalSeconds")
    )
    min_samples: int = field(default=50, metadata=wire_field("rollout", "analysis", "minSamples"))
    on_inconclusive: str = field(
        default="Pause", metadata=wire_field("rollout", "analysis", "onInconclusive")
    )
    automatic_rollback: bool = field(
        default=True,
        metadata=wire_field("rollback", "automatic", parse=lambda raw: raw != "Disabled"),
    )
    paused: bool = False
    """By the spec; `Rollout.paused` is the action's."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas the spec asks for, and who decides."""

    engine: str = "Auto"
    min_replicas: int = 1
    max_replicas: int | None = None
    replicas: int | None = None
    """Where an autoscaler of the user's scales: engine None."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many replicas a revision should have, and why."""

    desired: int
    current: int = 0
    signal: str = ""
    value: float | None = None
    target: float | None = None
    """Per replica, in the unit of the value."""
    bound_by: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """The last answer of a webhook that is asked before the weight rises."""

    name: str
    step: int
    verdict: str
    reason: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file that a signature covers."""

    name: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """Who signed a model's files."""

    signer: str
    key: str = ""
    count: int = 0
    files: tuple[SignedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Optimized:
    """What a model was converted to."""

    precision: str
    bytes_before: int = 0
    bytes: int = 0
    cpu_milliseconds_before: float | None = None
    cpu_milliseconds: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision that runs."""

    revision: str
    version: str
    weight: int = 0
    ready_replicas: int = 0
    since: datetime | None = None
    image: str = ""
    digest: str = ""
    signed: SignedFiles | None = None
    optimized: Optimized | None = None
    warnings: tuple[str, ...] = ()
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class CaseDifference:
    """A case of the golden set that was answered otherwise than expected: first values."""

    name: str
    text: str = ""
    input: str = ""
    expected: str = ""
    got: str = ""
    """Empty where there was no answer."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the analysis."""

    name: str
    verdict: str
    reason: str = ""
    message: str = ""
    candidate: float | None = None
    stable: float | None = field(default=None, metadata=wire_field("baseline"))
    limit: float | None = None
    samples: int = 0
    stable_samples: int = field(default=0, metadata=wire_field("baselineSamples"))
    role: str = "Required"
    """Required: promotion waits for its Pass, a Fail rolls back. Pause: waits too, and a Fail asks
    a person. Advisory: only rolls back. ReportOnly: neither."""
    since: datetime | None = None
    """From when on its samples count."""
    last_check: datetime | None = None
    looks: tuple[float, ...] = ()
    """The candidate's last values, the newest last; where the operator keeps them."""
    disagreements: tuple[CaseDifference, ...] = ()
    """Of golden-set: the first cases that disagree, where the operator tells them."""


@dataclass(frozen=True, slots=True)
class SharedPlaces:
    """How a candidate gets its replicas where there is no room beside stable's."""

    mode: str = "Swap"
    replicas: int = 0
    places: int = 0
    floor: int = 0
    missing: str = ""
    next_weight: int = 0
    gap_started_at: datetime | None = None
    gap_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps and deadline that were chosen when the rollout started, where the spec has none."""

    weights: tuple[int, ...] = ()
    deadline_seconds: int = 3600
    requests_per_second: float | None = None
    forecast_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerDifference:
    """A request that stable and the candidate answered differently."""

    text: str = ""
    input_digest: str = ""


@dataclass(frozen=True, slots=True)
class ShadowComparison:
    """How the candidate's answers to copies of requests compare with stable's."""

    state: str = "Off"
    message: str = ""
    since: datetime | None = None
    since_active_seconds: int = 0
    pairs: int = 0
    dropped: int = 0
    first_weight: int = 0
    differences: tuple[AnswerDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout under way, or how the last one ended."""

    stage: str = "Idle"
    underlying: str = ""
    step: int = 0
    steps: int = 0
    attempt: int = 1
    acked_weight: int = 0
    schedule: Schedule | None = None
    shadow: ShadowComparison | None = None
    capacity: SharedPlaces | None = None
    """None: the candidate's replicas stand beside stable's."""
    started_at: datetime | None = None
    step_started_at: datetime | None = None
    step_active_seconds: int = 0
    active_seconds: int = 0
    clock_at: datetime | None = None
    retry_at: datetime | None = None
    paused: bool = False
    unjudged: str = ""
    """Who or what skips the evidence: the candidate goes straight to 100%."""
    skipped: str = ""
    """Steps that `skip` cut short, and who asked."""
    cause: str = ""
    message: str = ""
    metrics: tuple[Metric, ...] = field(default=(), metadata=wire_field("analysis"))
    hooks: tuple[Hook, ...] = ()

    def active_seconds_at(self, now: datetime) -> float:
        """Return the seconds of active time so far; the deadline counts these."""
        return self.active_seconds + max(0.0, seconds_since(self.clock_at, now) or 0.0)

    def step_seconds_at(self, now: datetime) -> float:
        """Return the seconds of active time since every proxy had the step's weight."""
        return self.active_seconds_at(now) - self.step_active_seconds


@dataclass(frozen=True, slots=True)
class Condition:
    """One claim about the object."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = field(default=None, metadata=wire_field("lastTransitionTime"))

    @property
    def heals_by_itself(self) -> bool:
        """Whether the reason is trouble after which the operator tries again by itself."""
        return self.reason in HEALING


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """How a revision ended."""

    version: str
    outcome: str
    revision: str = ""
    reason: str = ""
    unjudged: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastAction:
    """An action that the operator has answered."""

    id: int
    verb: str
    by: str = "unverified"
    result: str = ""
    reason: str = ""
    """Why it was refused, in one word; empty where it was not."""
    request_reason: str = ""
    """Why it was asked for, in the words of who asked; empty where they did not say."""
    at: datetime | None = None

    @property
    def answer(self) -> str:
        """What became of it, and why it was asked for."""
        return (
            f"{self.result}; reason: {self.request_reason}" if self.request_reason else self.result
        )


@dataclass(frozen=True, slots=True)
class PendingAction:
    """An action that the operator has not answered yet."""

    id: int
    text: str
    """The annotation's value."""


@dataclass(frozen=True, slots=True)
class AfterPromotion:
    """What a promoted revision is watched against, and what became worse."""

    revision: str
    until: datetime | None = None
    requests: int = 0
    errors: int = 0
    slow_millis: float | None = None
    slow: int = 0
    finding: str = ""
    """Empty while nothing became worse."""
    found_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LastRollback:
    """The newest rollback."""

    from_revision: str = field(metadata=wire_field(json_key="from"))
    to_revision: str = field(metadata=wire_field(json_key="to"))
    """Empty where nothing served before."""
    trigger: str
    metric: str = ""
    decided_at: datetime | None = None
    traffic_restored_at: datetime | None = None


def _pending_action(raw: object) -> PendingAction | None:
    """Return the action that the annotation asks for; None where its id cannot be read."""
    text = printable(str(raw))
    found = ACTION_ID.search(text)
    return None if found is None else PendingAction(id=int(found[1]), text=text)


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    """All that the screens are drawn from; without a path of its own a field is the status'."""

    namespace: str = field(metadata=wire_field("metadata", "namespace"))
    name: str = field(metadata=wire_field("metadata", "name"))
    version: str = field(default="", metadata=wire_field("spec", "model", "version"))
    """Of the spec: what the user asks for."""
    model_name: str = field(default="", metadata=wire_field("spec", "model", "name"))
    """Of the spec; empty: the object's."""
    generation: int = field(default=0, metadata=wire_field("metadata", "generation"))
    observed_generation: int = 0
    created_at: datetime | None = field(
        default=None, metadata=wire_field("metadata", "creationTimestamp")
    )
    policy: Policy = field(default=Policy(), metadata=wire_field("spec"))
    replicas: Replicas = field(default=Replicas(), metadata=wire_field("spec", "scaling"))
    stable: Revision | None = None
    candidate: Revision | None = None
    rollout: Rollout = Rollout()
    conditions: tuple[Condition, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    after_promotion: AfterPromotion | None = None
    last_rollback: LastRollback | None = None
    last_action: LastAction | None = None
    refused_action: LastAction | None = None
    """The newest action that did not count because of its id."""
    pending_action: PendingAction | None = field(
        default=None,
        metadata=wire_field("metadata", "annotations", ANNOTATION_ACTION, parse=_pending_action),
    )
    hold: str = field(default="", metadata=wire_field("hold", "reason"))
    """Why the spec's input stays out although nothing is against it."""
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def served_name(self) -> str:
        """The name by which clients ask Triton for the model."""
        return self.model_name or self.name

    @property
    def is_observed(self) -> bool:
        """Whether the operator has seen the newest spec."""
        return self.observed_generation >= self.generation

    @property
    def steps(self) -> tuple[Step, ...] | None:
        """The steps of the rollout under way; None: they are chosen when it starts."""
        steps = self.policy.steps
        if steps is None:
            schedule = self.rollout.schedule
            if schedule is None or not schedule.weights:
                return None
            steps = tuple(Step(weight=weight) for weight in schedule.weights)
        shared = self.rollout.capacity
        if shared is None:
            return steps
        fitted = {fit_weight(step.weight, shared.places): step for step in steps}
        return tuple(replace(step, weight=weight) for weight, step in fitted.items())

    @property
    def deadline_seconds(self) -> int:
        """The active time that the rollout under way has, in seconds."""
        if self.policy.deadline_seconds is not None:
            return self.policy.deadline_seconds
        return (self.rollout.schedule or Schedule()).deadline_seconds

    @property
    def is_paused(self) -> bool:
        """Whether the spec or the action `pause` holds it; the stage says so only before a step."""
        return self.policy.paused or self.rollout.paused

    @property
    def ready_reason(self) -> str:
        """Why the spec is not promoted yet, or that it is, in one word."""
        ready = self.condition("Ready")
        return ready.reason if ready is not None else ""

    @property
    def ready_message(self) -> str:
        """The same as a sentence."""
        ready = self.condition("Ready")
        return (ready.message if ready is not None else "") or self.rollout.message

    @property
    def stalled(self) -> Condition | None:
        """The condition Stalled, where it holds."""
        return self.condition("Stalled") if self.holds("Stalled") else None

    @property
    def needs_person(self) -> bool:
        """Whether it goes on only when a person or a new commit acts."""
        return self.stalled is not None and not self.stalled.heals_by_itself

    @property
    def trouble(self) -> Condition | None:
        """What keeps the operator from its work, and heals by itself when the cause is gone.

        The operator says it as Stalled, or in Ready's reason where no tool may give it up.
        """
        for found in (self.stalled, self.condition("Ready")):
            if found is not None:
                return found if found.heals_by_itself else None
        return None

    def condition(self, kind: str) -> Condition | None:
        """Return a condition, or None where it is absent."""
        return next((entry for entry in self.conditions if entry.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Return whether a condition is True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"


def parse_model_deployment(manifest: Mapping[str, object]) -> ModelDeployment:
    """Return the ModelDeployment that kubectl printed, as far as it can be understood."""
    status = manifest.get("status")
    md = load(ModelDeployment, {**manifest, **(status if isinstance(status, dict) else {})})

    pending, last, refused = md.pending_action, md.last_action, md.refused_action
    if pending is None:
        return md
    is_answered = last is not None and pending.id <= last.id
    is_refused = refused is not None and pending.id == refused.id
    return replace(md, pending_action=None) if is_answered or is_refused else md
