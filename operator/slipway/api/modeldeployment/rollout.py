"""Rollout and rollback: how a revision gets its traffic, and how it loses it."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slipway.api.base import ATOMIC, ApiModel, cel_rule
from slipway.api.modeldeployment.analysis import Analysis


class Approval(StrEnum):
    """Whether a person must approve a step."""

    NONE = "None"
    REQUIRED = "Required"


class Step(ApiModel):
    """A step of a rollout."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Share of requests that the candidate gets, in percent."""
    hold_seconds: Annotated[int, Field(ge=0, le=604_800)] = 0
    """Minimum time at this weight, in seconds; pauses do not count. Default: 0."""
    approval: Approval = Approval.NONE
    """Required: the weight is set only after a person uses `approve`. Default: None."""


class Window(ApiModel):
    """A time in which rollouts move, again and again."""

    schedule: Annotated[str, Field(pattern=r"^\S+( \S+){4}$", max_length=100)]
    """When it opens, as the five fields of cron: minute, hour, day, month, day of the week."""
    duration_minutes: Annotated[int, Field(ge=1, le=10_080)]
    """For how long it is open, in minutes."""
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64)] = "UTC"
    """Time zone of the schedule, by its name in the IANA database, as Europe/Berlin."""


class AfterPromotionMode(StrEnum):
    """What happens when a promoted revision becomes worse than it was in its rollout."""

    REPORT = "Report"
    ROLL_BACK = "RollBack"
    OFF = "Off"


class AfterPromotion(ApiModel):
    """How a revision is watched after its promotion, against what it was in its own rollout."""

    mode: AfterPromotionMode = AfterPromotionMode.REPORT
    """Report: an event, a metric and `status.afterPromotion` say what became worse. RollBack: it is
    also taken back to the revision that was promoted before, if that one still exists. Off:
    nothing is watched."""
    hours: Annotated[int, Field(ge=1, le=168)] = 24
    """How long it is watched, in hours."""


class Rollout(ApiModel):
    """How a new revision gets its traffic."""

    model_config = {
        "json_schema_extra": {
            "x-kubernetes-validations": [
                cel_rule(
                    "!has(self.steps) || self.steps.map(s, s.weight).isSorted() && self.steps.all("
                    "s, self.steps.filter(t, t.weight == s.weight).size() == 1)",
                    "weights must increase with every step",
                    ".steps",
                )
            ]
        }
    }

    steps: Annotated[list[Step], Field(max_length=20, json_schema_extra=ATOMIC)] | None = None
    """Weights of the candidate, strictly increasing. After the last one comes the bake, then all
    traffic. With an empty list a candidate goes straight to the bake. Absent: chosen from the
    request rate when a rollout starts, from 5, 10, 25 and 50% down to 50% alone where there are few
    requests; `status.rollout.schedule` holds them."""
    bake_seconds: Annotated[int, Field(ge=0, le=604_800)] = 600
    """Time after the last step, in seconds, in which the candidate is still judged and the old
    revision keeps its full capacity. It is extended while a fault is suspected."""
    bake_control_percent: Annotated[int, Field(ge=0, le=50)] = 5
    """Share of requests that stays on stable at the end of the bake for comparison, in percent. A
    bake of two minutes or more leaves stable 20% for the first four fifths of its time. With 0, a
    candidate that becomes worse in the bake gives 20% back to stable and is then compared."""
    deadline_seconds: Annotated[int, Field(ge=30, le=2_592_000)] | None = None
    """Time for the rollout, in seconds; pauses and waiting for approval or a hook do not count.
    Absent: twice what the rollout is expected to take at the request rate of its start, at least
    3,600 and at most 86,400."""
    windows: Annotated[list[Window], Field(max_length=20, json_schema_extra=ATOMIC)] = []
    """Times in which a candidate gets more traffic and is promoted. Outside of them only roll backs
    move, the way back to an earlier version among them, and what a person promotes. With an empty
    list: always."""
    analysis: Analysis = Analysis()
    after_promotion: AfterPromotion = AfterPromotion()


class Automatic(StrEnum):
    """Whether Slipway rolls back without asking."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Rollback(ApiModel):
    """What happens to a bad candidate, and how many revisions are kept."""

    automatic: Automatic = Automatic.ENABLED
    """Enabled: a Fail rolls back at once. Disabled: a Fail holds the weight and waits for a
    person."""
    history_limit: Annotated[int, Field(ge=1, le=50)] = 10
    """Old revisions to keep, without pods."""
    fast_lane_revisions: Annotated[int, Field(ge=0, le=50)] = 3
    """How many of the revisions that were promoted before get all traffic in one step, without
    analysis and bake, when the spec names one of them again, as after `git revert`. One that was
    rejected, or replaced for evidence, does not. 0: none."""
