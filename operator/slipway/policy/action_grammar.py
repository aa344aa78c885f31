"""One-shot actions: ``slipway.dev/action: "<verb>[=revision][@<revision>/<step>]#<id>"``.

The id is decimal Unix milliseconds; an action runs once, when its id is greater than the last one
consumed, and a time at which the object was there. With a position it runs only there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.times import to_wire

VERBS = frozenset(
    {"promote", "approve", "skip", "abort", "retry", "rollback", "pause", "resume"},
)
UNREADABLE = "unreadable"
PATTERN = re.compile(
    r"^(?P<verb>[a-z]{1,16})(=(?P<argument>[0-9a-f]{8}))?"
    r"(@(?P<revision>[0-9a-f]{8})/(?P<step>\d{1,3}))?#(?P<id>\d{1,13})$",
    re.ASCII,
)
"""The chart's admission policy holds the same pattern: what does not fit is refused at once."""
ID = re.compile(r"#(\d{1,13})$", re.ASCII)
FORM = "<verb>[=<revision>][@<revision>/<step>]#<Unix milliseconds>"


AHEAD = timedelta(minutes=5)
"""By so much the clock of who asks may be ahead: one id must not outrun all that follow."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a person asked for."""

    id: int
    verb: str
    argument: str | None = None
    revision: str | None = None
    """Run only while this is the candidate …"""
    step: int | None = None
    """… and this is the step."""


def parse(text: str | None) -> Action | None:
    """Read the annotation; None without an id, for nobody could tell when it was consumed."""
    found = PATTERN.fullmatch(text or "")
    if found is None:
        id_ = ID.search(text or "")
        return Action(int(id_[1]), UNREADABLE) if id_ else None
    step = found["step"]
    return Action(
        id=int(found["id"]),
        verb=found["verb"],
        argument=found["argument"],
        revision=found["revision"],
        step=int(step) if step is not None else None,
    )


def misdated(id_: int, last: int, created: datetime | None, now: datetime) -> str | None:
    """Return why an id does not count, or None; `last` is the one that was consumed last."""
    if id_ <= last:
        return f"its id is not newer than that of the last action, {last}"
    if created is not None and id_ < millis(created):
        return f"its id is older than this object, which was created at {to_wire(created)}"
    if id_ > max(millis(now), last) + AHEAD // timedelta(milliseconds=1):
        limit = AHEAD // timedelta(minutes=1)
        return f"its id is a time more than {limit} min ahead: here it is {millis(now)}"
    return None


def millis(moment: datetime) -> int:
    """Return a moment as the id of an action."""
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action meets."""

    candidate: str | None
    step: int
    stage: Stage
    """As people see it."""
    underlying: Stage
    """The machine's own, below Paused and AwaitingApproval."""
    weight: int = 0
    """Percent that every proxy has in force for the candidate, as the step counts."""
    lowered_to: int | None = None
    """Percent that the router was asked for since then, where that is less."""
    straight: str | None = None
    """Why the candidate goes to 100 without steps."""
    skipped: bool = False
    """The present step's waiting was skipped."""
    paused_by_action: bool = False
    paused_by_spec: bool = False
    failing: str | None = None
    """What the analysis has against the candidate."""
    coming: bool = False
    """A revision is asked for that is not the candidate yet."""
    can_retry: bool = False
    """Something was rejected, held or failed."""
    no_way_back: str | None = None
    """Why the revision of `rollback` cannot be gone back to."""


Reason = str | None


def refusal(action: Action, now: Situation) -> Reason:
    """Return why the action makes no sense now, or None."""
    if action.verb == UNREADABLE:
        return f"not understood, expected {FORM}"
    if action.verb not in VERBS:
        return f"unknown action {action.verb!r}; known are {', '.join(sorted(VERBS))}"
    if action.argument is not None and action.verb != "rollback":
        return f"{action.verb} takes no revision; a position is written @<revision>/<step>"
    if action.revision is not None and (action.revision, action.step) != (now.candidate, now.step):
        place = f"{now.candidate}/{now.step}" if now.candidate else "no rollout under way"
        return f"it was meant for {action.revision}/{action.step}, now is {place}"
    return REFUSALS[action.verb](now)


def _no_candidate(now: Situation) -> Reason:
    if now.candidate is None:
        return "no rollout is under way"
    if now.underlying is Stage.ROLLING_BACK:
        return "the candidate is being rolled back; wait until that is over"
    return None


def _promote(now: Situation) -> Reason:
    held = "spec.paused holds it: change the spec" if now.paused_by_spec else None
    return _steps_are_over(now) or held


def _steps_are_over(now: Situation) -> Reason:
    straight = f"it goes to 100 % without steps already: {now.straight}" if now.straight else None
    return _no_candidate(now) or straight


def _approve(now: Situation) -> Reason:
    return None if now.stage is Stage.AWAITING_APPROVAL else "no step waits for approval"


def _skip(now: Situation) -> Reason:
    reason = _steps_are_over(now)
    if reason is not None:
        return reason
    if now.stage is Stage.AWAITING_APPROVAL:
        return "the step waits for approval, not for evidence: approve"
    if now.underlying not in {Stage.PROGRESSING, Stage.BAKING} or not now.weight:
        return "no step has begun; the checks before traffic are never skipped"
    if now.paused_by_action or now.paused_by_spec:
        return "the rollout is paused: resume it first"
    if now.failing is not None:
        return f"the analysis says Fail, abort or promote: {now.failing}"
    if now.lowered_to is not None:
        return f"the candidate goes from {now.weight} % back to {now.lowered_to} %"
    return f"the step at {now.weight} % is skipped already" if now.skipped else None


def _abort(now: Situation) -> Reason:
    return None if now.coming else _no_candidate(now)


def _retry(now: Situation) -> Reason:
    return None if now.can_retry else "nothing was rejected, held or failed"


def _rollback(now: Situation) -> Reason:
    if now.underlying is Stage.ROLLING_BACK:
        return "the candidate is being rolled back already; ask again when that is over"
    return now.no_way_back


def _pause(now: Situation) -> Reason:
    return "it is paused already" if now.paused_by_action else None


def _resume(now: Situation) -> Reason:
    if now.paused_by_action:
        return None
    return "spec.paused holds it: change the spec" if now.paused_by_spec else "it is not paused"


REFUSALS: Mapping[str, Callable[[Situation], Reason]] = {
    "promote": _promote,
    "approve": _approve,
    "skip": _skip,
    "abort": _abort,
    "retry": _retry,
    "rollback": _rollback,
    "pause": _pause,
    "resume": _resume,
}
