"""What `wait` waits for: pure functions of what was seen."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from slipway.cli.objects import HEALS, ModelDeployment
from slipway.cli.views.coming import STAGES

WEIGHT = re.compile(r"(\d{1,2}|100)%?$")


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
    """Return the goal of ``--for``; `begun` is the object when the waiting began.

    A status of an older spec decides nothing: the goal is asked once the operator has seen the
    newest one.
    """
    if word == "promoted":
        return lambda md: _promoted(md, begun.version)
    found = _found(word)
    return None if found is None else lambda md: found(md) if md.is_seen else YET


def _found(word: str) -> Goal | None:
    key, _, value = word.partition("=")
    if key == "stage" and value in STAGES:
        return lambda md: _stage(md, value)
    if key == "weight" and WEIGHT.match(value):
        return lambda md: _weight(md, int(value.rstrip("%")))
    return GOALS.get(word)


def _stage(md: ModelDeployment, stage: str) -> Seen:
    if md.rollout.stage == stage:
        return Seen(Answer.YES, f"stage {stage}")
    return _stopped(md) or _over(md) or YET


def _weight(md: ModelDeployment, weight: int) -> Seen:
    """Return whether what the spec asks for has so much: also all of it, when it is stable."""
    got = _share(md)
    if got is not None and got >= weight:
        return Seen(Answer.YES, f"version {md.version} has {got} %")
    return _stopped(md) or YET


def _share(md: ModelDeployment) -> int | None:
    """Return the weight of what the spec asks for; None while it has no part in the traffic."""
    if md.holds("Ready") and md.stable is not None:
        return md.stable.weight
    return md.candidate.weight if md.candidate is not None and _is_ours(md) else None


def _is_ours(md: ModelDeployment) -> bool:
    """Return whether the candidate is what the spec asks for, and not on its way back.

    An older one may bake to its end, or hand back its traffic, before the newest has its turn.
    """
    candidate = md.candidate
    is_back = md.rollout.stage == "RollingBack"
    return candidate is not None and candidate.version == md.version and not is_back


def _promoted(md: ModelDeployment, version: str) -> Seen:
    if md.version != version:
        why = f"the spec asks for version {md.version} now, no more for {version}"
        return Seen(Answer.NEVER, why)
    return _ready(md, f"version {version} serves") if md.is_seen else YET


def _stopped(md: ModelDeployment) -> Seen | None:
    """Return that a person or a new commit is needed; what heals by itself is waited for."""
    stalled = md.stalled
    if stalled is None or stalled.reason in HEALS:
        return None
    return Seen(Answer.NEVER, f"{stalled.reason}: {stalled.message}")


def _over(md: ModelDeployment) -> Seen | None:
    """Return that no rollout is under way, and that none is missing."""
    if not md.holds("Ready") or md.candidate is not None:
        return None
    return Seen(Answer.NEVER, f"version {md.version} serves, and no rollout is under way")


def _ready(md: ModelDeployment, why: str = "what the spec asks for serves") -> Seen:
    if md.holds("Ready") and md.stable is not None:
        return Seen(Answer.YES, why)
    return _stopped(md) or YET


def _available(md: ModelDeployment) -> Seen:
    if md.holds("Available"):
        return Seen(Answer.YES, "some revision serves")
    return (_stopped(md) if md.stable is None else None) or YET


def _stalled(md: ModelDeployment) -> Seen:
    found = md.stalled
    return YET if found is None else Seen(Answer.YES, f"{found.reason}: {found.message}")


def _idle(md: ModelDeployment) -> Seen:
    rests = md.candidate is None and md.rollout.stage == "Idle" and bool(md.conditions)
    if rests and md.trouble is None:  # else the operator could not begin with the spec
        return Seen(Answer.YES, "no rollout is under way")
    return _stopped(md) or YET


def _approval(md: ModelDeployment) -> Seen:
    if md.rollout.stage == "AwaitingApproval" and _is_ours(md):
        return Seen(Answer.YES, md.rollout.message)
    return _stopped(md) or _over(md) or YET


GOALS: dict[str, Goal] = {
    "ready": _ready,
    "available": _available,
    "stalled": _stalled,
    "idle": _idle,
    "approval": _approval,
}
WORDS = ("promoted", *GOALS, "deleted", "stage=<Stage>", "weight=<percent>")


def known(word: str) -> str:
    """Return what may stand in the place of a goal that is none."""
    if word.startswith("stage="):
        return f"stages are {', '.join(STAGES)}"
    if word.startswith("weight="):
        return "a weight is 0 to 100"
    return f"known are {', '.join(WORDS)}"
