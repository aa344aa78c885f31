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


class Strategy(StrEnum):
    """What a rollout is for."""

    CANARY = "Canary"
    """The candidate gets a growing share of the requests, and is promoted."""
    SHADOW = "Shadow"
    """The candidate answers copies of requests, for looking; a person promotes it."""
    BLUE_GREEN = "BlueGreen"
    """The candidate starts at full capacity and gets all of the requests in one switch."""
    RECREATE = "Recreate"
    """The revision that serves stops before the candidate starts: the two never run at once."""


class ShadowMode(StrEnum):
    """Whether a candidate answers copies of requests before it gets any."""

    AUTO = "Auto"
    ON = "On"
    OFF = "Off"


class AnswersMode(StrEnum):
    """What follows where the candidate's answers are not stable's."""

    AUTO = "Auto"
    ENFORCE = "Enforce"
    REPORT_ONLY = "ReportOnly"


class ShadowSpec(ApiModel):
    """Copies of requests, which the candidate answers beside stable; users get stable's answer."""

    mode: ShadowMode = ShadowMode.AUTO
    """Auto: where the model keeps no state between requests and answers each once, and the steps
    alone would take longer than 15 minutes at the request rate, or there is no golden set; requires
    analysis.mode Auto. On: always where there is a stable revision. Off: never."""
    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Share of the requests that are copied, in percent."""
    max_pairs_per_second: Annotated[int, Field(ge=1, le=1000)] = 20
    """Copies that each router pod makes in a second at most."""
    min_pairs: Annotated[int, Field(ge=20, le=1_000_000)] = 200
    """Pairs of answers that a candidate must have before they count for its steps."""
    max_seconds: Annotated[int, Field(ge=10, le=604_800)] | None = None
    """Time after which the steps begin all the same, in seconds; half of the deadline at most.
    Absent: half an hour, and at less than one request a second as long as 1,800 of them take."""
    min_agreement: Annotated[float, Field(ge=0, le=1)] = 0.99
    """Share of the answers that must be stable's, within the rules of the golden set, or else the
    tolerance of the output's datatype; ratio in [0, 1]."""
    answers: AnswersMode = AnswersMode.AUTO
    """Enforce: a candidate with fewer such answers is rejected. ReportOnly: it is reported. Auto:
    Enforce where both revisions have that share of the golden set's answers, or where there is no
    golden set and most answers are stable's; else ReportOnly, because the version seems meant to
    answer differently."""


class Capacity(StrEnum):
    """Where a candidate's replicas find room."""

    SURGE = "Surge"
    """Beside stable's, which all stay until the candidate is promoted."""
    SWAP = "Swap"
    """In the places of stable's, one at a time."""
    AUTO = "Auto"
    """Surge where there is room, and Swap where there is none."""


class Gap(StrEnum):
    """Whether a rollout may leave a model without a replica for a while."""

    REFUSED = "Refused"
    ACCEPTED = "Accepted"


_SWITCHES = "self.strategy in ['BlueGreen', 'Recreate']"


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
                ),
                cel_rule(
                    "!has(self.strategy) || self.strategy != 'Shadow' || !has(self.shadow)"
                    " || !has(self.shadow.mode) || self.shadow.mode != 'Off'",
                    "strategy Shadow compares answers, which shadow.mode Off forbids",
                    ".shadow.mode",
                ),
                cel_rule(
                    f"!({_SWITCHES}) || !has(self.steps)",
                    "strategies BlueGreen and Recreate switch once: remove steps, or use Canary",
                    ".steps",
                ),
                cel_rule(
                    f"!({_SWITCHES}) || self.bakeControlPercent in [0, 5]",
                    "strategies BlueGreen and Recreate leave no share on stable: remove "
                    "bakeControlPercent, or use Canary",
                    ".bakeControlPercent",
                ),
                cel_rule(
                    f"{_SWITCHES} || self.approval != 'Required'",
                    "approval is for the one switch of BlueGreen and Recreate: steps have their "
                    "own, as steps[0].approval",
                    ".approval",
                ),
                cel_rule(
                    f"!({_SWITCHES}) || self.capacity == 'Surge'",
                    "strategy BlueGreen needs a second place for every replica and Recreate none, "
                    "so that neither can swap them one at a time: remove capacity, or use Canary",
                    ".capacity",
                ),
                cel_rule(
                    "self.strategy != 'Recreate' || self.shadow.mode != 'On'",
                    "strategy Recreate never runs two revisions at once, so that no answers can be "
                    "compared: remove shadow.mode: On",
                    ".shadow.mode",
                ),
            ]
        }
    }

    strategy: Strategy = Strategy.CANARY
    """Canary: the weight rises step by step up to the promotion. Shadow: the candidate answers
    copies of requests and nothing else, until a person uses `approve`, which begins with the steps,
    or `promote`. BlueGreen: the candidate starts at full capacity and gets all requests in one
    switch, which is judged by what stable was before it, and taken back at once. Recreate: for
    models that must not run twice; stable stops before the candidate starts, and nobody is answered
    meanwhile."""
    approval: Approval = Approval.NONE
    """Required: with BlueGreen the switch, with Recreate the stop of the revision that serves,
    waits until a person uses `approve`. Default: None."""
    shadow: ShadowSpec = ShadowSpec()
    capacity: Capacity = Capacity.SURGE
    """Where the candidate's replicas find room. Surge: beside stable's, so that a roll back waits
    for no pod. Swap: a replica of stable makes room for one of the candidate, one at a time, and
    all but one stay ready; steps get weights that these replicas carry. Auto: Surge, and Swap as
    soon as the scheduler or a quota finds no room for the candidate. Default: Surge."""
    allow_gap: Gap = Gap.REFUSED
    """Accepted: a model with one replica and no second place may be swapped. Nothing answers from
    the end of the old replica until the new one is ready, for `server.startSeconds` at most; then
    the old one comes back. Default: Refused."""
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

    @property
    def asks_for_pairs(self) -> bool:
        """Whether answers are compared whatever the model and the traffic are like."""
        return self.strategy is Strategy.SHADOW or self.shadow.mode is ShadowMode.ON

    @property
    def switches_once(self) -> bool:
        """Whether the candidate gets all of the traffic at once, without steps."""
        return self.strategy in {Strategy.BLUE_GREEN, Strategy.RECREATE}

    @property
    def recreates(self) -> bool:
        """Whether no two revisions may run at once."""
        return self.strategy is Strategy.RECREATE

    @property
    def chooses_steps(self) -> bool:
        """Whether the steps are chosen from the request rate."""
        return self.steps is None and not self.switches_once


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
