"""The forecast of a comparison: how long it takes a good candidate, by the judge of pairs itself.

A candidate as good as stable, half of whose errors are stable's too, is played to `judge_pairs`
with average luck.
"""

from collections.abc import Callable
from dataclasses import dataclass

from slipway.api.modeldeployment import AnswersMode, ModelDeploymentSpec, Schedule
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.pairs.judge_pairs import judge_pairs
from slipway.policy.analysis.pairs.look import plan_pairs
from slipway.policy.ladder import find_deadline
from slipway.policy.shadow.counts import PairCounts, PairsMemory

SHARED = 0.5
"""Of stable's errors, those that belong to the request, so that both sides make them."""
USUAL_SECONDS = 1800
"""For a comparison, and at less than one request a second for as many pairs."""


@dataclass(frozen=True, slots=True)
class ExpectedPairs:
    """What a comparison is expected to come to."""

    per_second: float
    """Pairs."""
    seconds: float
    first_weight: int
    """Weight that the candidate begins with, in percent; 0: the first step's."""


def forecast_pairs(
    spec: ModelDeploymentSpec, schedule: Schedule | None, traffic: ExpectedTraffic
) -> ExpectedPairs:
    """Return how long the pairs of a good version are compared, and what they allow then.

    One router pod is reckoned with: several take more pairs a second where requests are many.
    """
    shadow, plan = spec.rollout.shadow, plan_pairs(spec, schedule, AnswersMode.AUTO)
    per_second = min(traffic.per_second * shadow.percent / 100, shadow.max_pairs_per_second)
    longest = longest_seconds(spec, schedule, traffic.per_second)

    def allowed_after(seconds: float) -> int:
        counts = _expect_counts(int(per_second * seconds), traffic.error_ratio)
        return judge_pairs(PairsMemory(counts), plan)[1]

    at_most = allowed_after(longest)
    if at_most < plan.weights[-1]:
        return ExpectedPairs(per_second, longest, at_most)
    enough = _shortest_that_allows(plan.weights[-1], allowed_after, longest)
    return ExpectedPairs(per_second, enough, at_most)


def longest_seconds(
    spec: ModelDeploymentSpec, schedule: Schedule | None, per_second: float | None
) -> int:
    """Return how long answers are compared at most, at so many requests per second; None: unknown.

    The same number of pairs fits in at every rate, as far as half of the deadline is left for the
    steps.
    """
    shadow = spec.rollout.shadow
    wanted = shadow.max_seconds
    if wanted is None:
        rate = (per_second or 0) * shadow.percent / 100
        wanted = max(USUAL_SECONDS, round(USUAL_SECONDS / rate)) if rate else USUAL_SECONDS
    return min(wanted, find_deadline(spec.rollout, schedule) // 2)


def _shortest_that_allows(
    weight: int, allowed_after: Callable[[float], int], longest: float
) -> float:
    """Return after how many seconds a weight is allowed, to a second; `longest` is enough."""
    low, high = 0.0, longest
    while high - low > 1:
        middle = (low + high) / 2
        is_enough = allowed_after(middle) >= weight
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def _expect_counts(pairs: int, error_ratio: float) -> PairCounts:
    alone = round(pairs * error_ratio * (1 - SHARED))
    both = round(pairs * error_ratio * SHARED)
    answered = pairs - 2 * alone - both
    return PairCounts(
        pairs=pairs, worse=alone, better=alone, both=both, agreed=answered, timed=answered
    )
