"""One rollout that is simulated: the versions, when the candidate turns bad, and the traffic."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.analysis.arrivals import TICK, Arrivals, arrivals
from tests.bench.analysis.rollouts.behaviour import Behaviour, answers

MINUTE = 60


class Truth(StrEnum):
    """What a rollout should come to."""

    GOOD = "good"
    """The candidate is as good as stable."""
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Outage:
    """Both versions behave so for `lasts` seconds of every `every`, from `begin` on."""

    behaviour: Behaviour
    lasts: float
    every: float = 24 * 3600
    begin: float = 0

    def share_of_tick(self, at: float) -> float:
        """Return which share of the tick that begins at `at` it covers."""
        since = (at - self.begin) % self.every
        left = max(0.0, self.lasts - since)
        return min(1.0, left / TICK) if at >= self.begin else 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """A version that is rolled out; its name is the seed of its runs."""

    name: str
    rps: float
    truth: Truth = Truth.GOOD
    stable: Behaviour = field(default_factory=answers)
    candidate: Behaviour | None = None
    """What the candidate does once it is bad, or always; None: as stable."""
    onset: int = 0
    """Seconds after its first weight until it does so."""
    in_bake: bool = False
    """Whether `onset` counts from the beginning of the bake."""
    every: int = 0
    """It does so only in the first `lasts` seconds of so many; 0: always."""
    lasts: int = 0
    outage: Outage | None = None
    """What both versions do for a while."""
    grows: float = 0.0
    """Part by which the candidate's latency grows in each minute from `onset` on."""
    bad_pods: tuple[int, int] | None = None
    """So many of so many pods of the candidate are bad, the others as stable."""
    arrivals: Arrivals = Arrivals.POISSON
    stops: tuple[int, int] | None = None
    """Seconds after the first weight between which no request comes, but for one of the candidate
    that stays open from the first to the second."""
    resets: int = 0
    """One of the two router pods is replaced every so many seconds."""
    gaps: float = 0.0
    """Chance that a router pod does not answer a look."""
    lag: int = 0
    """Seconds by which its answers are late."""
    past: int = 1800
    """Seconds for which stable has served before."""
    timeout: int = 0
    """Of the route, in seconds."""
    rollout: Mapping[str, Any] = field(default_factory=dict)
    """Of the spec, where it differs from the defaults."""
    hours: float = 6.0
    """After which a rollout without an end is given up."""

    def behaviour_of_candidate(self, at: float, baking: float | None) -> Behaviour:
        """Return what a bad pod of the candidate does.

        `at` are seconds since the first weight, `baking` since the beginning of the bake.
        """
        since = baking if self.in_bake else at
        if since is None or since < self.onset:
            return self.stable
        bad = self.candidate or self.stable
        if self.grows:
            return bad.slower(round(1 + self.grows * (since - self.onset) / MINUTE, 2))
        if self.every and (since - self.onset) % self.every >= self.lasts:
            return self.stable
        return bad

    def requests_per_tick(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return how many requests come in each tick from the first weight on."""
        return arrivals(self.arrivals, rng, self.rps, int(self.hours * 3600) // TICK + 1)
