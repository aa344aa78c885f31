"""Is what a pod holds on its way to a limit? Told from minutes, so that a warm-up is no leak.

What warms up grows quickly at first and ever more slowly, what is collected falls now and then, and
what leaks goes on at the same rate. So of each minute the least counts, the first minutes are left
out, later minutes must hold more than earlier ones (`statistics.trend`), and the rate of the later
half must not be much below that of the earlier one. Minutes of memory are not exchangeable as those
of a latency are: this is a forecast, and no test with a promise. It may make a rollout wait.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from slipway.policy.statistics.trend import Trend

Minute = tuple[int, int]
"""The number of a minute, and the least that was held in it."""

SETTLING = 2
"""Minutes at the start that do not count."""
FEWEST = 6
"""Minutes that a forecast takes, after those."""
MOST = 20
"""Minutes that are kept."""
GAP = 3
"""Minutes without a sample, after which a series begins anew."""
RISING_AT = math.log(100.0)
"""Evidence of the ranks that it grows: six minutes that are each above those before have it."""
KEEPS_UP = 2 / 3
"""Of the earlier half's rate, that the later half must have: what fills up is slower by then."""


@dataclass(frozen=True, slots=True)
class GrowthSeries:
    """What one pod held, by minute."""

    minutes: tuple[Minute, ...] = ()
    began: int = 0
    """The minute in which it was seen first."""

    def with_sample(self, minute: int, held: int) -> "GrowthSeries":
        """Count a sample; one that is older than the last is known already."""
        if not self.minutes:
            return GrowthSeries(((minute, held),), minute)
        last, least = self.minutes[-1]
        if minute < last:
            return self
        if minute == last:
            return GrowthSeries((*self.minutes[:-1], (last, min(least, held))), self.began)

        # A container that began anew, or a long silence: what was before says nothing of it.
        if minute - last > GAP or 2 * held < least:
            return GrowthSeries(((minute, held),), minute)
        return GrowthSeries((*self.minutes, (minute, held))[-MOST:], self.began)

    @property
    def settled(self) -> tuple[Minute, ...]:
        """The minutes that count; the last one is still under way."""
        return tuple(item for item in self.minutes[:-1] if item[0] >= self.began + SETTLING)

    @property
    def rate(self) -> float:
        """How much more it holds by the minute, on average; 0 where that is not known."""
        return _rate_of(self.settled)


def steady_rate(series: GrowthSeries) -> float | None:
    """Return the rate of the later half, by the minute, where it grows and goes on; or None."""
    minutes = series.settled
    if len(minutes) < FEWEST:
        return None
    trend = Trend()
    for _, held in minutes:
        trend = trend.with_window(float(held))
    if trend.log_e < RISING_AT:
        return None

    half = len(minutes) // 2
    earlier, later = _rate_of(minutes[:half]), _rate_of(minutes[-half:])
    return later if later > 0 and later >= KEEPS_UP * earlier else None


def _rate_of(minutes: Sequence[Minute]) -> float:
    if len(minutes) < 2:  # noqa: PLR2004 -- a line takes two points
        return 0.0
    return linear_regression([at for at, _ in minutes], [held for _, held in minutes]).slope
