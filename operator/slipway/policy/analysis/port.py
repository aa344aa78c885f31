"""The port of the analysis: what it is given, and what it answers.

    judge(memories, inputs, plan, now) -> tuple[Judgement, ...]

`judge` is pure and total. It is called at every look (each `intervalSeconds`, and whenever the
object changes) with

* `memories`: the `state` of the judgements that were *stored* last, by metric. They need not be
  those of the last look: status is written at once when a verdict changes, else every 30 s, so
  looks in between start from the same memories and see the same counters again, grown. Nothing is
  counted twice by that. No memories at all begin anew; lost ones are counted and said.
* `inputs.ticks`: the document of every router pod that must be heard, or None where one did not
  answer; the counters are cumulative since Envoy's start and are differenced here.
* `inputs.external`: by metric of `plan.metrics`, what was read about it: `Counted`, `Summed`,
  `Valued`, `Said`, or `Missing` where nothing could be read. Give the last reading again where
  none was due; a metric of the plan without one is NoData.
* `plan`: what is compared, at which weight, and with which promises; everything but the three
  names has a default.

Every `Judgement` carries its own `state` (at most 2 KiB), to be stored and given back as it is.
`Judgement.role` says what its verdict may do: REQUIRED holds the promotion until it is Pass,
ADVISORY may only roll back, REPORT_ONLY does neither. A Fail is already merged over all metrics:
whoever sees a Fail of a metric that is not REPORT_ONLY may act on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.api.counters import Counters
from slipway.api.modeldeployment import AnalysisMode, Threshold, Tolerance
from slipway.policy.judgement import Role


@dataclass(frozen=True, slots=True)
class Count:
    """A pair of counters of one source (a pod, a series), cumulative since its start."""

    total: int
    bad: int
    is_new: bool = False
    """The source was born after the step began: all that it counted is evidence."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Events among requests, by source: a share, compared with stable's or an absolute limit."""

    candidate: Mapping[str, Count]
    stable: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum and its count, of one source, cumulative since its start."""

    total: int
    sum: float
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Summed:
    """Sums by source: a mean, compared with stable's in windows of a minute."""

    candidate: Mapping[str, Sum]
    stable: Mapping[str, Sum]


@dataclass(frozen=True, slots=True)
class Valued:
    """One number per revision, as a user's query answers it; finite."""

    candidate: float
    stable: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict that its source reached itself: a hook, a resource guard. A Fail is a Fail."""

    verdict: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing could be read: NoData with this reason (MetricsUnavailable, NoTraffic …)."""

    reason: str
    message: str


Reading = Counted | Summed | Valued | Said | Missing


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric from outside the router."""

    name: str
    role: Role = Role.REQUIRED
    maximum: float | None = None
    """Absolute limit of the candidate's value, mean or share."""
    max_increase: float | None = None
    """How much above stable's, as a share of it: 0.25 is a quarter more."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one look found."""

    ticks: tuple[Counters | None, ...]
    """By router pod; None where it did not answer."""
    external: Mapping[str, Reading] = field(default_factory=dict)
    """By metric of the plan."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and with which promises."""

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
    mode: AnalysisMode = AnalysisMode.AUTO
    min_samples: int = 50
    """Requests that each revision must have answered in the step before it may pass."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    max_harm: float = 0.01
    false_rollback: float = 0.01
    warm_up_seconds: float = 10.0
    """After the candidate's first look, that nothing counts."""
    threshold: Threshold = field(default_factory=Threshold)
    metrics: tuple[Metric, ...] = ()
    timeout_seconds: int = 0
    """Of the route; 0: none. A request in flight for longer is no slow one, it hangs."""
