"""What happens next, and when: from the status and the policy in the spec."""

from collections.abc import Callable
from datetime import datetime, timedelta

from slipway.cli.objects import ModelDeployment, Step
from slipway.cli.times import clock, duration

Say = Callable[..., str]
"""Makes a command line about the object: ``say("approve")``."""
CLOCKED = frozenset({"Starting", "Checking", "Progressing", "Baking"})
"""Stages whose clocks stand while it is paused."""
AWAITED = frozenset({"Required", "Pause"})
"""Roles of metrics whose Pass the next step waits for."""
DECIDED = frozenset({"RevisionRejected", "Held"})


def coming(md: ModelDeployment, now: datetime, say: Say) -> list[str]:
    """Return what happens next, the most important first."""
    said = []
    if md.pending_action is not None:
        said.append(f"the operator has yet to answer the action {md.pending_action.text}")
    if not md.is_seen:
        return [*said, "the operator has not looked at the newest spec yet"]
    if md.trouble is not None:
        return [*said, f"it goes on by itself when the cause is gone: {md.trouble.message}"]
    if md.is_paused and md.rollout.stage in CLOCKED:
        return [*said, *_paused(md, now, say)]
    stage = STAGES.get(md.rollout.stage, _unknown)
    return [*said, *stage(md, now, say)]


def _unknown(md: ModelDeployment, _now: datetime, _say: Say) -> list[str]:
    return [f"this program does not know the stage {md.rollout.stage}"]


def _idle(md: ModelDeployment, _now: datetime, say: Say) -> list[str]:
    stalled = md.condition("Stalled")
    if stalled is not None and stalled.reason in DECIDED:
        return [f"nothing until the spec changes, or: {say('retry')}"]
    if stalled is not None:
        return [f"nothing until the cause is gone: {stalled.message or stalled.reason}"]
    if md.stable is None:
        return ["the operator has not begun with it yet: kubectl get pods -n slipway-system"]
    return ["nothing: a change of the spec starts the next rollout"]


def _packaging(md: ModelDeployment, now: datetime, _say: Say) -> list[str]:
    return ["its replicas start when the package is made", *_retry(md, now)]


def _starting(md: ModelDeployment, now: datetime, _say: Say) -> list[str]:
    return ["the checks begin when every replica is ready", *_deadline(md, now)]


def _checking(md: ModelDeployment, now: datetime, _say: Say) -> list[str]:
    return [f"{target(md, 0)} when the checks pass", *_deadline(md, now)]


def _progressing(md: ModelDeployment, now: datetime, say: Say) -> list[str]:
    weight = md.rollout.acked_weight
    goal = target(md, weight)
    if md.holds("Stalled"):
        return [f"a person decides: {say('abort')}", f"or: {say('promote')}"]
    if md.rollout.step_started_at is None:
        return [f"{goal} when every proxy has learnt the candidate", *_deadline(md, now)]
    advance = _obstacle(md) or _advance(md, goal, now)
    return [advance, _failing(md), *_deadline(md, now)]


def _obstacle(md: ModelDeployment) -> str:
    """Return what the operator itself waits for, whatever the metrics say; empty: nothing."""
    match md.reason:
        case "AwaitingCapacity":
            return f"it goes on as soon as it has the capacity: {_said(md)}"
        case "AwaitingAcknowledgement":
            return f"it is judged from when every proxy has its weight: {_said(md)}"
        case _:
            return ""


def _said(md: ModelDeployment) -> str:
    ready = md.condition("Ready")
    return (ready.message if ready is not None else "") or md.rollout.message


def _advance(md: ModelDeployment, goal: str, now: datetime) -> str:
    step = current_step(md)
    left = (step.hold_seconds if step else 0) - md.rollout.active_in_step(now)
    missing = ", ".join([*_undecided(md), *_hooks(md)])
    if md.rollout.unjudged:
        return f"{goal} at the next look: {md.rollout.unjudged}"
    if left >= 1:
        return f"{goal} {_in(left, now)}, when the hold ends, if every metric passes then"
    if missing:
        return f"{goal} as soon as every metric passes; missing: {missing}"
    return f"{goal} at the next look, within {duration(md.policy.interval_seconds)}"


def _undecided(md: ModelDeployment) -> list[str]:
    """Return the metrics whose Pass the next step waits for."""
    if md.policy.mode == "Off":
        return []
    awaited = [metric for metric in md.rollout.metrics if metric.role in AWAITED]
    return [metric.name for metric in awaited if metric.verdict != "Pass"]


def _hooks(md: ModelDeployment) -> list[str]:
    """Return the hooks that have not agreed to the next step yet."""
    waiting = [hook for hook in md.rollout.hooks if hook.verdict == "Waiting"]
    return [f"hook {hook.name}" for hook in waiting if hook.step == md.rollout.step]


def _failing(md: ModelDeployment) -> str:
    if md.policy.automatic_rollback:
        return "a Fail brings the traffic back at once"
    return "a Fail holds the weight here (rollback.automatic: Disabled)"


def _awaiting(md: ModelDeployment, _now: datetime, say: Say) -> list[str]:
    is_bake = md.rollout.underlying == "Baking"
    goal = "promoted" if is_bake else target(md, md.rollout.acked_weight)
    return [f"{goal} when somebody approves: {say('approve')}", f"or not at all: {say('abort')}"]


def _paused(md: ModelDeployment, _now: datetime, say: Say) -> list[str]:
    stalled = md.condition("Stalled")
    if stalled is not None:
        return [
            f"a person decides, because {stalled.message}",
            f"go on: {say('promote')}",
            f"or not: {say('abort')}",
        ]
    if md.policy.paused:
        return ["it goes on when spec.paused is false again", _failing(md)]
    return [f"it goes on with: {say('resume')}", _failing(md)]


def _baking(md: ModelDeployment, now: datetime, _say: Say) -> list[str]:
    left = md.policy.bake_seconds - md.rollout.active_in_step(now)
    if md.rollout.step_started_at is None:
        left = md.policy.bake_seconds
    when = _in(left, now) if left > 0 else "at the next look"
    promoted = f"promoted {when}, unless a metric fails"
    if left <= 0 and md.reason not in {"", "Baking"}:
        promoted = f"promoted as soon as this is over: {_said(md)}"
    return [_obstacle(md) or promoted, _failing(md)]


def _rolling_back(_md: ModelDeployment, _now: datetime, _say: Say) -> list[str]:
    return ["weight 0 at every proxy, then the candidate answers what it has, and its pods go"]


def _failed(md: ModelDeployment, now: datetime, say: Say) -> list[str]:
    return [*(_retry(md, now) or ["the next attempt comes by itself"]), f"sooner: {say('retry')}"]


def _retry(md: ModelDeployment, now: datetime) -> list[str]:
    if md.rollout.retry_at is None or md.rollout.retry_at < now:
        return []
    return [f"another attempt {_in((md.rollout.retry_at - now).total_seconds(), now)}"]


def _deadline(md: ModelDeployment, now: datetime) -> list[str]:
    left = md.policy.deadline_seconds - md.rollout.active(now)
    if left <= 0:
        return ["the deadline has passed"]
    before_traffic = md.rollout.stage in {"Starting", "Checking"}
    then = "rolled back as FailedToStart" if before_traffic else md.policy.on_inconclusive
    return [f"the deadline comes after {duration(left)} more of active time, then: {then}"]


def _in(seconds: float, now: datetime) -> str:
    return f"in {duration(seconds)} ({clock(now + timedelta(seconds=seconds))})"


def current_step(md: ModelDeployment) -> Step | None:
    """Return the step of the acknowledged weight."""
    weight = md.rollout.acked_weight
    return next((step for step in md.policy.steps if step.weight == weight), None)


def next_step(md: ModelDeployment, weight: int) -> Step | None:
    """Return the first step above a weight; None: the bake comes next."""
    return next((step for step in md.policy.steps if step.weight > weight), None)


def target(md: ModelDeployment, weight: int) -> str:
    """Return what comes after a weight."""
    if md.stable is None or md.rollout.unjudged:
        return "100 %"
    step = next_step(md, weight)
    if step is not None and step.needs_approval and md.rollout.stage != "AwaitingApproval":
        return f"somebody is asked to approve {step.weight} %"
    if step is not None:
        return f"{step.weight} %"
    return f"the bake at {100 - md.policy.bake_control_percent} %"


STAGES: dict[str, Callable[[ModelDeployment, datetime, Say], list[str]]] = {
    "Idle": _idle,
    "Packaging": _packaging,
    "Starting": _starting,
    "Checking": _checking,
    "AwaitingApproval": _awaiting,
    "Progressing": _progressing,
    "Baking": _baking,
    "RollingBack": _rolling_back,
    "Paused": _paused,
    "Failed": _failed,
}
