"""How a new revision gets its traffic, and how it loses it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, cel_rule
from slipway.api.modeldeployment.analysis import Analysis


class Approval(StrEnum):
    """Whether a person must agree before a step."""

    NONE = "None"
    REQUIRED = "Required"


class Step(ApiModel):
    """One step of a rollout."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Percent of requests that the candidate gets."""
    hold_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """Least active time at this weight; default 0."""
    approval: Approval = Approval.NONE
    """Asked before the weight is written; default None."""


class Rollout(ApiModel):
    """How a new revision gets its traffic."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!has(self.steps) || self.steps.map(s, s.weight).isSorted() && self.steps.all("
                    "s, self.steps.filter(t, t.weight == s.weight).size() == 1)",
                    "weights must increase from step to step",
                    ".steps",
                )
            ]
        }
    }

    steps: Annotated[list[Step], Field(max_length=20, json_schema_extra=ATOMIC)] = [
        Step(weight=5),
        Step(weight=10),
        Step(weight=25),
        Step(weight=50),
    ]
    """Strictly increasing; 100 is implicit and last."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] = 600
    """After the last step: keep judging, keep the old revision at full capacity."""
    bake_control_percent: Annotated[int, Field(ge=0, le=50)] = 5
    """Share that stays on stable in the bake, so that there is something to compare with. With 0 a
    candidate that turns worse than it was first gives 20 % back, and is then compared."""
    deadline_seconds: Annotated[int, Field(ge=30, le=2_592_000)] = 3600
    """Of active time: pauses and waiting for approval do not count."""
    analysis: Analysis = Analysis()


class Automatic(StrEnum):
    """Whether Slipway rolls back by itself."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Rollback(ApiModel):
    """What happens with a bad candidate."""

    automatic: Automatic = Automatic.ENABLED
    """Disabled: a Fail holds the weight and waits for a person."""
    history_limit: Annotated[int, Field(ge=1, le=50)] = 10
    """Old revisions that are kept, without pods."""
