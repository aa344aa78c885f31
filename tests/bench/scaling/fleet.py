"""Servers with slots, a queue before them, and starts that take time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tests.bench.scaling.loads import SETTLE, Load

TICK = 0.1
SERVICE_SECONDS = 0.3
SLOTS = 6
"""Requests that a server works on at the same time; more of them wait."""
CONCURRENCY = 4
"""Target: two thirds of the slots."""
START_SECONDS = 20.0
LEAST, MOST = 1, 24


class Rule(Protocol):
    """Decides how many replicas there should be."""

    def look(self, now: float, fleet: "Fleet") -> int:
        """Return the replicas asked for; called at every tick."""


@dataclass(slots=True)
class Fleet:
    """What runs."""

    random: np.random.Generator
    replicas: int = 1
    in_flight: int = 0
    starting: list[float] = field(default_factory=list)
    """When replicas that were asked for will be ready."""
    finished: int = 0
    took: float = 0.0
    """Seconds that requests were in flight, together."""

    @property
    def ready(self) -> int:
        """Replicas that answer."""
        return self.replicas - len(self.starting)

    @property
    def waiting(self) -> int:
        """Requests without a slot."""
        return max(0, self.in_flight - SLOTS * self.ready)

    def tick(self, now: float, rate: float) -> None:
        """Let a tenth of a second pass."""
        self.starting = [at for at in self.starting if at > now]
        busy = min(self.in_flight, SLOTS * self.ready)
        ended = int(self.random.binomial(busy, 1 - np.exp(-TICK / SERVICE_SECONDS)))
        self.in_flight += int(self.random.poisson(rate * TICK)) - ended
        self.finished += ended
        self.took += self.in_flight * TICK

    def scale(self, now: float, replicas: int) -> None:
        """Ask for so many: new ones start, the newest go first."""
        while self.replicas < replicas:
            self.starting.append(now + START_SECONDS * float(self.random.uniform(0.8, 1.5)))
            self.replicas += 1
        while self.replicas > replicas:
            if self.starting:
                self.starting.pop()
            self.replicas -= 1


@dataclass(frozen=True, slots=True)
class Tick:
    """One moment of a replay."""

    at: float
    """Seconds since the end of the settling."""
    rate: float
    replicas: int
    ready: int
    waiting: int


def replay(load: Load, rule: Rule, seed: int) -> Iterator[Tick]:
    """Yield every tick after the settling."""
    fleet = Fleet(np.random.default_rng(seed))
    for number in range(int((SETTLE + load.seconds) / TICK)):
        now = number * TICK
        at = now - SETTLE
        rate = load.rate(at)
        fleet.tick(now, rate)
        fleet.scale(now, rule.look(now, fleet))
        if at >= 0:
            yield Tick(at, rate, fleet.replicas, fleet.ready, fleet.waiting)
