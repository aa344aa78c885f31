"""The plan of a look: what is compared, at which weight, and with which promises."""

import math
from dataclasses import dataclass, field

from slipway.api.modeldeployment import AnalysisMode, StableRecord, Threshold, Tolerance
from slipway.policy.judgement import Role

PASS_AT = math.log(20.0)
"""1 / 5%: what promotion may get wrong at the margin, per step."""
LONGEST_LOOK_SECONDS = 60.0
"""Between two stored looks: they are stored every half minute."""


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """A metric from outside the router, and what its verdict may do."""

    name: str
    role: Role = Role.REQUIRED
    maximum: float | None = None
    """Absolute limit of the candidate's value, mean or share."""
    max_increase: float | None = None
    """How much above stable's, as a share of it: 0.25 is a quarter more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and with which promises; everything but the three names has a default."""

    route: str
    candidate: str
    stable: str
    step: str = ""
    """Names the step, by the moment when its weight was acknowledged (RFC 3339)."""
    number: int = 1
    """Of the step, from 1."""
    weight: int = 5
    """Percent of the requests that the candidate gets, as acknowledged."""
    next_weight: int = 100
    """Percent that it would get next; the harm there is what promotion has to rule out."""
    is_bake: bool = False
    """After the last step; late faults are what is looked for."""
    mode: AnalysisMode = AnalysisMode.AUTO
    min_samples: int = 50
    """Requests that each revision must have answered in the step before it may pass."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    max_harm: float = 0.01
    false_rollback: float = 0.01
    pass_at: float = PASS_AT
    """Evidence for the candidate that a Pass takes, in nats."""
    warm_up_seconds: float = 10.0
    """After the candidate's first look, in which nothing counts."""
    threshold: Threshold = field(default_factory=Threshold)
    metrics: tuple[MetricPlan, ...] = ()
    planned_metrics: int = 0
    """Metrics from elsewhere that may roll back at some stage, those that are not due now too: they
    share one part of the budget, whatever is due."""
    interval_seconds: float = 5.0
    """Between two looks, as the spec asks for."""
    recorded: StableRecord | None = None
    """What stable was before the switch; None: it has traffic, and is compared with now."""
    timeout_seconds: int = 0
    """Of the route; 0: none. A request in flight for longer is not slow, it hangs."""

    @property
    def longest_look_seconds(self) -> float:
        """The longest time that one look may stand for.

        More passes only where the operator or its node stood still, or the clock was set.
        """
        return max(LONGEST_LOOK_SECONDS, 3 * self.interval_seconds)
