"""The wording of judgements: one line per metric, readable alone and when it is cut."""

import math
from datetime import UTC, datetime
from functools import lru_cache

from slipway.api.times import to_wire
from slipway.policy.statistics.eprocess import Pair

MOST = 1e6
"""Larger odds are not distinguished."""
MOST_REQUESTS = 1e15
MINUTE, HOUR = 60, 3600
MOST_MOMENTS = 1024
"""That stay written: those of a thousand rollouts, or of a look each of as many."""
LONGEST = 1e9
"""Nobody plans further ahead: 30 years."""


@lru_cache(MOST_MOMENTS)
def timestamp(moment: datetime) -> str:
    """Return RFC 3339: every metric of a look says the same moment, which is written once."""
    return to_wire(moment)


@lru_cache(MOST_MOMENTS)
def time_of_day(moment: datetime) -> str:
    """Return the time of day in UTC."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"


def share_of_requests(events: int, requests: int) -> str:
    """Return a share with what it rests on."""
    if not requests:
        return f"{events:,}/0"
    return f"{events:,}/{requests:,} ({events / requests:.2%})"


def compare_shares(
    what: str, pair: Pair, limit: float, since: datetime, *, is_before: bool = False
) -> str:
    """Return both revisions' shares and the candidate's limit."""
    when = " before the switch" if is_before else ""
    return (
        f"{what} {share_of_requests(pair.k_c, pair.n_c)} "
        f"vs {share_of_requests(pair.k_s, pair.n_s)} on stable{when}, "
        f"limit {limit:.2%}, since {time_of_day(since)}"
    )


def odds_against(log_e: float) -> str:
    """Return an e-value as odds: 1 put down, so much back."""
    value = min(math.exp(min(max(log_e, -30.0), 30.0)), MOST)
    return f"{value:,.0f}:1" if value >= 10 else f"{value:.1f}:1"  # noqa: PLR2004 -- two digits


def time_to_plan(seconds: float) -> str:
    """Return a duration as precisely as a plan needs it."""
    seconds = min(seconds, LONGEST)
    if seconds < 2 * MINUTE:
        return f"{math.ceil(seconds)} s"
    if seconds < 2 * HOUR:
        return f"{math.ceil(seconds / MINUTE)} min"
    return f"{math.ceil(seconds / HOUR)} h"


def count_windows(number: int) -> str:
    """Return how many windows of time there are."""
    return "1 window" if number == 1 else f"{number} windows"


def round_up_requests(requests: float) -> str:
    """Return a number of requests, rounded up to two digits."""
    number = max(1, math.ceil(min(requests, MOST_REQUESTS)))
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{math.ceil(number / step) * step:,}"


def lost_state_note(times: int) -> str:
    """Return what a lost memory means, to be appended; empty where none was lost."""
    if not times:
        return ""
    often = "once" if times == 1 else f"{times} times"
    return (
        f"; analysis state was lost {often} and restarted; "
        f"false-rollback risk is now {times + 1} times falseRollback"
    )
