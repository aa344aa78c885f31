"""What a query with a range sees: sums over the last ticks."""

import numpy as np
from numpy.typing import NDArray

from tests.bench.analysis.arrivals import TICK, Counts


def window(counts: Counts, seconds: int) -> Counts:
    """Return, per tick, the sum over the last `seconds`."""
    ticks = seconds // TICK
    summed = np.concatenate([[0], np.cumsum(counts)])
    begins = np.maximum(np.arange(1, len(counts) + 1) - ticks, 0)
    made: Counts = summed[1:] - summed[begins]
    return made


def every(seconds: int, ticks: int) -> NDArray[np.int64]:
    """Return the ticks at whose end something runs that runs every `seconds`."""
    return np.arange(seconds // TICK - 1, ticks, seconds // TICK)


def first(hits: NDArray[np.bool_]) -> int:
    """Return the index of the first hit, -1 without any."""
    return int(hits.argmax()) if hits.any() else -1
