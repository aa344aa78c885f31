"""One-shot actions: ``slipway.dev/action: "<verb>[=arg][@<revision>/<step>]#<id>"``.

The id is decimal Unix milliseconds; an action runs once, when its id is greater than the last one
consumed. With a position it runs only there.
"""

import re
from dataclasses import dataclass

VERBS = frozenset({"promote", "approve", "abort", "retry", "pause", "resume"})
PATTERN = re.compile(
    r"^(?P<verb>[a-z]+)(=(?P<argument>[0-9a-f]{8}))?(@(?P<revision>[0-9a-f]{8})/(?P<step>\d{1,3}))?"
    r"#(?P<id>\d{1,16})$"
)


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
    """Read the annotation; None where there is none or it is no action."""
    found = PATTERN.match(text or "")
    if found is None:
        return None
    step = found["step"]
    return Action(
        id=int(found["id"]),
        verb=found["verb"],
        argument=found["argument"],
        revision=found["revision"],
        step=int(step) if step is not None else None,
    )


def refusal(
    action: Action, *, candidate: str | None, step: int, stage_awaits: bool, can_retry: bool
) -> str | None:
    """Return why the action makes no sense now, or None."""
    if action.verb not in VERBS:
        return f"unknown action {action.verb!r}; known are {', '.join(sorted(VERBS))}"
    if action.revision is not None and (action.revision, action.step) != (candidate, step):
        return f"it was meant for {action.revision}/{action.step}, now is {candidate}/{step}"
    if action.verb in {"promote", "abort"} and candidate is None:
        return "no rollout is under way"
    if action.verb == "approve" and not stage_awaits:
        return "no step waits for approval"
    if action.verb == "retry" and not can_retry:
        return "nothing was rejected, held or failed"
    return None
