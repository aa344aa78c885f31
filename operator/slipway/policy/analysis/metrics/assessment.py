"""The assessment of one metric in one look, before the metrics are merged."""

import math
from datetime import datetime, timedelta
from enum import StrEnum

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.counter_deltas import CounterBase
from slipway.policy.analysis.metric_memory import MetricMemory, StampedMemory
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Judgement
from slipway.records import record, replace

Said = tuple[Verdict, Reason, str]
"""What a metric says: its verdict, the reason, and the message."""
SLOWEST_TIMES = 5.0
"""Times stable's p99: how long a step lasts at least."""


class BudgetGroup(StrEnum):
    """Which part of the budget for false rollbacks a metric may spend."""

    ERRORS = "errors"
    SLOW = "slow"
    CLIENT = "client"
    FAR = "far"
    TREND = "trend"
    REST = "rest"
    NONE = "none"
    """Its verdict is its own: it spends nothing."""


@record
class Look:
    """The frame of one look: the same for every metric."""

    plan: Plan
    base: CounterBase
    seconds: float
    """Since the stored memories were made."""
    is_new_step: bool
    now: datetime
    previous: datetime
    """When the stored memories were made."""
    is_gap: bool = False
    """Nobody knows how much time passed since: silence counts from now."""

    @property
    def step_time(self) -> timedelta:
        """How long the step's samples have counted."""
        return self.now - self.base.since

    @property
    def slowest_seconds(self) -> float:
        """How long a step lasts at least, where stable's own answers are slow.

        Where both arms fail late, failures are counted after answers. After five times stable's p99
        all but a fifth of what began has come to its end.
        """
        return SLOWEST_TIMES * self.base.p99 / 1000

    def stamp(self, memory: MetricMemory) -> StampedMemory:
        """Return what a metric remembers, with the base that it counts together with."""
        return StampedMemory(memory, wording.timestamp(self.base.at))

    @property
    def margin(self) -> float:
        """How much worse a ratio may be at the next weight, within the harm that is allowed."""
        return self.plan.max_harm / max(self.plan.next_weight / 100, 0.01)


@record
class Assessment:
    """A metric's judgement, which has what it remembers, and its evidence."""

    judgement: Judgement
    """Its own verdict: Pass, Inconclusive, NoData, or Fail where that is a fact."""
    group: BudgetGroup = BudgetGroup.NONE
    log_e: float = 0.0
    """Evidence against the candidate; counted only in a group."""
    guard_margin: float = math.inf
    """How far the dispersion guard's Bayes factor is above what a Fail needs; a logarithm."""
    fail_reason: Reason = Reason.ABOVE_LIMIT
    """Where the evidence fails the candidate."""
    parts: int = 1
    """Of its group's budget, which every metric that is planned shares."""
    is_missing: bool = False
    """It was not read in this look: what it showed last counts, and it fails nobody."""
    figures: str = ""
    """The numbers in words, the same for every verdict."""
    advice: str = ""
    """What a person should look at where evidence mounts; empty, or a sentence without its end."""
    suspect_at: float = math.inf
    """Log e from which a Pass waits, whatever the guard says of it."""
    log_peak: float = -math.inf
    """The most that log e was in this bake, where that is remembered."""

    def with_verdict(self, verdict: Verdict, reason: Reason, message: str) -> "Assessment":
        """Return the same metric with another verdict."""
        changed = replace(self.judgement, verdict=verdict, reason=reason, message=message)
        return replace(self, judgement=changed)
