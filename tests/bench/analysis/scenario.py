"""What happens in a rollout that is simulated: load, faults, noise, and how counters misbehave."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.bench.analysis.arrivals import TICK, Arrivals

Series = NDArray[np.float64]
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Scenario:
    """One hour, unless said otherwise; ratios are between 0 and 1."""

    name: str
    rps: float
    stable: float = 0.01
    """Error ratio of stable."""
    candidate: float | None = None
    """Error ratio of the candidate; None: as stable."""
    weight: float = 0.05
    weights: tuple[int, ...] = ()
    """Percent, in equal parts of the time, instead of `weight`."""
    seconds: int = HOUR
    onset: int = 0
    """The candidate's fault begins at this second."""
    slower: float = 1.0
    """Factor on the candidate's latency."""
    arrivals: Arrivals = Arrivals.POISSON
    arm_noise: float = 0.0
    """Sigma of a log-normal AR(1) on the candidate's error ratio; half of it on stable's."""
    outage: tuple[int, int, float] | None = None
    """From, to (seconds) and the error ratio of both revisions in between."""
    ramp: tuple[float, float] | None = None
    """Error ratio of both revisions, from the start to the end."""
    cold_seconds: int = 0
    """The candidate's first seconds, slow (x 8) and with `COLD_ERRORS`, as lazy loading is. Longer
    than warmUpSeconds it is a fault: clients had it."""
    restart: int | None = None
    """A proxy's Envoy restarts at this second, and five minutes later the pod is replaced."""
    gaps: float = 0.0
    """Chance that a proxy does not answer a look."""
    lag: int = 0
    """Seconds by which the answers are late."""
    hung: bool = False
    """From `onset` on, the candidate finishes nothing."""
    metrics: int = 2
    """Error ratio and latency; more are series of their own with the candidate as stable."""

    @property
    def ticks(self) -> int:
        return self.seconds // TICK

    @property
    def is_faulty(self) -> bool:
        """The candidate is worse than stable."""
        return self.hung or self.slower > 1 or (self.candidate or self.stable) > self.stable

    def at(self) -> Series:
        """Return the end of every tick, in seconds."""
        series: Series = np.arange(1.0, self.ticks + 1) * TICK
        return series

    def weight_at(self) -> Series:
        """Return the candidate's share per tick."""
        if not self.weights:
            return np.full(self.ticks, self.weight)
        series: Series = np.repeat(np.array(self.weights) / 100, self.ticks // len(self.weights))
        return series

    def ratios(self) -> tuple[Series, Series]:
        """Return the error ratios of candidate and stable per tick, without noise."""
        at = self.at()
        stable = np.full(self.ticks, self.stable)
        if self.ramp is not None:
            stable = np.linspace(*self.ramp, self.ticks, dtype=np.float64)
        extra = (self.candidate if self.candidate is not None else self.stable) - self.stable
        candidate = stable + np.where(at > self.onset, extra, 0.0)
        if self.outage is not None:
            begin, end, ratio = self.outage
            out = (at > begin) & (at <= end)
            stable, candidate = np.where(out, ratio, stable), np.where(out, ratio, candidate)
        if self.cold_seconds:
            candidate = np.where(at <= self.cold_seconds, COLD_ERRORS, candidate)
        return candidate, stable

    def noisy(self, rng: np.random.Generator) -> tuple[Series, Series]:
        """Return the error ratios of candidate and stable per tick."""
        candidate, stable = self.ratios()
        if not self.arm_noise:
            return candidate, stable
        of_candidate = log_normal(rng, self.ticks, self.arm_noise)
        of_stable = log_normal(rng, self.ticks, self.arm_noise / 2)
        return np.minimum(1, candidate * of_candidate), np.minimum(1, stable * of_stable)

    def delay(self, rng: np.random.Generator) -> tuple[Series, Series]:
        """Return the factors on the latency of candidate and stable per tick: load is shared."""
        shared = np.exp(autoregressive(rng, self.ticks, LOAD_SIGMA, LOAD_MEMORY))
        at = self.at()
        own = np.where(at > self.onset, self.slower, 1.0)
        if self.cold_seconds:
            own = np.where(at <= self.cold_seconds, COLD_SLOWER, own)
        return shared * own, shared


COLD_ERRORS = 0.2
COLD_SLOWER = 8.0
LOAD_SIGMA = 0.2
LOAD_MEMORY = 0.8 ** (TICK / 60)
"""Per tick: 0.8 per minute."""
NOISE_MEMORY = 0.9 ** (TICK / 10)
"""Per tick: 0.9 per 10 s."""


def autoregressive(rng: np.random.Generator, ticks: int, sigma: float, memory: float) -> Series:
    """Return a stationary Gaussian AR(1)."""
    steps = rng.standard_normal(ticks) * np.sqrt(1 - memory**2)
    values = np.empty(ticks)
    value = rng.standard_normal()
    for tick in range(ticks):
        value = memory * value + steps[tick]
        values[tick] = value
    return sigma * values


def log_normal(rng: np.random.Generator, ticks: int, sigma: float) -> Series:
    """Return a noise of mean 1."""
    series: Series = np.exp(autoregressive(rng, ticks, sigma, NOISE_MEMORY) - sigma**2 / 2)
    return series


def faulty() -> list[Scenario]:
    """Return the scenarios with a fault, to be found at a fixed weight."""
    return [
        *(Scenario(f"0.01 → 0.05, {rate:g} rps", rate, candidate=0.05) for rate in RATES),
        Scenario("0.01 → 0.05, 100 rps, after 30 min", 100, candidate=0.05, onset=1800),
        Scenario("hung after 10 min, 10 rps", 10, hung=True, onset=600),
        Scenario("latency x 1.2, 10 rps", 10, slower=1.2),
        Scenario("latency x 1.5, 10 rps", 10, slower=1.5),
        Scenario("no difference, 10 rps", 10),
    ]


RATES = (10.0, 100.0, 1000.0)
"""Requests per second."""
