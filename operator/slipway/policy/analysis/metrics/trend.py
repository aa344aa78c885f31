"""Does the candidate's typical latency grow with time, beside stable's? A leak begins so.

In windows of half a minute the candidate's typical latency is divided by the highest that is no
worse than stable's, so load that both share cancels. `statistics.trend` ranks the windows of a
step; growth within `GROWTH` an hour is tolerated. A Fail needs the growth, and that the last
windows are above the limit: a version that is slower by ever so little is held, not rolled back.
"""

import math
from datetime import timedelta

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.metric_memory import StoredState, TrendMemory, load_trend
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look, Said
from slipway.policy.analysis.metrics.mean import MeanMetric
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.mean_windows import EMPTY, WINDOW_SAMPLES, Window
from slipway.policy.statistics.trend import Trend
from slipway.records import replace

NAME = "latency-rise"
TREND_SECONDS = 30.0
GROWTH = math.log(1.25)
"""Per hour: as much as the tolerance of a latency is by default."""
FEWEST = 3
DECIMALS = 3
HELD_AT = math.log(100.0)
HOUR = 3600.0


def assess_trend(mean: MeanMetric, delta: Window, stored: StoredState, look: Look) -> Assessment:
    """Return what the windows of a mean say of its growth, after `delta` more."""
    memory = load_trend(stored.text) or TrendMemory(lost=stored.times_lost)
    if look.is_new_step:
        memory = replace(memory, trend=memory.trend.restarted(), open=EMPTY)
    memory = _count_look(mean, memory, delta, look)

    trend = memory.trend
    text = _describe_growth(trend, look) + wording.lost_state_note(memory.lost)
    is_above, log_e = trend.latest > 0, trend.log_e
    verdict, reason, message = _own_verdict(trend, text, log_e, is_above=is_above)
    judgement = Judgement(
        NAME,
        verdict,
        reason,
        message,
        samples=len(trend.values),
        memory=look.stamp(memory),
        role=Role.ADVISORY,
        since=wording.timestamp(look.base.since),
    )
    return Assessment(
        judgement,
        BudgetGroup.TREND,
        log_e if is_above else min(0.0, log_e),
        fail_reason=Reason.LATENCY_GROWS,
        figures=text,
    )


def _own_verdict(trend: Trend, text: str, log_e: float, *, is_above: bool) -> Said:
    if len(trend.values) < FEWEST:
        message = f"waiting for enough windows to see a trend: {text}"
        return Verdict.INCONCLUSIVE, Reason.TOO_FEW_REQUESTS, message
    if log_e >= HELD_AT and not is_above:
        message = f"latency grows, but is still within the limit: {text}"
        return Verdict.INCONCLUSIVE, Reason.UNDER_SUSPICION, message
    return Verdict.PASS, Reason.NOTHING_AGAINST, text


def _count_look(mean: MeanMetric, memory: TrendMemory, delta: Window, look: Look) -> TrendMemory:
    # Where answers are slow, only the quick ones are in at first: that is no growth.
    if look.previous - look.base.since < timedelta(seconds=look.slowest_seconds):
        return replace(memory, open=EMPTY)

    window = memory.open + delta
    is_full = min(window.n_c, window.n_s) >= WINDOW_SAMPLES and window.seconds >= TREND_SECONDS
    if not is_full:
        return replace(memory, open=window)

    candidate = mean.mean(window.sum_c, window.n_c)
    allowed = mean.limit(mean.mean(window.sum_s, window.n_s))
    if candidate <= 0 or allowed <= 0:
        return replace(memory, open=EMPTY)
    tolerated = GROWTH * look.step_time.total_seconds() / HOUR
    # Rounded as it is stored: one that is remembered must not differ from one that is new.
    value = round(math.log(candidate / allowed) - tolerated, DECIMALS)
    trend = memory.trend.with_window(value)
    return replace(memory, trend=trend, open=EMPTY)


def _describe_growth(trend: Trend, look: Look) -> str:
    """Say by how much the ratio of both latencies has changed since the step's first windows."""
    if not trend.values:
        return f"no window yet, since {wording.time_of_day(look.base.since)}"
    first = Trend(trend.values[:FEWEST]).latest
    grown = math.expm1(min(trend.latest - first, math.log(1000.0)))
    return (
        f"typical latency relative to stable's changed by {grown:+.0%} over "
        f"{wording.count_windows(len(trend.values))}, since {wording.time_of_day(look.base.since)}"
    )
