"""One run of a scenario: what every proxy finishes per tick and revision, in one go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from slipway.api.counters import latency_edges

from tests.bench.analysis.arrivals import Counts, arrivals
from tests.bench.analysis.scenario import Scenario

CANDIDATE, STABLE = 0, 1
PROXIES = 2
MEDIAN_MILLIS = 40.0
SIGMA = 0.8
"""Of the log-normal latency of one request."""
EDGES = np.array(latency_edges(), float)


@dataclass(frozen=True, slots=True)
class Run:
    """Per tick, revision and proxy; latency per bucket as the router counts it."""

    scenario: Scenario
    requests: Counts
    """Finished ones: ticks x revisions x proxies."""
    errors: Counts
    latency: Counts
    """One axis more: buckets."""
    begun: Counts
    """Requests that were sent, finished or not."""
    baseline: tuple[Counts, Counts]
    """Requests and errors of a sample of stable as large as the candidate, for Kayenta."""
    mean_millis: NDArray[np.float64]
    """Mean latency of what candidate and baseline finished in a tick."""

    def of(self, revision: int) -> tuple[Counts, Counts]:
        """Return requests and errors per tick over all proxies."""
        return self.requests[:, revision].sum(1), self.errors[:, revision].sum(1)


def simulate(scenario: Scenario, rng: np.random.Generator) -> Run:
    """Return one run."""
    ticks = scenario.ticks
    total = arrivals(scenario.arrivals, rng, scenario.rps, ticks)
    weight = scenario.weight_at()
    share = np.stack([weight, 1 - weight], 1)[:, :, None] / PROXIES

    begun = rng.multinomial(
        total, np.repeat(share, PROXIES, 2).reshape(ticks, 2 * PROXIES)
    ).reshape(ticks, 2, PROXIES)
    requests = begun.copy()
    if scenario.hung:
        requests[scenario.at() > scenario.onset, CANDIDATE] = 0

    ratios = np.stack(scenario.noisy(rng), 1)[:, :, None]
    errors = rng.binomial(requests, ratios)
    delay = np.stack(scenario.delay(rng), 1)
    latency = rng.multinomial(requests, bucket_shares(delay)[:, :, None, :])

    sums = requests.sum(2), errors.sum(2)
    least = np.minimum(sums[0][:, CANDIDATE], sums[0][:, STABLE])
    good = sums[0][:, STABLE] - sums[1][:, STABLE]
    baseline = least, rng.hypergeometric(sums[1][:, STABLE], good, least)
    means = mean_delay(rng, np.stack([sums[0][:, CANDIDATE], least], 1), delay)
    return Run(scenario, requests, errors, latency, begun, baseline, means)


def bucket_shares(delay: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each bucket, for a log-normal latency times `delay`."""
    below = ndtr((np.log(EDGES) - np.log(MEDIAN_MILLIS * delay)[..., None]) / SIGMA)
    full = np.concatenate([np.zeros((*delay.shape, 1)), below, np.ones((*delay.shape, 1))], -1)
    shares: NDArray[np.float64] = np.diff(full)
    return shares


def mean_delay(
    rng: np.random.Generator, requests: Counts, delay: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean latency of `requests` per tick; NaN where there are none.

    The sum of n log-normals is drawn one by one while they are few; a gamma of the same two
    moments stands for many.
    """
    mean = MEDIAN_MILLIS * np.exp(SIGMA**2 / 2) * delay
    spread = np.exp(SIGMA**2) - 1
    n = np.maximum(requests, 1)
    many = rng.gamma(n / spread, spread / n)
    few = np.flatnonzero((requests > 0) & (requests < MANY))
    flat = many.reshape(-1)
    sizes = requests.reshape(-1)[few]
    if len(few):
        draws = np.exp(SIGMA * rng.standard_normal(int(sizes.sum())) - SIGMA**2 / 2)
        flat[few] = np.add.reduceat(draws, np.r_[0, np.cumsum(sizes)[:-1]]) / sizes
    means: NDArray[np.float64] = np.where(requests > 0, mean * flat.reshape(mean.shape), np.nan)
    return means


MANY = 50
