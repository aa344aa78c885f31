"""The demand of a load, apart from what only waits for replicas that are still starting.

Requests in flight are the demand while servers keep up. Where they do not, a queue grows by what
arrives too much, and says less of the demand with every second: then it is what arrives, times how
long a request took before (Little's law). Clients that wait for an answer before they send the next
request make no such queue: their requests in flight jump and stay, and count as they are.
"""

import math
from dataclasses import dataclass, replace

from slipway.policy.scaling.signals import LoadSample

NOISE = 2.0
"""Standard deviations of a second's arrivals that are no growth."""
GROWTH = 0.15
"""Share of what is finished above which more in flight is growth."""
MARGIN = 1.3
"""How much longer than before a request may take; above it is the queue's doing."""
OVER = 1.5
"""A queue is over when so many times the demand or less is in flight."""
FLAT_SAMPLES = 2
"""Without growth while no replica came: these clients wait for answers."""
LEARNS_DOWN, LEARNS_UP = 0.2, 0.01
"""Per sample: a quicker answer is the truth, a slower one may be a queue."""
LEARNS_IN_QUEUE, LEARNS_IN_NEED = 0.002, 0.03
"""A queue says little of how long a request takes, unless it grows with every replica ready."""
FEWEST = 10
"""Finished requests of a window that tell how long one takes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast requests are answered, and whether a queue grows."""

    took: float | None = None
    """Seconds per request while servers kept up."""
    queue: bool = False
    grows: bool = False
    flat: int = 0
    """Samples in a row without growth."""
    ready: int = 0
    """When the queue began."""
    arrived: float = 0.0
    """Since then, until another replica came …"""
    served: float = 0.0
    """… and how many of those as many replicas could answer."""

    @property
    def keeping_up(self) -> float:
        """Replicas that answer as many as arrive; 0: unknown."""
        return self.ready * self.arrived / self.served if self.served >= FEWEST / 2 else 0.0


def estimate_demand(
    pace: Pace, new: LoadSample, before: LoadSample | None, ready: int, concurrency: float
) -> tuple[float, Pace]:
    """Return the requests in flight that the load would have with enough replicas.

    Where `concurrency` is more than a replica works on at a time, the time of a request says too
    little: as many replicas as keep up with what arrives are the least.
    """
    load = new.load or 0.0
    if before is None or before.load is None or new.finished is None or new.load is None:
        return load, replace(pace, queue=False, grows=False, flat=0)

    seconds = max(0.1, (new.at - before.at).total_seconds())
    finished = new.finished / seconds
    growth = (new.load - before.load) / seconds
    noise = GROWTH * finished + NOISE * math.sqrt(finished + 1)
    arrivals = max(0.0, finished + growth)
    cap = arrivals * pace.took * MARGIN if pace.took is not None else math.inf
    pace = replace(pace, grows=growth > noise)
    pace = _track_queue(pace, growth, noise, ready, is_over=load <= OVER * cap)
    if not pace.queue:
        return load, pace

    if ready == pace.ready:
        arrived, served = pace.arrived + arrivals * seconds, pace.served + new.finished
        pace = replace(pace, arrived=arrived, served=served)
    return min(load, max(cap, pace.keeping_up * concurrency)), pace


def _track_queue(pace: Pace, growth: float, noise: float, ready: int, *, is_over: bool) -> Pace:
    if not pace.queue:
        if growth <= noise:
            return pace
        return replace(pace, queue=True, flat=0, ready=ready, arrived=0.0, served=0.0)
    flat = pace.flat + 1 if abs(growth) <= noise else 0
    if is_over or (flat >= FLAT_SAMPLES and ready == pace.ready):
        return replace(pace, queue=False, flat=0)
    return replace(pace, flat=flat)


def learn_pace(pace: Pace, window: tuple[LoadSample, ...], *, is_whole: bool) -> Pace:
    """Return the pace after a window of some seconds: how long a request takes.

    `is_whole`: all replicas that were asked for are ready.
    """
    finished = sum(sample.finished or 0.0 for sample in window)
    if finished < FEWEST:
        return pace
    took = sum(sample.took_seconds for sample in window) / finished
    if not pace.took:
        return replace(pace, took=took or None)

    up = LEARNS_UP
    if pace.queue:
        up = LEARNS_IN_NEED if is_whole and pace.grows else LEARNS_IN_QUEUE
    step = max(-LEARNS_DOWN, min(up, took / pace.took - 1))
    return replace(pace, took=pace.took * (1 + step))
