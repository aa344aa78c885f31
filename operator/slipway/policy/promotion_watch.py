"""Whether a promoted revision became worse than it was in its own rollout.

There is nothing to compare with at the same moment any more, so the limit is wide: twice the share
of errors, or of slow answers, that its rollout bounds, and half a point more. An e-process on the
counters of one revision (`policy.statistics.eprocess.bet_on_above`) rejects "within the limit",
with bets that begin anew every ten minutes, so that a fault of the last minutes is not buried under
a good day. It is reported when it has lasted for five minutes.

What is remembered between two looks is in memory only. A process that has just started begins anew,
and knows the level, which lies in the status.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api.counters import Counters, Latency, RouteCounters
from slipway.api.modeldeployment import AfterPromotionStatus
from slipway.api.times import from_wire, to_wire
from slipway.policy.served import Served, find_entries
from slipway.policy.statistics.eprocess import RATIO_SHARES, Pair, bet_on_above, log_sum
from slipway.policy.statistics.wilson import wilson_interval

LEAST_REQUESTS = 100
"""Fewer before the promotion are no level."""
SLOW_SHARE = 0.01
"""Of the requests before the promotion is slower than what counts as slow."""
LEVEL_Z = 3.09
"""One in a thousand levels is above what is taken for its upper bound."""
TIMES = 2.0
POINTS = 0.005
"""Above so many times the level and so many points more it is worse."""
HIGHEST_LIMIT = 0.9
FALSE_REPORT = 0.01
"""Chance that a revision is reported in all of the time, though it stays within the limit."""
LASTS = timedelta(minutes=5)
"""A worsening is said when it has been there for so long."""
LATELY = timedelta(minutes=2)
"""It must still be there in these last minutes: what is over is no reason to act."""
STARTS_EVERY = timedelta(minutes=10)
MOST_STARTS = 144
"""Beside the first: those of a day."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was served until a moment, since the watch began in this process."""

    at: datetime
    requests: int = 0
    errors: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class PromotionWatch:
    """What is remembered of a promoted revision between two looks."""

    revision: str
    tallies: Mapping[tuple[str, str], Tally]
    """By router pod and start of its Envoy: its counters at the last look."""
    now: Tally
    starts: tuple[Tally, ...]
    """At the beginning, and where the bets began anew."""
    recent: tuple[Tally, ...]
    """Those of the last minutes, the oldest first."""
    worse_since: datetime | None = None


def record_level(
    revision: str, served: Served | None, hours: int, now: datetime
) -> AfterPromotionStatus | None:
    """Return what a revision was in its rollout; None where it answered too few requests."""
    if served is None or served.requests < LEAST_REQUESTS:
        return None
    edge, slow = find_slow(served.latency, served.requests)
    return AfterPromotionStatus(
        revision=revision,
        until=to_wire(now + timedelta(hours=hours)),
        requests=served.requests,
        errors=min(served.errors, served.requests),
        slow_millis=edge,
        slow=slow,
    )


def begin_watch(
    level: AfterPromotionStatus, answers: Sequence[Counters | None], route: str, now: datetime
) -> PromotionWatch:
    """Return the watch at its first look, which only takes the counters down."""
    nothing = Tally(now)
    tallies = _read_tallies(level, answers, route, now)
    return PromotionWatch(level.revision, tallies, nothing, (nothing,), (nothing,))


def look_again(
    watch: PromotionWatch,
    level: AfterPromotionStatus,
    answers: Sequence[Counters | None],
    route: str,
    now: datetime,
) -> PromotionWatch:
    """Return the watch after one look more; a pod that is new counts from now on."""
    tallies = _read_tallies(level, answers, route, now)
    grown = [(tally, watch.tallies[key]) for key, tally in tallies.items() if key in watch.tallies]
    total = Tally(
        now,
        watch.now.requests + sum(max(0, new.requests - old.requests) for new, old in grown),
        watch.now.errors + sum(max(0, new.errors - old.errors) for new, old in grown),
        watch.now.slow + sum(max(0, new.slow - old.slow) for new, old in grown),
    )

    starts = watch.starts
    if now - starts[-1].at >= STARTS_EVERY:
        starts = (starts[0], *(*starts[1:], watch.now)[-MOST_STARTS:])
    recent = tuple(it for it in watch.recent if now - it.at <= LASTS) or watch.recent[-1:]
    watch = replace(
        watch,
        tallies={**watch.tallies, **tallies},
        now=total,
        starts=starts,
        recent=(*recent, total),
    )
    is_worse = _find_worse_metric(watch, level) is not None
    since = (watch.worse_since or now) if is_worse else None
    return replace(watch, worse_since=since)


def find_worsening(watch: PromotionWatch, level: AfterPromotionStatus) -> str | None:
    """Return what has been worse for long enough, with numbers; None: nothing."""
    metric = _find_worse_metric(watch, level)
    if metric is None or watch.worse_since is None or watch.now.at - watch.worse_since < LASTS:
        return None
    lately = [tally for tally in watch.recent if watch.now.at - tally.at >= LATELY]
    if not lately or not _is_above_limit(metric, lately[-1], watch.now, level):
        return None

    first = watch.recent[0]
    requests = watch.now.requests - first.requests
    bad, before, words = _numbers_of(metric, first, watch.now, level)
    return (
        f"{words}: {bad / max(1, requests):.2%} of {requests:,} requests in the last minutes, "
        f"{before / level.requests:.2%} of {level.requests:,} before the promotion"
    )


def find_limit(bad: int, requests: int) -> float:
    """Return the share above which a metric is worse, by what it was before the promotion."""
    upper = wilson_interval(bad, requests, LEVEL_Z)[1]
    return min(HIGHEST_LIMIT, TIMES * upper + POINTS)


def _find_worse_metric(watch: PromotionWatch, level: AfterPromotionStatus) -> str | None:
    """Return the metric that is above its limit, by all evidence and in the last minutes."""
    metrics = ("errors", "slow") if level.slow_millis is not None else ("errors",)
    enough = math.log(len(metrics) / FALSE_REPORT)
    return next(
        (
            metric
            for metric in metrics
            if _is_above_limit(metric, watch.recent[0], watch.now, level)
            and _log_evidence(watch, level, metric) >= enough
        ),
        None,
    )


def _is_above_limit(metric: str, first: Tally, last: Tally, level: AfterPromotionStatus) -> bool:
    bad, before, _ = _numbers_of(metric, first, last, level)
    return bad > find_limit(before, level.requests) * (last.requests - first.requests)


def _log_evidence(watch: PromotionWatch, level: AfterPromotionStatus, metric: str) -> float:
    """Return log e against "within the limit": the mean over the moments at which it may begin."""
    _, before, _ = _numbers_of(metric, watch.now, watch.now, level)
    limit = find_limit(before, level.requests)
    begins = max(len(watch.starts), 1 + math.ceil(_starts_left(level, watch.starts[0].at)))
    logs = []
    for start in watch.starts:
        requests = watch.now.requests - start.requests
        bad, _, _ = _numbers_of(metric, start, watch.now, level)
        bets = bet_on_above(Pair(n_c=requests, k_c=bad), limit)
        logs.append(
            log_sum(math.log(share) + won for share, won in zip(RATIO_SHARES, bets, strict=True))
        )
    return log_sum(logs) - math.log(begins)


def _starts_left(level: AfterPromotionStatus, since: datetime) -> float:
    until = from_wire(level.until) or since
    return max(0.0, (until - since) / STARTS_EVERY)


def _numbers_of(
    metric: str, first: Tally, last: Tally, level: AfterPromotionStatus
) -> tuple[int, int, str]:
    """Return the bad requests between two tallies, those before the promotion, and their name."""
    if metric == "errors":
        return last.errors - first.errors, level.errors, "errors"
    words = f"answers over {level.slow_millis:g} ms"
    return last.slow - first.slow, level.slow, words


def find_slow(
    latency: Latency | None, requests: int, *, floor_millis: float = 0.0
) -> tuple[float | None, int]:
    """Return the edge that at most 1% of the requests exceed, and how many do.

    No edge below the floor is taken.
    """
    total = sum(latency.counts) if latency is not None else 0
    if latency is None or not total:
        return None, 0

    above = total
    for edge, count in zip(latency.edges_millis, latency.counts, strict=False):
        above -= count
        if above <= SLOW_SHARE * total and edge >= floor_millis:
            return edge, min(above, requests)
    return None, 0


def _read_tallies(
    level: AfterPromotionStatus, answers: Sequence[Counters | None], route: str, now: datetime
) -> dict[tuple[str, str], Tally]:
    return {
        (answer.proxy, answer.envoy_start): _tally_of(
            find_entries(answer, route, level.revision), level.slow_millis, now
        )
        for answer in answers
        if answer is not None
    }


def _tally_of(entries: Sequence[RouteCounters], edge: float | None, now: datetime) -> Tally:
    slow = 0
    for entry in entries:
        edges, counts = entry.latency.edges_millis, entry.latency.counts
        slow += sum(
            count
            for number, count in enumerate(counts)
            if edge is not None and (number >= len(edges) or edges[number] > edge)
        )
    return Tally(
        now,
        requests=sum(entry.requests for entry in entries),
        errors=sum(entry.errors for entry in entries),
        slow=slow,
    )
