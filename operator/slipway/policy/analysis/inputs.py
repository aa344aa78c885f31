"""What one look is given: the routers' counters, and a reading of each metric from elsewhere.

A reading that is not sound is a `Why`: the metric says NoData with that reason, the weight is held,
and it never counts against the candidate.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from slipway.api.counters import Counters
from slipway.api.reasons import Why
from slipway.api.verdict import Verdict
from slipway.records import record


@record
class Count:
    """A pair of counters of one source (a pod, a series), cumulative since its start."""

    total: int
    bad: int


@record
class Counted:
    """Events among requests, by source: a share, compared with stable's or an absolute limit."""

    candidate: Mapping[str, Count]
    stable: Mapping[str, Count]


@record
class Sum:
    """A sum and its count, of one source, cumulative since its start."""

    total: int
    sum: float


@record
class Summed:
    """Sums by source: a mean, compared with stable's in windows of a minute."""

    candidate: Mapping[str, Sum]
    stable: Mapping[str, Sum]


@record
class Valued:
    """One number per revision, as a user's query returns it; finite."""

    candidate: float
    stable: float | None = None


@record
class Binned:
    """Predictions by class or score bin, cumulative: compared as distributions."""

    candidate: Mapping[str, float]
    stable: Mapping[str, float]


@record
class Stated:
    """A verdict that its source reached itself, such as a resource guard. A Fail is a Fail."""

    verdict: Verdict
    why: Why


@record
class MemoryReading:
    """What the server's container of one pod held."""

    held: int
    """Bytes of its working set."""
    at: datetime
    """When it was measured, which is up to a minute ago."""


@record
class MemoryUse:
    """Memory by pod; it is not merged with the metrics."""

    candidate: Mapping[str, MemoryReading]
    stable: Mapping[str, MemoryReading]


Reading = Counted | Summed | Valued | Binned | MemoryUse | Stated | Why
"""What was read of one metric; `Why` there is nothing where it could not be read."""


@record
class LookInputs:
    """What one look found."""

    ticks: tuple[Counters | None, ...]
    """The document of every router pod that must be heard; None where one did not answer. The
    counters are cumulative since Envoy's start and are differenced here."""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """By metric of the plan; the last reading again where none was due. A metric without a reading
    is NoData."""
    pods: Mapping[str, str] = field(default_factory=dict)
    """Names of the candidate's pods by address, for the words of a verdict."""
