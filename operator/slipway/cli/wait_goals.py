"""The goals of `wait`: pure functions from the object to whether it has got there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from slipway.cli.objects import ModelDeployment
from slipway.cli.views.next_steps import STAGES

WEIGHT = re.compile(r"(\d{1,2}|100)%?$")


class GoalState(Enum):
    """Whether a goal is reached."""

    PENDING = auto()
    REACHED = auto()
    OUT_OF_REACH = auto()
    """Not by itself any more."""


@dataclass(frozen=True, slots=True)
class GoalCheck:
    """The state of a goal, and why in one line."""

    state: GoalState
    why: str = ""


Goal = Callable[[ModelDeployment], GoalCheck]
PENDING = GoalCheck(GoalState.PENDING)


def find_goal(word: str, begun: ModelDeployment) -> Goal | None:
    """Return the goal of ``--for``; `begun` is the object when the waiting began.

    A status of an older spec decides nothing: a goal is checked once the operator has seen the
    newest one.
    """
    if word == "promoted":
        return lambda md: _check_promoted(md, begun.version)
    check = _parse_goal(word)
    if check is None:
        return None
    return lambda md: check(md) if md.is_observed else PENDING


def _parse_goal(word: str) -> Goal | None:
    key, _, value = word.partition("=")
    if key == "stage" and value in STAGES:
        return lambda md: _check_stage(md, value)
    if key == "weight" and WEIGHT.match(value):
        return lambda md: _check_weight(md, int(value.rstrip("%")))
    return GOALS.get(word)


def goals_hint(word: str) -> str:
    """Return what could stand in the place of a word that is no goal."""
    if word.startswith("stage="):
        return f"stages are {', '.join(STAGES)}"
    if word.startswith("weight="):
        return "a weight is 0 to 100"
    return f"goals are {', '.join(GOAL_WORDS)}"


def _check_stage(md: ModelDeployment, stage: str) -> GoalCheck:
    if md.rollout.stage == stage:
        return GoalCheck(GoalState.REACHED, f"stage {stage}")
    return _needs_person(md) or _nothing_under_way(md) or PENDING


def _check_weight(md: ModelDeployment, weight: int) -> GoalCheck:
    """Return whether the spec's version has the weight; as stable it has all of it."""
    current = _spec_weight(md)
    if current is not None and current >= weight:
        return GoalCheck(GoalState.REACHED, f"version {md.version} has {current}%")
    return _needs_person(md) or PENDING


def _spec_weight(md: ModelDeployment) -> int | None:
    """Return the weight of the spec's version; None while it has no part in the traffic."""
    if md.holds("Ready") and md.stable is not None:
        return md.stable.weight
    return md.candidate.weight if md.candidate is not None and _is_spec_candidate(md) else None


def _is_spec_candidate(md: ModelDeployment) -> bool:
    """Return whether the candidate is what the spec asks for, and not being rolled back.

    An older one may bake to its end, or hand back its traffic, before the newest has its turn.
    """
    candidate = md.candidate
    is_rolling_back = md.rollout.stage == "RollingBack"
    return candidate is not None and candidate.version == md.version and not is_rolling_back


def _check_promoted(md: ModelDeployment, version: str) -> GoalCheck:
    if md.version != version:
        why = f"the spec now asks for version {md.version} instead of {version}"
        return GoalCheck(GoalState.OUT_OF_REACH, why)
    return _check_ready(md, f"version {version} is serving") if md.is_observed else PENDING


def _needs_person(md: ModelDeployment) -> GoalCheck | None:
    """Return that a person or a new commit is needed; what heals by itself is waited for."""
    stalled = md.stalled
    if stalled is None or not md.needs_person:
        return None
    return GoalCheck(GoalState.OUT_OF_REACH, f"{stalled.reason}: {stalled.message}")


def _nothing_under_way(md: ModelDeployment) -> GoalCheck | None:
    """Return that no rollout is under way, and that none is about to begin."""
    if not md.holds("Ready") or md.candidate is not None:
        return None
    why = f"version {md.version} is serving, and no rollout is under way"
    return GoalCheck(GoalState.OUT_OF_REACH, why)


def _check_ready(md: ModelDeployment, why: str = "the spec's version is serving") -> GoalCheck:
    if md.holds("Ready") and md.stable is not None:
        return GoalCheck(GoalState.REACHED, why)
    return _needs_person(md) or PENDING


def _check_available(md: ModelDeployment) -> GoalCheck:
    if md.holds("Available"):
        return GoalCheck(GoalState.REACHED, "a revision is serving")
    return (_needs_person(md) if md.stable is None else None) or PENDING


def _check_stalled(md: ModelDeployment) -> GoalCheck:
    stalled = md.stalled
    if stalled is None:
        return PENDING
    return GoalCheck(GoalState.REACHED, f"{stalled.reason}: {stalled.message}")


def _check_idle(md: ModelDeployment) -> GoalCheck:
    is_idle = md.candidate is None and md.rollout.stage == "Idle" and bool(md.conditions)
    if is_idle and md.trouble is None:  # else the operator could not begin with the spec
        return GoalCheck(GoalState.REACHED, "no rollout is under way")
    return _needs_person(md) or PENDING


def _check_approval(md: ModelDeployment) -> GoalCheck:
    if md.rollout.stage == "AwaitingApproval" and _is_spec_candidate(md):
        return GoalCheck(GoalState.REACHED, md.rollout.message)
    return _needs_person(md) or _nothing_under_way(md) or PENDING


GOALS: dict[str, Goal] = {
    "ready": _check_ready,
    "available": _check_available,
    "stalled": _check_stalled,
    "idle": _check_idle,
    "approval": _check_approval,
}
GOAL_WORDS = ("promoted", *GOALS, "deleted", "stage=<Stage>", "weight=<percent>")
