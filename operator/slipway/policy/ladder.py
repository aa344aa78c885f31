"""The weights that a candidate climbs, and the time that it has for it.

What the spec says wins. Where it says nothing, the schedule counts that was chosen from the traffic
when the rollout started (`policy.analysis.schedule`), and before that the defaults.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slipway.api.modeldeployment import Approval, Rollout, Schedule, Step
from slipway.policy.bake_plan import plan_bake
from slipway.policy.swap import fit_weight
from slipway.policy.weights import ALL

DEFAULT_WEIGHTS = (5, 10, 25, 50)
"""Percent; the most careful steps, and those where the request rate is not known."""
DEFAULT_DEADLINE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Rung:
    """A weight to climb to."""

    weight: int
    number: int = 0
    """Position among the steps, from 1; one more for the bake."""
    hold_seconds: int = 0
    needs_approval: bool = False
    is_bake: bool = False


def list_steps(
    rollout: Rollout, schedule: Schedule | None = None, places: int | None = None
) -> tuple[Step, ...]:
    """Return the steps of the spec, else those of the schedule, else the default ones.

    What switches once has none. `places` are those that two revisions share; their number bounds
    how the traffic can be divided.
    """
    if rollout.switches_once:
        return ()
    if rollout.steps is not None:
        steps = tuple(rollout.steps)
    else:
        chosen = schedule.weights if schedule is not None else ()
        steps = tuple(Step(weight=weight) for weight in chosen or DEFAULT_WEIGHTS)
    return steps if places is None else _fit_steps(steps, places)


def list_rungs(
    rollout: Rollout, schedule: Schedule | None = None, places: int | None = None
) -> tuple[Rung, ...]:
    """Return the weights to climb, those of the bake last."""
    if rollout.switches_once:
        asks = rollout.approval is Approval.REQUIRED
        return (Rung(ALL, 1, rollout.bake_seconds, needs_approval=asks, is_bake=True),)
    rungs = [
        Rung(step.weight, number, step.hold_seconds, step.approval is Approval.REQUIRED)
        for number, step in enumerate(list_steps(rollout, schedule, places), start=1)
    ]
    highest = rungs[-1].weight if rungs else 0
    bake = plan_bake(highest, rollout.bake_seconds, rollout.bake_control_percent)
    number = len(rungs) + 1
    rungs += [Rung(weight, number, hold, is_bake=True) for weight, hold in bake]
    return tuple(rungs) if places is None else _fit_rungs(rungs, places)


def _fit_steps(steps: Sequence[Step], places: int) -> tuple[Step, ...]:
    """Return the steps with weights that the places can be divided for; equal ones become one."""
    fitted: list[Step] = []
    for step in steps:
        weight, hold, approval = fit_weight(step.weight, places), step.hold_seconds, step.approval
        if fitted and fitted[-1].weight == weight:
            before = fitted.pop()
            hold += before.hold_seconds
            approval = Approval.REQUIRED if before.approval is Approval.REQUIRED else approval
        fitted.append(Step(weight=weight, hold_seconds=hold, approval=approval))
    return tuple(fitted)


def _fit_rungs(rungs: Sequence[Rung], places: int) -> tuple[Rung, ...]:
    """Return the rungs with fitting weights; two that become one keep what both ask for."""
    fitted: list[Rung] = []
    for rung in rungs:
        fit = replace(rung, weight=fit_weight(rung.weight, places))
        if fitted and fitted[-1].weight == fit.weight:
            before = fitted.pop()
            fit = replace(
                fit,
                hold_seconds=before.hold_seconds + fit.hold_seconds,
                needs_approval=before.needs_approval or fit.needs_approval,
                is_bake=before.is_bake or fit.is_bake,
            )
        fitted.append(fit)
    return tuple(fitted)


def find_bake(rungs: Sequence[Rung]) -> Rung:
    """Return the first weight of the bake."""
    return next(rung for rung in rungs if rung.is_bake)


def find_first_rung(rungs: Sequence[Rung], allowed: int) -> Rung:
    """Return where a candidate begins that may have a weight at once; `allowed` is in percent.

    No step is passed over that waits for a person or has a time of its own. The bake comes at once
    where its last weight is allowed.
    """
    first = rungs[0]
    for rung in rungs:
        if rung.weight > allowed or (rung.is_bake and rungs[-1].weight > allowed):
            break
        first = rung
        if rung.needs_approval or rung.hold_seconds or rung.is_bake:
            break
    return first


def list_first_weights(rungs: Sequence[Rung]) -> tuple[int, ...]:
    """Return the weights that a candidate could begin with, in percent, ascending.

    A bake counts with its last weight, which needs no Pass of its own to get there.
    """
    highest = find_first_rung(rungs, rungs[-1].weight)
    steps = [rung.weight for rung in rungs if not rung.is_bake and rung.weight <= highest.weight]
    return (*steps, rungs[-1].weight) if highest.is_bake else tuple(steps)


def find_next_rung(rungs: Sequence[Rung], weight: int) -> Rung:
    """Return the first rung above `weight`; the last one, where there is none."""
    return next((rung for rung in rungs if rung.weight > weight), rungs[-1])


def find_deadline(rollout: Rollout, schedule: Schedule | None = None) -> int:
    """Return the seconds that the rollout has: the spec's, the schedule's or the default ones."""
    if rollout.deadline_seconds is not None:
        return rollout.deadline_seconds
    return schedule.deadline_seconds if schedule is not None else DEFAULT_DEADLINE_SECONDS


def keep_steps(schedule: Schedule | None) -> Schedule | None:
    """Return what stays of a schedule when its rollout is over: steps that people read about."""
    return schedule if schedule is not None and schedule.weights else None
