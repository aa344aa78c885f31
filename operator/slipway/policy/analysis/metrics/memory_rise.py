"""Is a pod of the candidate on its way to its memory limit? It is asked in the bake alone.

A container that is killed for lack of memory fails `resources`; a leak is killed hours after its
promotion. So where a pod's memory grows steadily, and at this rate reaches its limit soon, the bake
is extended and says so. That holds and blames nobody: a cache that fills looks the same until it is
full, and then the hold is over. By request it must also grow twice as fast as on stable, since what
both do is no difference between versions.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from itertools import pairwise

from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import MemoryReading, MemoryUse
from slipway.policy.analysis.metric_memory import decode_state, encode_state
from slipway.policy.analysis.wording import time_to_plan
from slipway.policy.judgement import Judgement, KeptText, Role
from slipway.policy.statistics.growth import FEWEST, SETTLING, GrowthSeries, steady_rate
from slipway.records import record

NAME = "memory-rise"
SOON_MINUTES = 120.0
"""A pod that reaches its limit later than that is not suspected: ten minutes cannot tell."""
LEAST_GROWTH = 0.02
"""Of the limit, that it must have grown by."""
TIMES_STABLE = 2.0
MOST_PODS = 8
"""Of each revision; what is remembered of them fits into `STATE_LENGTH` characters."""
MEBIBYTE = 2**20
MOST_BYTES = 2**53
"""Larger numbers are unsound."""
NEVER_READ = Why(Reason.METRICS_UNAVAILABLE, "the memory of the pods was not read")

BySeries = Mapping[str, GrowthSeries]


@record
class RiseMemory:
    """What both revisions' pods held, by pod."""

    candidate: BySeries = field(default_factory=dict)
    stable: BySeries = field(default_factory=dict)

    def encode(self) -> str:
        """Return the text for status."""
        return encode_state({"c": _dump(self.candidate), "s": _dump(self.stable)})


@record
class Suspect:
    """A pod that is on its way to its limit."""

    pod: str
    series: GrowthSeries
    rate: float
    """Bytes by the minute."""
    minutes_left: float


def judge_memory_rise(
    reading: MemoryUse | Why, *, limit: int, weight: int, state: str | None, since: str | None
) -> Judgement | None:
    """Return what the memory of the candidate's pods says; None where it was never read.

    `limit` is that of a container, in bytes; `weight` the candidate's, in percent; `state` what was
    stored last.
    """
    if isinstance(reading, Why):
        if state is None:
            return None
        return _said(Verdict.NO_DATA, reading.reason, reading.message, KeptText(state), since)

    memory = _count_samples(load_rise(state), reading)
    if not memory.candidate or not memory.stable:
        message = "waiting for the memory of pods of both revisions"
        return _said(Verdict.NO_DATA, Reason.NO_BASELINE, message, memory, since)

    suspect = find_suspect(memory, limit, weight)
    if suspect is not None:
        text = _describe(suspect, memory, limit)
        return _said(Verdict.INCONCLUSIVE, Reason.MEMORY_GROWS, text, memory, since)
    known = max(len(series.settled) for series in memory.candidate.values())
    if known < FEWEST:
        text = f"needs {FEWEST - known} more minutes of the bake, after the first {SETTLING}"
        return _said(Verdict.INCONCLUSIVE, Reason.UNDECIDED, text, memory, since)
    most = max(series.minutes[-1][1] for series in memory.candidate.values())
    text = f"no pod is on its way to its limit: {_size(most)} of {_size(limit)} at most"
    return _said(Verdict.PASS, Reason.NOTHING_AGAINST, text, memory, since)


def find_suspect(memory: RiseMemory, limit: int, weight: int) -> Suspect | None:
    """Return the pod that reaches its limit first, of those that are on their way to it."""
    found = [
        suspect
        for pod, series in memory.candidate.items()
        if (suspect := _suspect_of(pod, series, limit)) is not None
    ]
    first = min(found, key=lambda suspect: suspect.minutes_left, default=None)
    if first is None:
        return None

    # A request may leave as much on stable: each revision's growth is divided by its requests.
    fastest = max(series.rate for series in memory.stable.values())
    share = min(max(weight, 1), 99) / 100
    by_request = first.rate * len(memory.candidate) / share
    of_stable = max(0.0, fastest) * len(memory.stable) / (1 - share)
    return first if by_request > TIMES_STABLE * of_stable else None


def _suspect_of(pod: str, series: GrowthSeries, limit: int) -> Suspect | None:
    rate = steady_rate(series)
    if rate is None:
        return None
    (_, first), (_, last) = series.settled[0], series.settled[-1]
    minutes_left = max(0.0, limit - last) / rate
    if last - first < LEAST_GROWTH * limit or minutes_left > SOON_MINUTES:
        return None
    return Suspect(pod, series, rate, minutes_left)


def _count_samples(memory: RiseMemory, reading: MemoryUse) -> RiseMemory:
    return RiseMemory(
        _count_arm(memory.candidate, reading.candidate), _count_arm(memory.stable, reading.stable)
    )


def _count_arm(known: BySeries, read: Mapping[str, MemoryReading]) -> BySeries:
    """Count a sample of each pod; those that are gone are forgotten."""
    return {
        pod: known.get(pod, GrowthSeries()).with_sample(_minute_of(read[pod].at), read[pod].held)
        for pod in sorted(read)[:MOST_PODS]
    }


def _minute_of(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _describe(suspect: Suspect, memory: RiseMemory, limit: int) -> str:
    (begin, first), (end, last) = suspect.series.settled[0], suspect.series.settled[-1]
    fastest = max(series.rate for series in memory.stable.values())
    return (
        f"pod {suspect.pod} grew from {_size(first)} to {_size(last)} in {end - begin} min; at "
        f"this rate it reaches its limit of {_size(limit)} in "
        f"{time_to_plan(60 * suspect.minutes_left)}; a pod of stable grew by "
        f"{fastest / MEBIBYTE:.1f} MiB a minute at most, this one by "
        f"{suspect.rate / MEBIBYTE:.1f}"
    )


def _size(held: float) -> str:
    return f"{held / MEBIBYTE:,.0f} MiB"


def _said(
    verdict: Verdict,
    reason: Reason,
    message: str,
    memory: RiseMemory | KeptText,
    since: str | None,
) -> Judgement:
    return Judgement(NAME, verdict, reason, message, memory=memory, role=Role.ADVISORY, since=since)


# ── what is stored: of each pod the minute in which it began, and then minutes and bytes in turn ──


def _dump(pods: BySeries) -> dict[str, list[int]]:
    return {
        pod: [series.began, *(number for minute in series.minutes for number in minute)]
        for pod, series in pods.items()
    }


def load_rise(text: str | None) -> RiseMemory:
    """Read what `RiseMemory.encode` wrote; what is not sound is forgotten."""
    raw = decode_state(text)
    return RiseMemory(_load(raw.get("c")), _load(raw.get("s")))


def _load(raw: object) -> BySeries:
    if not isinstance(raw, dict):
        return {}
    read = ((pod, _load_series(numbers)) for pod, numbers in raw.items())
    return {pod: series for pod, series in read if series is not None}


def _load_series(raw: object) -> GrowthSeries | None:
    if not isinstance(raw, list) or len(raw) % 2 == 0:
        return None
    numbers = [item for item in raw if type(item) is int and 0 <= item <= MOST_BYTES]
    minutes = tuple(zip(numbers[1::2], numbers[2::2], strict=False))
    is_ordered = all(one[0] < other[0] for one, other in pairwise(minutes))
    is_sound = len(numbers) == len(raw) and minutes and is_ordered
    return GrowthSeries(minutes, numbers[0]) if is_sound else None
