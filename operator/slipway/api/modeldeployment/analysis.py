"""Analysis: how evidence about a candidate is collected and judged."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, list_map
from slipway.api.modeldeployment.metrics import Hook, Metric


class AnalysisMode(StrEnum):
    """How the candidate is judged."""

    AUTO = "Auto"
    """Compared with stable, by a sequential test on the router's counters."""
    THRESHOLD = "Threshold"
    """By fixed limits, on blocks of requests."""
    OFF = "Off"
    """Not judged; the history records it as unjudged."""


class OnInconclusive(StrEnum):
    """What happens when the deadline passes without a verdict."""

    PAUSE = "Pause"
    ROLL_BACK = "RollBack"
    PROMOTE = "Promote"


class Tolerance(ApiModel):
    """How much worse than stable a candidate may be: limit = (1 + relative) · stable + absolute."""

    relative: Annotated[float, Field(ge=0, le=10)] = 0.25
    """Allowed increase relative to stable, as a ratio: 0.25 is a quarter more."""
    absolute: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Allowed increase on top of that, as a share of requests."""


class Threshold(ApiModel):
    """Limits of mode Threshold. Every check looks at a new block of requests."""

    max_error_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of failed requests."""
    max_slow_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Largest share of requests slower than slowMillis."""
    slow_millis: Annotated[float, Field(gt=0, le=60_000)] = 200
    """Latency in milliseconds above which a request is slow; rounded up to an edge of the router's
    histogram."""
    failure_limit: Annotated[int, Field(ge=0, le=1000)] = 2
    """Failed checks that a rollout tolerates; one more rolls it back."""
    min_requests: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Requests to the candidate that make up a block; a check waits for a full block."""


class Analysis(ApiModel):
    """How evidence about the candidate is collected and judged."""

    mode: AnalysisMode = AnalysisMode.AUTO
    """Auto compares with stable, by a sequential test; Threshold applies fixed limits; Off judges
    nothing."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    """Seconds between two evaluations."""
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Requests that each revision must have answered in a step before it is judged."""
    max_harm: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Largest excess of bad requests at any weight, as a share of all requests. The weight is
    raised once the analysis is 95% sure that the next weight stays below it."""
    false_rollback: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """Largest probability of rolling back a candidate that is no worse, per rollout."""
    tolerance: Tolerance = Tolerance()
    warm_up_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """Seconds after a candidate's first requests in which they do not count."""
    threshold: Threshold = Threshold()
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    """What happens when deadlineSeconds pass without a verdict. Pause waits for a person."""
    metrics: Annotated[list[Metric], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Metrics in addition to errors and latency, which are always judged."""
    hooks: Annotated[list[Hook], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Services that must approve before the weight rises, asked in this order."""
