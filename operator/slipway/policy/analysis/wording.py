"""How the analysis says what it found: one line per metric, for people and for scripts that cut."""

import math
from datetime import datetime

from slipway.policy.statistics.eprocess import Pair

MOST = 1e6
"""Larger bets are not told apart."""


def share(events: int, requests: int) -> str:
    """Return a share with what it rests on."""
    ratio = f" ({events / requests:.2%})" if requests else ""
    return f"{events:,} of {requests:,}{ratio}"


def beside(what: str, pair: Pair, limit: float, since: datetime) -> str:
    """Return both revisions' shares and the candidate's limit."""
    return (
        f"{share(pair.k_c, pair.n_c)} {what} beside {share(pair.k_s, pair.n_s)} on stable, "
        f"limit {limit:.2%}, since {since:%H:%M:%S}"
    )


def odds(log_e: float) -> str:
    """Return an e-value as a bet: 1 put down, so much back."""
    value = min(math.exp(min(max(log_e, -30.0), 30.0)), MOST)
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"  # noqa: PLR2004 -- two digits


def duration(seconds: float) -> str:
    """Return a time that people can plan with."""
    minute, hour = 60, 3600
    if seconds < 2 * minute:
        return f"{math.ceil(seconds)} s"
    if seconds < 2 * hour:
        return f"{math.ceil(seconds / minute)} min"
    return f"{math.ceil(seconds / hour)} h"


def about(requests: float) -> str:
    """Return a number of requests, rounded up to two digits."""
    number = max(1, math.ceil(requests))
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{math.ceil(number / step) * step:,}"


def lost(times: int) -> str:
    """Return what a lost memory means."""
    if not times:
        return ""
    again = "once" if times == 1 else f"{times} times"
    return (
        f"; its memory was lost {again}: the evidence began anew, and a good candidate had "
        f"{times + 1} times falseRollback to fail"
    )
