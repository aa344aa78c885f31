"""One metric's own word, before the metrics are merged."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from slipway.policy.analysis.counter_deltas import Base
from slipway.policy.analysis.memory import Raw
from slipway.policy.analysis.port import Plan
from slipway.policy.judgement import Judgement


class Group(Enum):
    """What of the budget for false rollbacks a metric may spend."""

    ERRORS = "errors"
    SLOW = "slow"
    REST = "rest"
    NONE = "none"
    """Its verdict is its own: it spends nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """The frame of one look."""

    plan: Plan
    base: Base
    seconds: float
    """Since the stored memories were made."""
    is_new_step: bool
    now: datetime
    previous: datetime
    """When the stored memories were made."""

    @property
    def is_first(self) -> bool:
        """Whether the candidate's first evidence begins here."""
        return self.base.since == self.now and self.plan.number <= 1

    @property
    def step_time(self) -> timedelta:
        """How long the step's samples have counted."""
        return self.now - self.base.since

    @property
    def next_share(self) -> float:
        """Share of all requests that the candidate would get next."""
        return self.plan.next_weight / 100

    @property
    def margin(self) -> float:
        """How much worse a ratio may be at the next weight, within the harm that is allowed."""
        return self.plan.max_harm / max(self.next_share, 0.01)


@dataclass(frozen=True, slots=True)
class Assessed:
    """A metric's judgement, its evidence, and what it remembers."""

    judgement: Judgement
    """Its own verdict: Pass, Inconclusive, NoData, or Fail where that is a fact."""
    raw: Raw
    group: Group = Group.NONE
    log_e: float = 0.0
    """Evidence against the candidate; counted only in a group."""
    consent: float = math.inf
    """How far the dispersion guard's Bayes factor is above what a Fail needs; a logarithm."""
    fail_reason: str = "Worse"
    words: str = ""
    """The numbers, for whatever verdict."""

    def said(self, verdict: str, reason: str, message: str) -> "Assessed":
        """Return the same metric with another verdict."""
        changed = replace(self.judgement, verdict=verdict, reason=reason, message=message)
        return replace(self, judgement=changed)
