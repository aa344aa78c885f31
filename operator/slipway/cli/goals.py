"""What `wait` waits for: pure functions of what was seen."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from slipway.cli.objects import ModelDeployment


class Answer(Enum):
    """Whether it came."""

    YET = auto()
    """Not yet; it may still come."""
    YES = auto()
    NEVER = auto()
    """Not by itself any more."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, and why in one line."""

    answer: Answer
    why: str = ""


Goal = Callable[[ModelDeployment], Seen]
YET = Seen(Answer.YET)


def goal(word: str, begun: ModelDeployment) -> Goal | None:
    """Return the goal of ``--for``; `begun` is the object when the waiting began."""
    key, _, value = word.partition("=")
    if key == "stage" and value:
        return lambda md: _when(md.is_seen and md.rollout.stage == value, f"stage {value}")
    if key == "weight" and value.rstrip("%").isdigit():
        weight = int(value.rstrip("%"))
        return lambda md: _weight(md, weight)
    if key == "promoted":
        return lambda md: _promoted(md, begun.version)
    return GOALS.get(word)


def _weight(md: ModelDeployment, weight: int) -> Seen:
    got = md.candidate.weight if md.candidate else None
    if got is not None and got >= weight:
        return Seen(Answer.YES, f"the candidate has {got} %")
    stopped = _stopped(md)
    return stopped or YET


def _promoted(md: ModelDeployment, version: str) -> Seen:
    if md.version != version:
        why = f"the spec asks for version {md.version} now, no more for {version}"
        return Seen(Answer.NEVER, why)
    if not md.is_seen:
        return YET
    if md.holds("Ready") and md.stable is not None:
        return Seen(Answer.YES, f"version {md.stable.version} serves")
    return _stopped(md) or YET


def _stopped(md: ModelDeployment) -> Seen | None:
    """Return that a person or a new commit is needed."""
    stalled = md.condition("Stalled")
    if not md.is_seen or stalled is None or stalled.status != "True":
        return None
    return Seen(Answer.NEVER, f"{stalled.reason}: {stalled.message}")


def _when(holds: bool, why: str) -> Seen:
    return Seen(Answer.YES, why) if holds else YET


def _ready(md: ModelDeployment) -> Seen:
    return _when(md.is_seen and md.holds("Ready"), "what the spec asks for serves")


def _available(md: ModelDeployment) -> Seen:
    return _when(md.holds("Available"), "some revision serves")


def _stalled(md: ModelDeployment) -> Seen:
    stopped = _stopped(md)
    return Seen(Answer.YES, stopped.why) if stopped is not None else YET


def _idle(md: ModelDeployment) -> Seen:
    rests = md.is_seen and md.candidate is None and md.rollout.stage == "Idle"
    return _when(rests and bool(md.conditions), "no rollout is under way")


def _approval(md: ModelDeployment) -> Seen:
    if md.rollout.stage == "AwaitingApproval":
        return Seen(Answer.YES, md.rollout.message)
    return _stopped(md) or YET


GOALS: dict[str, Goal] = {
    "ready": _ready,
    "available": _available,
    "stalled": _stalled,
    "idle": _idle,
    "approval": _approval,
}
WORDS = ("promoted", *GOALS, "deleted", "stage=<Stage>", "weight=<percent>")
