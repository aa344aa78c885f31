"""How many requests arrive per tick: evenly, in bursts, or as they did for a real service."""

from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

TICK = 5
"""Seconds between two looks."""
TRACE = (
    Path(__file__).resolve().parents[3].parent
    / "shared"
    / "data"
    / "azure-llm-2023-code-arrivals.csv"
)
"""Beside the checkout or not at all; Azure LLM Inference Dataset 2023, CC-BY 4.0."""

BURST_SHARE = 0.36
"""Ticks with any arrival in the trace."""
BURST_STAYS = 0.655
"""Chance that the next tick is busy too: gives the trace's lag-1 correlation of 0.56."""
BURST_SPREAD = 0.74
"""Squared coefficient of variation of a burst's rate: with the share, the trace's relative
variance of the rate in 5 s, 3.8 times the mean's square."""


class Arrivals(StrEnum):
    """Kinds of arrival processes."""

    POISSON = "Poisson"
    BURSTS = "bursts"
    """The real trace where it lies beside the checkout, else a process with its burstiness."""


def arrivals(kind: Arrivals, rng: np.random.Generator, rps: float, ticks: int) -> Counts:
    """Return the requests per tick at a mean of `rps`."""
    if kind is Arrivals.POISSON:
        return rng.poisson(rps * TICK, ticks)
    trace = _trace()
    return bursts(rng, rps, ticks) if trace is None else _replayed(trace, rng, rps, ticks)


def bursts_are_real() -> bool:
    """Return whether bursts are the real trace."""
    return TRACE.exists()


def bursts(rng: np.random.Generator, rps: float, ticks: int) -> Counts:
    """Return a two-state process: silence, and bursts of a gamma-distributed rate."""
    starts = (1 - BURST_STAYS) * BURST_SHARE / (1 - BURST_SHARE)
    level = rps * TICK / BURST_SHARE
    rates = np.zeros(ticks)
    rate = 0.0
    for tick in range(ticks):
        if rng.random() >= (BURST_STAYS if rate else 0.0):
            begins = rng.random() < (starts if not rate else 0.0)
            rate = float(rng.gamma(1 / BURST_SPREAD, level * BURST_SPREAD)) if begins else 0.0
        rates[tick] = rate
    return rng.poisson(rates)


def _trace() -> NDArray[np.float64] | None:
    return np.loadtxt(TRACE, skiprows=1) if TRACE.exists() else None


def _replayed(
    trace: NDArray[np.float64], rng: np.random.Generator, rps: float, ticks: int
) -> Counts:
    """Return the trace from a random moment, around the clock, thinned or doubled to the rate."""
    length = int(trace[-1]) // TICK
    counts = np.bincount((trace // TICK).astype(int), minlength=length)[:length]
    rolled = np.roll(counts, -int(rng.integers(length)))
    wanted = np.resize(rolled, ticks)
    factor = rps * TICK / counts.mean()
    whole, part = divmod(factor, 1)
    made: Counts = wanted * int(whole) + rng.binomial(wanted, part)
    return made
