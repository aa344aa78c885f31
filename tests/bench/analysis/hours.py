"""A thousand hours of the error test, side by side: noise, limits, margins.

The judge as a whole takes a second for an hour; these figures take a thousand hours a cell. So
errors are tested alone (`many_rollouts`), at what of the budget for false rollbacks is theirs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from slipway.api.modeldeployment import Tolerance

from tests.bench.analysis.arrivals import TICK
from tests.bench.analysis.limits import limit
from tests.bench.analysis.many_rollouts import (
    HOUR,
    MAX_HARM,
    ROLLOUT,
    Fault,
    Part,
    play,
    wrong_passes,
)
from tests.bench.analysis.store import Run

HOURS = 1000
"""Of each cell."""
CHUNK_HOURS = 250
"""That are done together."""
LATE = 1800
"""Seconds after which a late fault begins."""
STABLE = 0.01


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour in the first step; its name is that of its cell."""

    name: str
    fault: Fault
    parts: tuple[Part, ...] = HOUR
    tick: int = TICK
    """Seconds between two looks."""


@dataclass(frozen=True, slots=True)
class Margin:
    """A fault that comes with a weight, as bad as a Pass for the next one has to rule out."""

    rps: float
    weights: tuple[float, float, float]
    """Before it, with it, and the next one."""
    seconds: int = 2400

    @property
    def name(self) -> str:
        return f"bad from {100 * self.weights[1]:g}% on, {self.rps:g}/s"

    @property
    def candidate(self) -> float:
        """Its error ratio; stable's is 1%."""
        return (1 + Tolerance().relative) * STABLE + MAX_HARM / self.weights[2]


def run_hours(hour: Hour, number: int) -> Run:
    """Return when `CHUNK_HOURS` runs failed, and after how many requests since the onset."""
    ends = play(hour.fault, hour.parts, CHUNK_HOURS, seed=number, tick=hour.tick)
    return {"failed_at": ends.failed_at.tolist(), "requests": ends.requests.tolist()}


def run_margin(margin: Margin, number: int) -> Run:
    """Return how many of `CHUNK_HOURS` runs passed."""
    passed = wrong_passes(
        margin.rps, margin.weights, CHUNK_HOURS, seconds=margin.seconds, seed=number
    )
    return {"passed": int(passed.sum())}


@dataclass(frozen=True)
class HourOutcome:
    """What became of many hours."""

    hour: Hour
    made: Sequence[Run]

    @property
    def runs(self) -> int:
        return CHUNK_HOURS * len(self.made)

    @cached_property
    def failed_at(self) -> NDArray[np.float64]:
        """Seconds of the Fail; -1: none."""
        return np.concatenate([np.array(run["failed_at"], float) for run in self.made])

    @cached_property
    def is_found(self) -> NDArray[np.bool_]:
        """Whether a run failed after its fault began; without a fault, whether it failed."""
        found: NDArray[np.bool_] = self.failed_at > self.hour.fault.onset
        return found

    @property
    def found(self) -> int:
        """How many hours failed."""
        return int(self.is_found.sum())

    @property
    def mean_requests(self) -> float:
        """Of the candidate, from the fault to the Fail, in those that failed."""
        requests = np.concatenate([np.array(run["requests"], float) for run in self.made])
        return float(requests[self.is_found].mean()) if self.found else float("inf")

    @property
    def median_seconds(self) -> float:
        """From the fault to the Fail, in those that failed."""
        seconds = self.failed_at[self.is_found] - self.hour.fault.onset
        return float(np.median(seconds)) if self.found else float("inf")

    @property
    def needed(self) -> float:
        """Requests that any test needs on average."""
        fault, weight = self.hour.fault, self.hour.parts[0].weight
        return limit(fault.stable, fault.candidate, weight, **asdict(TOLERANCE))


@dataclass(frozen=True)
class MarginOutcome:
    """How often a candidate at the margin passed."""

    margin: Margin
    made: Sequence[Run]

    @property
    def runs(self) -> int:
        return CHUNK_HOURS * len(self.made)

    @property
    def passed(self) -> int:
        return sum(int(run["passed"]) for run in self.made)


@dataclass(frozen=True, slots=True)
class _Tolerance:
    relative: float
    absolute: float


TOLERANCE = _Tolerance(Tolerance().relative, Tolerance().absolute)


def quiet() -> list[Hour]:
    """Return hours without a difference, without noise."""
    return [Hour(f"alike, {rps:g}/s", Fault(rps)) for rps in (1.0, 10.0, 100.0, 1000.0)]


def noisy() -> list[Hour]:
    """Return hours, and whole rollouts, without a difference, with noise of single pods."""
    made = []
    for sigma in (0.3, 0.6):
        name = f"noise of pods, sigma {sigma:g}"
        rates = (10.0, 100.0, 1000.0)
        made += [Hour(f"{name}, {rps:g}/s", Fault(rps, arm_noise=sigma)) for rps in rates]
        whole = Fault(100.0, arm_noise=sigma)
        made.append(Hour(f"{name}, 100/s, a rollout with its bake", whole, ROLLOUT))
    return made


def faults() -> list[Hour]:
    """Return hours with a fault, at once and late."""
    rates = (10.0, 100.0, 1000.0)
    late = (Part(LATE + 3600, HOUR[0].weight),)
    return [
        *(Hour(f"errors 1% → 5%, {rps:g}/s", Fault(rps, candidate=0.05)) for rps in rates),
        *(
            Hour(
                f"errors 1% → 5%, a look every second, {rps:g}/s",
                Fault(rps, candidate=0.05),
                (Part(HOUR[0].seconds // 2, HOUR[0].weight),),
                tick=1,
            )
            for rps in rates[1:]
        ),
        *(
            Hour(
                f"errors 1% → 5% after 30 min, {rps:g}/s",
                Fault(rps, candidate=0.05, onset=LATE),
                late,
            )
            for rps in rates
        ),
    ]


def margins() -> list[Margin]:
    """Return faults that come with each weight of the default ladder."""
    steps = ((0.05, 0.1, 0.25), (0.1, 0.25, 0.5), (0.25, 0.5, 0.95))
    return [Margin(rps, weights) for rps in (10.0, 100.0) for weights in steps]
