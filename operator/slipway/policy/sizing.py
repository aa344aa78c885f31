"""The replicas that a measured load needs, and why so many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DEFAULT_CONCURRENCY = 4
"""Requests in flight per replica, where the spec names none."""


class BoundBy(StrEnum):
    """What keeps a number of replicas from following the load."""

    MIN_REPLICAS = "minReplicas"
    MAX_REPLICAS = "maxReplicas"
    STABILIZATION = "stabilization"
    """The load has to be low for the whole window before replicas go."""
    SIGNALS_MISSING = "SignalsMissing"
    NOT_READY = "NotReady"
    """Replicas that should answer do not."""
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class Sizing:
    """Replicas for all of the load, and why."""

    replicas: int
    signal: str = ""
    value: float | None = None
    target: float | None = None
    bound_by: BoundBy | None = None
    missing: str = ""
    """Which signals have been missing for a while; empty: none."""
    loads: Mapping[str, float] = field(default_factory=dict)
    """Requests in flight by revision, lately."""
    concurrency: float = DEFAULT_CONCURRENCY
    at: datetime | None = None
    """Of the reading that it rests on; None: there was none yet."""
    idle_since: datetime | None = None
    """Since when no request has come, and none was under way; None: one was, or who knows."""

    def replicas_for(self, load: float) -> int:
        """Return the replicas that a load needs."""
        return replicas_for_load(load, self.concurrency)


def replicas_for_load(load: float, concurrency: float) -> int:
    """Return the replicas that carry `load` requests in flight, `concurrency` on each."""
    return math.ceil(load / concurrency - 1e-9)
