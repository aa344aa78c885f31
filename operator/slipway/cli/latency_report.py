"""How long answers took, and where: what views show. Loads nothing, so that they start fast."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatencyParts:
    """How long the answers of one revision took, in milliseconds, and where."""

    requests: int
    mean: float
    """By the middles of the buckets, and at least what the servers counted."""
    median: float
    """Upper edge of the bucket that has it, like `far`; infinity above the last edge."""
    far: float
    """99 of 100 answers took no longer."""
    queue: float | None = None
    """Of the mean: waiting in the server. None, like `compute`: no server gave numbers."""
    compute: float | None = None
    """Of the mean: reading the input, the model itself, and writing the output."""

    @property
    def between(self) -> float | None:
        """Of the mean: the network, and what the server does before its queue and at the end."""
        if self.queue is None or self.compute is None:
            return None
        return max(0.0, self.mean - self.queue - self.compute)


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """What two readings show of a model."""

    seconds: float | None
    """Between the readings; None: it is all since the pods started."""
    parts: Mapping[str, LatencyParts]
    """By revision; one without requests is absent."""
    outside: float | None
    """Mean milliseconds that clients wait beside the answers of models, over all models."""
    left_out: int = 0
