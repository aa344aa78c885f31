"""Requests per second over time: what a rule must follow."""

import math
from collections.abc import Callable
from dataclasses import dataclass

BASE = 40.0
"""Requests per second before anything happens."""
SETTLE = 600.0
"""Seconds of the base load first, so that every window is full."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load with a name."""

    name: str
    seconds: float
    """From the end of the settling on."""
    rate: Callable[[float], float]
    """Requests per second by seconds since the end of the settling."""
    rises: tuple[float, ...] = ()
    """When it jumps up: the time to the right size is measured from there."""


def step(seconds: float) -> float:
    """Return four times the base, from 0 on for twenty minutes."""
    return BASE * (4 if 0 <= seconds < 1200 else 1)


def ramp(seconds: float) -> float:
    """Return six times the base, reached within ten minutes, and left as slowly."""
    up = min(1.0, max(0.0, seconds / 600))
    down = min(1.0, max(0.0, (seconds - 1200) / 600))
    return BASE * (1 + 5 * (up - down))


def burst(seconds: float) -> float:
    """Return five times the base for a minute, every seven minutes."""
    return BASE * (5 if seconds >= 0 and seconds % 420 < 60 else 1)


def daily(seconds: float) -> float:
    """Return a day between one and six times the base, within two hours."""
    return BASE * (3.5 - 2.5 * math.cos(2 * math.pi * max(0.0, seconds) / 7200))


LOADS = (
    Load("step", 2400, step, rises=(0.0,)),
    Load("ramp", 2400, ramp),
    Load("burst", 2940, burst, rises=tuple(420.0 * n for n in range(7))),
    Load("daily", 7200, daily),
)
