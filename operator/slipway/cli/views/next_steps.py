"""What happens next, and when: from the status and from the policy in the spec."""

from collections.abc import Callable
from datetime import datetime, timedelta

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.cli.objects import ModelDeployment, Step
from slipway.cli.time_format import format_clock, format_duration
from slipway.policy.bake_plan import plan_bake
from slipway.policy.swap import fit_weight

CommandLine = Callable[..., str]
"""Makes a command line about the object: ``command_line("approve")``."""
CLOCKED = frozenset({"Starting", "Checking", "Shadowing", "Progressing", "Baking"})
"""Stages whose clocks stand still while the rollout is paused."""
AWAITED_ROLES = frozenset({"Required", "Pause"})
"""Roles of metrics whose Pass the next step waits for."""
RETRIABLE = frozenset({Reason.REVISION_REJECTED, Reason.HELD})
"""Reasons that `retry` ends."""


def list_next_steps(md: ModelDeployment, now: datetime, command_line: CommandLine) -> list[str]:
    """Return what happens next, the most important first."""
    steps = []
    if md.pending_action is not None:
        steps.append(f"the operator answers {md.pending_action.text}")

    if not md.is_observed:
        return [*steps, "the operator reads the newest spec"]
    if md.trouble is not None:
        return [*steps, f"continues by itself once this is resolved: {md.trouble.message}"]
    if md.is_paused and md.rollout.stage in CLOCKED:
        return [*steps, *_next_when_paused(md, now, command_line)]

    of_stage = STAGES.get(md.rollout.stage, _next_in_unknown_stage)
    return [*steps, *of_stage(md, now, command_line)]


def _next_in_unknown_stage(
    md: ModelDeployment, _now: datetime, _command_line: CommandLine
) -> list[str]:
    return [f"unknown: this program is older than the stage {md.rollout.stage}"]


def _next_when_idle(md: ModelDeployment, _now: datetime, command_line: CommandLine) -> list[str]:
    waiting = md.condition("Reconciling")
    if waiting is not None and waiting.reason == "AwaitingTurn":
        return [f"begins by itself; {waiting.message}"]
    stalled = md.condition("Stalled")
    if stalled is not None and stalled.reason in RETRIABLE:
        return [f"nothing until the spec changes; to try again: {command_line('retry')}"]
    if stalled is not None:
        return [f"nothing until this is resolved: {stalled.message or stalled.reason}"]
    if md.stable is None:
        return ["the operator begins; to see whether it runs: kubectl get pods -n slipway-system"]
    return ["nothing; a change to the spec starts the next rollout"]


def _next_when_packaging(
    md: ModelDeployment, now: datetime, _command_line: CommandLine
) -> list[str]:
    return ["replicas start once the package is ready", *_retry_time(md, now)]


def _next_when_starting(
    md: ModelDeployment, now: datetime, _command_line: CommandLine
) -> list[str]:
    return ["checks start once every replica is ready", *_deadline(md, now)]


def _next_when_checking(
    md: ModelDeployment, now: datetime, _command_line: CommandLine
) -> list[str]:
    first = "copies of requests for the candidate once the checks pass"
    if md.policy.shadow != "On" or md.stable is None:
        first = f"{next_weight(md, 0)} once the checks pass"
    return [first, *_deadline(md, now)]


def _next_when_shadowing(
    md: ModelDeployment, now: datetime, command_line: CommandLine
) -> list[str]:
    return [
        f"the steps, once there are enough pairs of answers{_longest_comparison(md, now)}",
        f"to begin with the steps now: {command_line('skip')}",
        *_deadline(md, now),
    ]


def _longest_comparison(md: ModelDeployment, now: datetime) -> str:
    """Return when a comparison ends that shows too little, where the spec says so."""
    shadow, longest = md.rollout.shadow, md.policy.shadow_seconds
    if shadow is None or shadow.since is None or longest is None:
        return ", or their time is over"
    spent = md.rollout.active_seconds_at(now) - shadow.since_active_seconds
    left = min(longest, md.deadline_seconds // 2) - spent
    return f", or {_after(left, now)}" if left > 0 else ", or at the next look"


def _next_when_progressing(
    md: ModelDeployment, now: datetime, command_line: CommandLine
) -> list[str]:
    goal = next_weight(md, md.rollout.acked_weight)
    if md.holds("Stalled"):
        return [
            f"needs a decision; to roll back: {command_line('abort')}",
            f"to promote anyway: {command_line('promote')}",
        ]
    if md.rollout.step_started_at is None:
        return [f"{goal} once every proxy knows the candidate", *_deadline(md, now)]

    advance = _operator_waits(md) or _next_advance(md, goal, now)
    return [advance, _consequence_of_fail(md), *_deadline(md, now)]


def _next_when_awaiting_approval(
    md: ModelDeployment, _now: datetime, command_line: CommandLine
) -> list[str]:
    is_bake = md.rollout.underlying == "Baking"
    goal = "promoted" if is_bake else next_weight(md, md.rollout.acked_weight)
    return [
        f"{goal} once approved: {command_line('approve')}",
        f"to roll back instead: {command_line('abort')}",
    ]


def _next_when_paused(md: ModelDeployment, _now: datetime, command_line: CommandLine) -> list[str]:
    stalled = md.condition("Stalled")
    if stalled is not None:
        return [
            f"needs a decision: {stalled.message}",
            f"to promote anyway: {command_line('promote')}",
            f"to roll back: {command_line('abort')}",
        ]
    if md.policy.paused:
        return ["continues once spec.paused is false", _consequence_of_fail(md)]
    waiting = md.condition("Reconciling")
    if waiting is not None and waiting.reason == "OutsideWindow":
        return [waiting.message, f"to promote now: {command_line('promote')}"]
    return [
        f"nothing while paused; to continue: {command_line('resume')}",
        _consequence_of_fail(md),
    ]


def _next_when_baking(md: ModelDeployment, now: datetime, _command_line: CommandLine) -> list[str]:
    # The present weight of the bake, less what has passed of it, and those after it.
    weight = md.rollout.acked_weight
    left: float = sum(seconds for at, seconds in bake_of(md) if at >= weight)
    if md.rollout.step_started_at is not None:
        left -= md.rollout.step_seconds_at(now)

    when = _after(left, now) if left > 0 else "at the next analysis"
    promotion = f"promoted {when}, unless a metric fails"
    if left <= 0 and md.ready_reason not in {"", Reason.BAKING}:
        promotion = f"promoted once this is resolved: {md.ready_message}"
    return [_operator_waits(md) or promotion, _consequence_of_fail(md)]


def _next_when_rolling_back(
    _md: ModelDeployment, _now: datetime, _command_line: CommandLine
) -> list[str]:
    return ["every proxy returns to stable; the candidate finishes its requests, then is removed"]


def _next_when_failed(md: ModelDeployment, now: datetime, command_line: CommandLine) -> list[str]:
    attempt = _retry_time(md, now) or ["the next attempt starts by itself"]
    return [*attempt, f"to retry now: {command_line('retry')}"]


def _operator_waits(md: ModelDeployment) -> str:
    """Return what the operator itself waits for, whatever the metrics say; empty: nothing."""
    match md.ready_reason:
        case Reason.AWAITING_CAPACITY:
            return f"continues once there is capacity: {md.ready_message}"
        case Reason.AWAITING_ACKNOWLEDGEMENT:
            return f"judged once every proxy has its weight: {md.ready_message}"
        case _:
            return ""


def _next_advance(md: ModelDeployment, goal: str, now: datetime) -> str:
    if md.rollout.unjudged:
        return f"{goal} at the next analysis: {md.rollout.unjudged}"

    step = current_step(md)
    left = (step.hold_seconds if step else 0) - md.rollout.step_seconds_at(now)
    if left >= 1:
        return f"{goal} {_after(left, now)}, when the hold ends, if every metric passes"

    missing = ", ".join([*_metrics_without_pass(md), *_hooks_without_answer(md)])
    if missing:
        return f"{goal} once every metric passes; waiting for {missing}"
    return f"{goal} at the next analysis, within {format_duration(md.policy.interval_seconds)}"


def _metrics_without_pass(md: ModelDeployment) -> list[str]:
    """Return the metrics whose Pass the next step waits for."""
    if md.policy.mode == "Off":
        return []
    awaited = [metric for metric in md.rollout.metrics if metric.role in AWAITED_ROLES]
    return [metric.name for metric in awaited if metric.verdict != Verdict.PASS]


def _hooks_without_answer(md: ModelDeployment) -> list[str]:
    """Return the hooks that have not approved the next step yet."""
    waiting = [hook for hook in md.rollout.hooks if hook.verdict == "Waiting"]
    return [f"hook {hook.name}" for hook in waiting if hook.step == md.rollout.step]


def _consequence_of_fail(md: ModelDeployment) -> str:
    if md.policy.automatic_rollback:
        return "a Fail rolls back at once"
    return "a Fail holds the weight (rollback.automatic: Disabled)"


def _retry_time(md: ModelDeployment, now: datetime) -> list[str]:
    if md.rollout.retry_at is None or md.rollout.retry_at < now:
        return []
    return [f"another attempt {_after((md.rollout.retry_at - now).total_seconds(), now)}"]


def _deadline(md: ModelDeployment, now: datetime) -> list[str]:
    left = md.deadline_seconds - md.rollout.active_seconds_at(now)
    if left <= 0:
        return ["the deadline has passed"]
    is_before_traffic = md.rollout.stage in {"Starting", "Checking"}
    then = (
        f"rolled back as {Reason.FAILED_TO_START}"
        if is_before_traffic
        else md.policy.on_inconclusive
    )
    return [f"deadline after another {format_duration(left)} of active time, then: {then}"]


def _after(seconds: float, now: datetime) -> str:
    return f"in {format_duration(seconds)} ({format_clock(now + timedelta(seconds=seconds))})"


def current_step(md: ModelDeployment) -> Step | None:
    """Return the step of the acknowledged weight."""
    weight = md.rollout.acked_weight
    return next((step for step in md.steps or () if step.weight == weight), None)


def next_step(md: ModelDeployment, weight: int) -> Step | None:
    """Return the first step above a weight; None: the bake comes next."""
    return next((step for step in md.steps or () if step.weight > weight), None)


def next_weight(md: ModelDeployment, weight: int) -> str:
    """Return what comes after a weight, in words."""
    if md.stable is None or md.rollout.unjudged:
        return "100% of traffic"
    if md.steps is None and not weight:
        return "the first step, chosen from the request rate,"
    step = next_step(md, weight)
    if step is not None and step.needs_approval and md.rollout.stage != "AwaitingApproval":
        return f"approval of {step.weight}% is requested"
    if step is not None:
        return f"{step.weight}% of traffic"
    return f"bake at {bake_of(md)[0][0]}%"


def bake_of(md: ModelDeployment) -> tuple[tuple[int, int], ...]:
    """Return the weights of the bake, and for how many seconds each is held at least."""
    highest = max((step.weight for step in md.steps or ()), default=0)
    bake = plan_bake(highest, md.policy.bake_seconds, md.policy.bake_control_percent)
    shared = md.rollout.capacity
    if shared is None:
        return bake
    fitted: dict[int, int] = {}
    for weight, seconds in bake:
        fit = fit_weight(weight, shared.places)
        fitted[fit] = fitted.get(fit, 0) + seconds
    return tuple(fitted.items())


STAGES: dict[str, Callable[[ModelDeployment, datetime, CommandLine], list[str]]] = {
    "Idle": _next_when_idle,
    "Packaging": _next_when_packaging,
    "Starting": _next_when_starting,
    "Checking": _next_when_checking,
    "Shadowing": _next_when_shadowing,
    "AwaitingApproval": _next_when_awaiting_approval,
    "Progressing": _next_when_progressing,
    "Baking": _next_when_baking,
    "RollingBack": _next_when_rolling_back,
    "Paused": _next_when_paused,
    "Failed": _next_when_failed,
}
