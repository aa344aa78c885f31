"""The seeds of all runs: the name of what is run, and the number of the run."""

import zlib
from collections.abc import Iterable

import numpy as np


def seed_of(name: str, number: int) -> np.random.Generator:
    """Return the generator of one run."""
    return np.random.default_rng([zlib.crc32(name.encode()), number])


def seeds(name: str, runs: int) -> Iterable[np.random.Generator]:
    """Yield a generator per run, the same ones each time."""
    return (seed_of(name, number) for number in range(runs))
