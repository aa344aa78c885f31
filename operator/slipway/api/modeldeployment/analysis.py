"""How evidence is collected and judged."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, list_map
from slipway.api.modeldeployment.metrics import Hook, Metric


class AnalysisMode(StrEnum):
    """How the candidate is judged."""

    AUTO = "Auto"
    """Beside stable, by a sequential test on the router's counters."""
    THRESHOLD = "Threshold"
    """By fixed limits, on blocks of requests."""
    OFF = "Off"
    """Not at all: history says Unjudged."""


class OnInconclusive(StrEnum):
    """What happens at the deadline without a verdict."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"
    PROMOTE = "Promote"


class Tolerance(ApiModel):
    """How much worse than stable a candidate may be: limit = (1 + relative) · stable + absolute."""

    relative: Annotated[float, Field(ge=0, le=10)] = 0.25
    absolute: Annotated[float, Field(ge=0, le=1)] = 0.002


class Threshold(ApiModel):
    """Fixed limits of mode Threshold; each check is made on a block of requests of its own."""

    max_error_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_slow_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    slow_millis: Annotated[float, Field(gt=0, le=60_000)] = 200
    """What slow is; rounded up to an edge of the router's histogram."""
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = 2
    """Checks that may fail in a rollout; one more rolls back."""
    min_requests: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Of the candidate, in a block; a block that is not full is no check."""


class Analysis(ApiModel):
    """How evidence is collected and judged."""

    mode: AnalysisMode = AnalysisMode.AUTO
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Requests that each revision must have answered in a step before it is judged."""
    max_harm: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Excess of bad requests, as a share of all requests, that a step may do at most.

    The weight is raised when it is shown, at 95 %, that the next weight does less.
    """
    false_rollback: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """Probability at most with which a candidate that is no worse is rolled back, per rollout."""
    tolerance: Tolerance = Tolerance()
    warm_up_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """After its first requests a candidate is not judged for so long."""
    threshold: Threshold = Threshold()
    """Of mode Threshold."""
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    """At the deadline only."""
    metrics: Annotated[list[Metric], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Beside errors and latency, which are always judged."""
    hooks: Annotated[list[Hook], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Asked before the weight rises."""
