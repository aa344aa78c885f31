"""What a replay was worth: time to the right size, replicas too many and too few, flaps."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from tests.bench.scaling.fleet import (
    CONCURRENCY,
    LEAST,
    MOST,
    SERVICE_SECONDS,
    TICK,
    Rule,
    Tick,
    replay,
)
from tests.bench.scaling.loads import Load
from tests.bench.scaling.rules import Autoscaler, Slipway

FLAP_SECONDS = 600.0
"""Up and down again, or the other way, within so long is a flap."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of one replay."""

    to_right_size: tuple[float, ...]
    """Seconds from each rise until as many replicas were asked for as it needs; 0: they were there.

    Where the load does not jump, every replica more that it needs is a rise.
    """
    too_many: float
    """Replica-seconds beyond the need, as a share of the need."""
    too_few: float
    """Share of the time with fewer replicas asked for than needed."""
    waiting: float
    """Share of the time with requests that waited for a slot."""
    changes: int
    flaps: int


def right_size(rate: float) -> int:
    """Return the replicas that a rate needs: Little's law and the target."""
    return max(LEAST, min(MOST, math.ceil(rate * SERVICE_SECONDS / CONCURRENCY - 1e-9)))


def score(load: Load, ticks: Iterable[Tick]) -> Score:
    """Return what a replay was worth."""
    seen = list(ticks)
    needs = [right_size(tick.rate) for tick in seen]
    pairs = list(zip(seen, needs, strict=True))
    changes = _changes([tick.replicas for tick in seen])
    return Score(
        to_right_size=tuple(_seconds_to(pairs, rise) for rise in load.rises or _rises(pairs)),
        too_many=sum(max(0, tick.replicas - need) for tick, need in pairs) / sum(needs),
        too_few=sum(tick.replicas < need for tick, need in pairs) / len(pairs),
        waiting=sum(tick.waiting > 0 for tick in seen) / len(seen),
        changes=len(changes),
        flaps=_flaps(changes),
    )


def _seconds_to(pairs: Sequence[tuple[Tick, int]], rise: float) -> float:
    first = round(rise / TICK)
    need = pairs[first + 1][1]
    return next((tick.at - rise for tick, _ in pairs[first:] if tick.replicas >= need), math.inf)


def _rises(pairs: Sequence[tuple[Tick, int]]) -> list[float]:
    """Return when the need is about to go up."""
    return [old[0].at for old, new in itertools.pairwise(pairs) if new[1] > old[1]]


def _changes(replicas: Sequence[int]) -> list[tuple[float, int]]:
    """Return when the number changed, and by how much."""
    return [
        (number * TICK, replicas[number] - replicas[number - 1])
        for number in range(1, len(replicas))
        if replicas[number] != replicas[number - 1]
    ]


def _flaps(changes: Sequence[tuple[float, int]]) -> int:
    return sum(
        (old[1] > 0) != (new[1] > 0) and new[0] - old[0] < FLAP_SECONDS
        for old, new in itertools.pairwise(changes)
    )


def ours(random: Random) -> Rule:
    """Return our rule, at a random phase."""
    return Slipway(phase=random.uniform(0, 1))


def autoscaler(random: Random) -> Rule:
    """Return HPA's rule, at random phases."""
    return Autoscaler(random.uniform(0, 15), random.uniform(0, 15))


RULES: dict[str, Callable[[Random], Rule]] = {"Slipway": ours, "HPA": autoscaler}


def scores(load: Load, name: str, runs: int) -> list[Score]:
    """Replay a load `runs` times against a rule; the same seeds for every rule."""
    return [score(load, replay(load, RULES[name](Random(seed)), seed)) for seed in range(runs)]
