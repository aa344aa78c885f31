"""When a status is written: what people decide on at once, counts alone every half minute."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from slipway.api.conditions import Condition, ConditionType
from slipway.api.modeldeployment import (
    AnalysisStatus,
    ModelDeploymentStatus,
    RolloutStatus,
    Stage,
)
from slipway.api.reasons import Reason
from slipway.api.times import from_wire
from slipway.api.verdict import Verdict

SLOWEST = timedelta(seconds=30)
"""Numbers alone are written at most this often."""
COUNTING = frozenset({Stage.SHADOWING, Stage.PROGRESSING, Stage.BAKING, Stage.PAUSED})
"""Stages whose messages carry counts, which change at every look."""
COUNTED = frozenset(
    {ConditionType.RECONCILING, ConditionType.READY, ConditionType.ROUTE_PROGRAMMED}
)
"""Conditions whose messages do; of the proxies it is one after the other that acknowledges."""


def is_due(old: ModelDeploymentStatus, new: ModelDeploymentStatus, now: datetime) -> bool:
    """Return whether the new status must be written now.

    What people decide on is written at once, and so is the first look at a step, because what
    counts is counted from there; later counts and the test's memory wait their turn.
    """
    if old == new:
        return False
    if list(_parts_told_at_once(old)) != list(_parts_told_at_once(new)):
        return True

    newest, looked = _find_last_check(old), _find_last_check(new)
    began = from_wire(new.rollout.step_started_at) if new.rollout else None
    # A clock that was set back must not keep the counts from being written.
    if newest is None or not timedelta(0) <= now - newest < SLOWEST:
        return True
    return began is not None and looked is not None and newest < began <= looked


def _find_last_check(status: ModelDeploymentStatus) -> datetime | None:
    entries = status.rollout.analysis if status.rollout else []
    checks = (from_wire(entry.last_check) for entry in entries)
    return max((moment for moment in checks if moment is not None), default=None)


def _parts_told_at_once(status: ModelDeploymentStatus) -> Iterator[object]:
    """Yield every part whose change is written at once: all fields, less the counts in them."""
    rollout = status.rollout
    counts = rollout is not None and rollout.stage in COUNTING
    for name, value in status:
        if name == "conditions":
            yield [_condition_told_at_once(entry, counts) for entry in status.conditions]
        elif name == "rollout" and rollout is not None:
            yield list(_rollout_told_at_once(rollout, counts))
        else:
            yield value


def _condition_told_at_once(entry: Condition, counts: bool) -> list[object]:
    is_counted = counts and entry.type in COUNTED
    return [value for name, value in entry if name != "message" or not is_counted]


def _rollout_told_at_once(rollout: RolloutStatus, counts: bool) -> Iterator[object]:
    for name, value in rollout:
        if name == "analysis":
            yield [_metric_told_at_once(entry) for entry in rollout.analysis]
        elif name == "shadow":
            yield rollout.shadow.state if rollout.shadow is not None else None
        elif name != "message" or not counts:
            yield value


def _metric_told_at_once(entry: AnalysisStatus) -> tuple[str, str, str]:
    """Return what of a metric is written at once.

    Metrics pass one after the other, and what they lead to together is a weight, which is written
    at once: that one of several has enough requests by now can wait.
    """
    is_collecting = Reason.parse(entry.reason, Reason.NO_DATA).is_collecting
    if entry.verdict == Verdict.PASS or is_collecting:
        return entry.name, Verdict.PASS, ""
    return entry.name, entry.verdict, entry.reason
