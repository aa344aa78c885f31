"""The replicas that a measured load needs, and why so many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_CONCURRENCY = 4
"""Requests in flight per replica, where the spec names none."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """Replicas for all of the load, and why."""

    replicas: int
    signal: str = ""
    value: float | None = None
    target: float | None = None
    bound_by: str | None = None
    missing: str = ""
    """Whose numbers have been missing for a while."""
    loads: Mapping[str, float] = field(default_factory=dict)
    """Requests in flight by revision, lately."""
    concurrency: float = DEFAULT_CONCURRENCY

    def replicas_for(self, load: float) -> int:
        """Return the replicas that a load needs."""
        return replicas_for_load(load, self.concurrency)


def replicas_for_load(load: float, concurrency: float) -> int:
    """Return the replicas that carry `load` requests in flight, `concurrency` on each."""
    return math.ceil(load / concurrency - 1e-9)
