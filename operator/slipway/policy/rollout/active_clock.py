"""The active clock of a rollout: it stands still while people or a pause hold the rollout."""

from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import Stage
from slipway.policy.rollout_memory import RolloutMemory

CLOCKED = frozenset(
    {Stage.STARTING, Stage.CHECKING, Stage.SHADOWING, Stage.PROGRESSING, Stage.BAKING}
)


def active_seconds(memory: RolloutMemory, now: datetime) -> int:
    """Return the seconds of active time so far, whole."""
    running = int((now - memory.clock_at).total_seconds()) if memory.clock_at is not None else 0
    return memory.active_seconds + max(0, running)


def seconds_in_step(memory: RolloutMemory, now: datetime) -> int:
    """Return the seconds of active time since every proxy had the step's weight."""
    return active_seconds(memory, now) - memory.step_active_seconds


def tick(memory: RolloutMemory, now: datetime, *, stopped: bool) -> RolloutMemory:
    """Return the memory with the clock started or stopped; a running clock is not rewritten."""
    runs = memory.stage in CLOCKED and not stopped
    if runs and memory.clock_at is None:
        return replace(memory, clock_at=now)
    if not runs and memory.clock_at is not None:
        return replace(memory, clock_at=None, active_seconds=active_seconds(memory, now))
    return memory
