"""A ModelDeployment as this program knows it: parsed once, by `slipway.cli.read`.

Its JSON form is what ``--json`` prints: names in camelCase, moments as RFC 3339, every key always
there. Fields are only ever added.
"""

from dataclasses import dataclass, field
from datetime import datetime

from slipway.cli.times import seconds_since

HEALS = frozenset(
    {"Refused", "Forbidden", "WebhookUnavailable", "ClusterUnavailable", "InternalError"}
)
"""Reasons that go away with their cause: the operator tries again by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the rollout's policy."""

    weight: int
    hold_seconds: int = 0
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How the user wants rollouts to go; the defaults are the CRD's."""

    steps: tuple[Step, ...] = ()
    bake_seconds: int = 600
    bake_control_percent: int = 5
    deadline_seconds: int = 3600
    mode: str = "Auto"
    interval_seconds: int = 5
    min_samples: int = 50
    on_inconclusive: str = "Pause"
    automatic_rollback: bool = True
    paused: bool = False
    """By the spec; `Rollout.paused` is the action's."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas the spec asks for, and who decides."""

    engine: str = "Auto"
    min_replicas: int = 1
    max_replicas: int | None = None
    replicas: int | None = None
    """Where somebody else scales: engine None."""


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
    """The last word of a webhook that is asked before the weight rises."""

    name: str
    step: int
    verdict: str
    reason: str = ""
    retry_at: datetime | None = None


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
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the analysis."""

    name: str
    verdict: str
    reason: str = ""
    message: str = ""
    candidate: float | None = None
    stable: float | None = None
    limit: float | None = None
    samples: int = 0
    stable_samples: int = 0
    role: str = "Required"
    """Required: promotion waits for its Pass, a Fail rolls back. Pause: waits too, and a Fail asks
    a person. Advisory: only rolls back. ReportOnly: neither."""
    since: datetime | None = None
    """From when on its samples count."""
    last_check: datetime | None = None
    looks: tuple[float, ...] = ()
    """The candidate's number at the last looks, the newest last; where the operator keeps them."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout under way, or the last word on the one that ended."""

    stage: str = "Idle"
    underlying: str = ""
    step: int = 0
    steps: int = 0
    attempt: int = 1
    acked_weight: int = 0
    started_at: datetime | None = None
    step_started_at: datetime | None = None
    step_active_seconds: int = 0
    active_seconds: int = 0
    clock_at: datetime | None = None
    retry_at: datetime | None = None
    paused: bool = False
    unjudged: str = ""
    """Who or what skips the evidence: the candidate goes straight to 100."""
    skipped: str = ""
    """Steps that `skip` cut short, and who asked."""
    cause: str = ""
    message: str = ""
    metrics: tuple[Metric, ...] = ()
    hooks: tuple[Hook, ...] = ()

    def active(self, now: datetime) -> float:
        """Return the seconds of active time so far; the deadline counts these."""
        return self.active_seconds + max(0.0, seconds_since(self.clock_at, now) or 0.0)

    def active_in_step(self, now: datetime) -> float:
        """Return the seconds of active time since every proxy had the step's weight."""
        return self.active(now) - self.step_active_seconds


@dataclass(frozen=True, slots=True)
class Condition:
    """One claim about the object."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = None


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
    """The newest action that the operator answered."""

    id: int
    verb: str
    by: str
    result: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The action annotation, while its id is newer than the last answered one."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class LastRollback:
    """The newest roll back."""

    from_: str
    to: str
    trigger: str
    metric: str = ""
    decided_at: datetime | None = None
    traffic_restored_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelDeployment:
    """All that the screens are drawn from."""

    namespace: str
    name: str
    version: str = ""
    """Of the spec: what the user asks for."""
    generation: int = 0
    observed_generation: int = 0
    created_at: datetime | None = None
    policy: Policy = Policy()
    replicas: Replicas = Replicas()
    stable: Revision | None = None
    candidate: Revision | None = None
    rollout: Rollout = Rollout()
    conditions: tuple[Condition, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    last_rollback: LastRollback | None = None
    last_action: LastAction | None = None
    refused_action: LastAction | None = None
    """Did not count because of its id."""
    pending_action: Pending | None = None
    hold: str = ""
    """Why the spec's input stays out although nothing is against it."""
    endpoints: dict[str, str] = field(default_factory=dict)

    @property
    def is_seen(self) -> bool:
        """Whether the operator has seen the newest spec."""
        return self.observed_generation >= self.generation

    @property
    def is_paused(self) -> bool:
        """Whether the spec or the action `pause` holds it; the stage says so only before a step."""
        return self.policy.paused or self.rollout.paused

    @property
    def reason(self) -> str:
        """Why the spec is not promoted yet, or that it is, in one word."""
        found = self.condition("Ready")
        return found.reason if found is not None else ""

    @property
    def stalled(self) -> Condition | None:
        """The condition Stalled, where it holds."""
        return self.condition("Stalled") if self.holds("Stalled") else None

    @property
    def trouble(self) -> Condition | None:
        """What keeps the operator from its work, and heals by itself when the cause is gone.

        The operator says it as Stalled, or in Ready's reason where no tool may give it up.
        """
        for found in (self.stalled, self.condition("Ready")):
            if found is not None:
                return found if found.reason in HEALS else None
        return None

    def condition(self, kind: str) -> Condition | None:
        """Return a condition, or None where it is absent."""
        return next((entry for entry in self.conditions if entry.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Return whether a condition is True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"
