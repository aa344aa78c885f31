"""How evidence is collected and judged."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, list_map
from slipway.api.modeldeployment.metrics import Hook, Metric


class AnalysisMode(StrEnum):
    """How the candidate is judged."""

    AUTO = "Auto"
    """Beside stable, on the router's counters."""
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


class Analysis(ApiModel):
    """How evidence is collected and judged."""

    mode: AnalysisMode = AnalysisMode.AUTO
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)] = 50
    """Requests that each revision must have answered in a step before it is judged."""
    tolerance: Tolerance = Tolerance()
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    """At the deadline only."""
    metrics: Annotated[list[Metric], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Beside errors and latency, which are always judged."""
    hooks: Annotated[list[Hook], Field(max_length=10, json_schema_extra=list_map("name"))] = []
    """Asked before the weight rises."""
