"""What a rollout remembers from one pass to the next: typed values, and their wire form.

`status.rollout` is the wire form. It is read here once a pass, and made here once a pass; between
the two the state machine works on `RolloutMemory`, which mypy checks field by field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.api.modeldeployment import (
    AnalysisStatus,
    Before,
    CapacityStatus,
    HookStatus,
    HookVerdict,
    Outcome,
    Recreate,
    RolloutStatus,
    Schedule,
    ShadowStatus,
    StableRecord,
    Stage,
)
from slipway.api.times import from_wire, to_wire


@dataclass(frozen=True, slots=True)
class HookMemory:
    """The last answer of one hook."""

    name: str
    step: int
    """Where it was asked: 0 before traffic, else the step; one more than there are: the bake."""
    weight: int | None
    """The candidate's weight that it was asked about; 100 before the promotion. None: an entry of
    an older release, which is known by its step."""
    verdict: HookVerdict
    reason: str
    """CamelCase, of Slipway: nothing of a response is repeated."""
    tries: int
    at: datetime | None
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShareBefore:
    """A share of the candidate's requests, before it had all of them."""

    name: str
    """The metric's."""
    share: float
    samples: int


@dataclass(frozen=True, slots=True)
class RolloutMemory:
    """The rollout under way, or the last word on the one that ended."""

    stage: Stage = Stage.IDLE
    """The machine's own; what people see may be Paused or AwaitingApproval over it."""
    step: int = 0
    """Step of the acknowledged weight, from 1; 0: before the first."""
    attempt: int = 1
    input: str | None = None
    """Hash of the input that is rolled out."""
    schedule: Schedule | None = None
    """Steps and deadline that were chosen from the traffic; None: not yet, or not asked for."""
    shadow: ShadowStatus | None = None
    """How the candidate's answers compare with stable's; None: not decided yet."""
    capacity: CapacityStatus | None = None
    """The places that both revisions share; None: the candidate's stand beside stable's."""
    started_at: datetime | None = None
    step_started_at: datetime | None = None
    """When every proxy had acknowledged the step's weight."""
    step_active_seconds: int = 0
    """Reading of the active clock at that moment."""
    active_seconds: int = 0
    """Active time before `clock_at`; the deadline counts these."""
    clock_at: datetime | None = None
    """Since when the clock runs; None while it stands still."""
    waits_since: datetime | None = None
    """Since when it has been waiting for its turn, for replicas, or for the proxies to take a
    weight."""
    acked_weight: int = 0
    """The candidate's weight that every proxy has in force."""
    approved_weight: int = 0
    """The weight that a person let the candidate have; steps move when the spec is edited."""
    judged_weight: int = 0
    """The largest weight at which the analysis said Pass in this rollout; 0: none."""
    stable_down_since: datetime | None = None
    """Since when stable has had no ready replica, by this operator's clock; None: it has some."""
    failures: int = 0
    """Attempts in a row that the environment failed; sets the back-off."""
    retry_at: datetime | None = None
    paused: bool = False
    """By the action `pause`; counts beside spec.paused."""
    unjudged: str | None = None
    """Who or what skips the evidence: set, the candidate goes straight to 100%."""
    before: tuple[ShareBefore, ...] = ()
    """What the last step showed, where the bake leaves stable no traffic to compare with."""
    recreate: Recreate | None = None
    """The gap of strategy Recreate; None: the candidate starts beside stable."""
    recorded: StableRecord | None = None
    """What stable was before the switch, where a rollout has one."""
    alarm: str | None = None
    """Why a bake without control gave a share back to stable."""
    alarm_step_started_at: datetime | None = None
    """When every proxy had acknowledged the weight at which that was found."""
    skipped_weight: int = 0
    """The weight whose waiting the action `skip` cut short; 0: none."""
    skipped: str | None = None
    """Steps that the action `skip` cut short, and who asked."""
    outcome: Outcome | None = None
    """What the roll back under way will be recorded as."""
    cause: str = ""
    """Why it is rolled back: reason and numbers."""
    analysis: tuple[AnalysisStatus, ...] = ()
    """Judgements as they were stored, the check's among them."""
    hooks: tuple[HookMemory, ...] = ()


def from_status(status: RolloutStatus) -> RolloutMemory:
    """Read the wire form; the stage is the underlying one."""
    return RolloutMemory(
        stage=status.underlying or status.stage,
        step=status.step,
        attempt=status.attempt,
        input=status.input,
        schedule=status.schedule,
        shadow=status.shadow,
        capacity=status.capacity,
        started_at=from_wire(status.started_at),
        step_started_at=from_wire(status.step_started_at),
        step_active_seconds=status.step_active_seconds,
        active_seconds=status.active_seconds,
        clock_at=from_wire(status.clock_at),
        waits_since=from_wire(status.waits_since),
        acked_weight=status.acked_weight,
        approved_weight=status.approved_weight,
        judged_weight=status.judged_weight,
        stable_down_since=from_wire(status.stable_down_since),
        failures=status.failures,
        retry_at=from_wire(status.retry_at),
        paused=status.paused,
        unjudged=status.unjudged,
        before=tuple(ShareBefore(it.name, it.ratio, it.samples) for it in status.before),
        recreate=status.recreate,
        recorded=status.recorded,
        alarm=status.alarm,
        alarm_step_started_at=from_wire(status.alarm_step_started_at),
        skipped_weight=status.skipped_weight,
        skipped=status.skipped,
        outcome=status.outcome,
        cause=status.cause,
        analysis=tuple(status.analysis),
        hooks=tuple(_hook_from_status(entry) for entry in status.hooks),
    )


def to_status(
    memory: RolloutMemory,
    *,
    stage: Stage,
    steps: int,
    message: str,
    analysis: Sequence[AnalysisStatus],
) -> RolloutStatus:
    """Return the wire form, with the stage and the message that people see."""
    return RolloutStatus(
        stage=stage,
        underlying=memory.stage if stage is not memory.stage else None,
        step=memory.step,
        steps=steps,
        attempt=memory.attempt,
        input=memory.input,
        schedule=memory.schedule,
        shadow=memory.shadow,
        capacity=memory.capacity,
        started_at=_to_wire_or_none(memory.started_at),
        step_started_at=_to_wire_or_none(memory.step_started_at),
        step_active_seconds=memory.step_active_seconds,
        active_seconds=memory.active_seconds,
        clock_at=_to_wire_or_none(memory.clock_at),
        waits_since=_to_wire_or_none(memory.waits_since),
        acked_weight=memory.acked_weight,
        approved_weight=memory.approved_weight,
        judged_weight=memory.judged_weight,
        stable_down_since=_to_wire_or_none(memory.stable_down_since),
        failures=memory.failures,
        retry_at=_to_wire_or_none(memory.retry_at),
        paused=memory.paused,
        unjudged=memory.unjudged,
        before=[Before(name=it.name, ratio=it.share, samples=it.samples) for it in memory.before],
        recreate=memory.recreate,
        recorded=memory.recorded,
        alarm=memory.alarm,
        alarm_step_started_at=_to_wire_or_none(memory.alarm_step_started_at),
        skipped_weight=memory.skipped_weight,
        skipped=memory.skipped,
        outcome=memory.outcome,
        cause=memory.cause,
        message=message,
        analysis=list(analysis),
        hooks=[_hook_to_status(entry) for entry in memory.hooks],
    )


def _hook_from_status(entry: HookStatus) -> HookMemory:
    return HookMemory(
        name=entry.name,
        step=entry.step,
        weight=entry.weight,
        verdict=entry.verdict,
        reason=entry.reason,
        tries=entry.tries,
        at=from_wire(entry.at),
        retry_at=from_wire(entry.retry_at),
    )


def _hook_to_status(entry: HookMemory) -> HookStatus:
    return HookStatus(
        name=entry.name,
        step=entry.step,
        weight=entry.weight,
        verdict=entry.verdict,
        reason=entry.reason,
        tries=entry.tries,
        retry_at=_to_wire_or_none(entry.retry_at),
        at=_to_wire_or_none(entry.at),
    )


def _to_wire_or_none(moment: datetime | None) -> str | None:
    return to_wire(moment) if moment is not None else None
