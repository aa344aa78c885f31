"""The active clock of a rollout: it stands while people or a pause hold the rollout."""

from datetime import datetime

from slipway.api.modeldeployment import RolloutStatus, Stage
from slipway.api.times import from_wire, to_wire

CLOCKED = frozenset({Stage.STARTING, Stage.CHECKING, Stage.PROGRESSING, Stage.BAKING})


def active(memory: RolloutStatus, now: datetime) -> int:
    """Return the seconds of active time so far, whole."""
    since = from_wire(memory.clock_at)
    running = int((now - since).total_seconds()) if since is not None else 0
    return memory.active_seconds + max(0, running)


def tick(memory: RolloutStatus, now: datetime, *, stopped: bool) -> RolloutStatus:
    """Return the memory with the clock started or stopped; a running clock is not rewritten."""
    runs = memory.stage in CLOCKED and not stopped
    if runs and memory.clock_at is None:
        return memory.model_copy(update={"clock_at": to_wire(now)})
    if not runs and memory.clock_at is not None:
        return memory.model_copy(update={"clock_at": None, "active_seconds": active(memory, now)})
    return memory
