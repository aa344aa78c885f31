"""One-shot actions: ``slipway.dev/action: "<verb>[=revision][@<revision>/<step>]#<id>"``.

The id is decimal Unix milliseconds; an action runs once, when its id is greater than the last one
consumed, and a time at which the object was there. With a position it runs only there.

Beside it ``slipway.dev/action-reason: "<text>#<id>"`` may say why. It has the id, too: who asks
next and says nothing must not be given the words of somebody else.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.plain_text import printable
from slipway.api.reasons import Reason, Why, shortened
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
"""By so much a caller's clock may be ahead: one id must not outrun all that follow."""


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


def parse_action(text: str | None) -> Action | None:
    """Read the annotation; None without an id: nothing could tell when it was consumed."""
    found = PATTERN.fullmatch(text or "")
    if found is None:
        number = ID.search(text or "")
        return Action(int(number[1]), UNREADABLE) if number else None

    step = found["step"]
    return Action(
        id=int(found["id"]),
        verb=found["verb"],
        argument=found["argument"],
        revision=found["revision"],
        step=int(step) if step is not None else None,
    )


def read_request_reason(text: str | None, action: Action) -> str | None:
    """Return why an action was asked for, on one line; None where it does not say, or of another.

    It is in the words of whoever wrote it, whatever they are: at most 1,024 characters are kept.
    """
    said, _, number = (text or "").rpartition("#")
    is_of_it = ID.fullmatch(f"#{number}") is not None and int(number) == action.id
    return printable(shortened(said.strip())).strip() or None if is_of_it else None


def find_wrong_date(
    action: Action, last_id: int, created: datetime | None, now: datetime
) -> Why | None:
    """Return why an id does not count, or None; `last_id` is that of the last action consumed."""
    if action.id <= last_id:
        text = f"its id is not newer than that of the last action, {last_id}"
        return Why(Reason.MISDATED, text)
    if created is not None and action.id < to_millis(created):
        text = f"its id is older than this object, which was created at {to_wire(created)}"
        return Why(Reason.MISDATED, text)
    if action.id > max(to_millis(now), last_id) + AHEAD // timedelta(milliseconds=1):
        limit = AHEAD // timedelta(minutes=1)
        text = f"its id is more than {limit} min ahead of the operator's clock, {to_millis(now)}"
        return Why(Reason.MISDATED, text)
    return None


def to_millis(moment: datetime) -> int:
    """Return a moment as the id of an action."""
    return int(moment.timestamp() * 1000)
