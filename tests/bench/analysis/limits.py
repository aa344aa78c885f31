"""How many of the candidate's requests any test needs: Wald's inequality with relative entropy.

A test of power one that errs with probability alpha at most needs, on average, log(1/alpha) over
the information per request against the null that is hardest to tell apart.
"""

import math

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.01


def entropy(p: float | NDArray[np.float64], q: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the relative entropy of a coin p to a coin q, in nats."""
    p, q = np.clip(p, 1e-15, 1 - 1e-15), np.clip(q, 1e-15, 1 - 1e-15)
    nats: NDArray[np.float64] = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return nats


def known_baseline(stable: float, candidate: float, alpha: float = ALPHA) -> float:
    """Return the limit where stable's ratio is known exactly."""
    return math.log(1 / alpha) / float(entropy(candidate, stable))


def limit(
    stable: float,
    candidate: float,
    weight: float,
    *,
    relative: float = 0.0,
    absolute: float = 0.0,
    alpha: float = ALPHA,
) -> float:
    """Return the limit where stable's ratio must be learnt from its share of the traffic.

    The null is candidate <= (1 + relative) * stable + absolute.
    """
    factor = 1 + relative
    ends = max(stable, 1e-6), (candidate - absolute) / factor
    guess = np.linspace(*ends, 20_001)
    bound = np.minimum(factor * guess + absolute, 1)
    nats = entropy(candidate, bound) + (1 - weight) / weight * entropy(stable, guess)
    return math.log(1 / alpha) / float(nats.min())
