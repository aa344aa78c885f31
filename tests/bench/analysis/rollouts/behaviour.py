"""How the requests of a version end, and when: mixtures of kinds of requests."""

import functools
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from slipway.api.counters import latency_edges

from tests.bench.analysis.arrivals import TICK

EDGES = np.array(latency_edges(), float)
BUCKETS = len(EDGES) + 1
MEDIAN_MILLIS, SIGMA = 40.0, 0.8
"""Of the log-normal latency of an ordinary answer."""
_NEGLIGIBLE = 1e-9


class End(IntEnum):
    """How a request ends."""

    ANSWERED = 0
    FAILED = 1
    """5xx, or a gRPC status that counts as an error."""
    REFUSED = 2
    """4xx: the client is told that it asked wrongly."""
    TIMED_OUT = 3
    STREAMED = 4
    """A stream ends well; it is answered by its first message, soon after it begins."""
    HANGS = 5
    """Never: it stays in flight."""


ENDS = tuple(end for end in End if end is not End.HANGS)


@dataclass(frozen=True, slots=True)
class Kind:
    """A part of a version's requests."""

    share: float
    end: End = End.ANSWERED
    median_millis: float = MEDIAN_MILLIS
    sigma: float = SIGMA
    messages: float = 0.0
    """Of a stream, from either side, in a second."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a version does with its requests; the shares of the kinds add up to 1."""

    kinds: tuple[Kind, ...]

    def slower(self, factor: float) -> "Behaviour":
        """Return the same, with every latency so many times as long."""
        if factor == 1:
            return self
        kinds = (replace(kind, median_millis=kind.median_millis * factor) for kind in self.kinds)
        return Behaviour(tuple(kinds))

    def harm(self, slow_millis: float) -> float:
        """Return the share of requests that do not end well within so many milliseconds."""
        harmed = 0.0
        for kind in self.kinds:
            late = 1 - _below(kind, slow_millis) if kind.end is End.ANSWERED else 1.0
            harmed += 0.0 if kind.end is End.STREAMED else kind.share * late
        return harmed


def _below(kind: Kind, millis: float) -> float:
    return float(ndtr((np.log(millis) - np.log(kind.median_millis)) / kind.sigma))


def answers(errors: float = 0.01, *, refused: float = 0.0, slower: float = 1.0) -> Behaviour:
    """Return ordinary requests: log-normal latencies, errors and refusals as quick as answers."""
    median = MEDIAN_MILLIS * slower
    kinds = [Kind(1 - errors - refused, median_millis=median)]
    if errors:
        kinds.append(Kind(errors, End.FAILED, median_millis=median))
    if refused:
        kinds.append(Kind(refused, End.REFUSED, median_millis=median))
    return Behaviour(tuple(kinds))


def hanging(share: float, errors: float = 0.01) -> Behaviour:
    """Return ordinary requests of which a share hangs."""
    return Behaviour((Kind(share, End.HANGS), *_scaled(answers(errors), 1 - share)))


def slow_answers(seconds: float, errors: float) -> Behaviour:
    """Return answers that take so long, and failures that come at once."""
    answered = Kind(1 - errors, median_millis=1000 * seconds, sigma=0.2)
    return Behaviour((answered, Kind(errors, End.FAILED)))


def streams(seconds: float, hang: float = 0.0) -> Behaviour:
    """Return streams with a message a second, open for half of `seconds` to half as long again.

    On a share of them no message is ever answered.
    """
    parts = (0.5, 0.75, 1.0, 1.25, 1.5)
    share = (1 - hang) / len(parts)
    kinds = [
        Kind(share, End.STREAMED, 1000 * seconds * part, sigma=0.05, messages=1) for part in parts
    ]
    return Behaviour((*kinds, Kind(hang, End.HANGS, messages=1)) if hang else tuple(kinds))


def rare_slow(share: float, millis: float, errors: float = 0.01) -> Behaviour:
    """Return ordinary requests of which a share takes about so many milliseconds."""
    slow = Kind(share, median_millis=millis, sigma=0.1)
    return Behaviour((slow, *_scaled(answers(errors), 1 - share)))


def _scaled(behaviour: Behaviour, factor: float) -> tuple[Kind, ...]:
    return tuple(replace(kind, share=kind.share * factor) for kind in behaviour.kinds)


@dataclass(frozen=True, slots=True)
class Fates:
    """What becomes of a request, one entry for each fate that it may have."""

    chances: NDArray[np.float64]
    """Of each; the last one is that it hangs."""
    ends: NDArray[np.int64]
    buckets: NDArray[np.int64]
    ticks: NDArray[np.int64]
    """Whole ticks until it ends, if it began at the end of a tick."""
    later: NDArray[np.float64]
    """Chance that it ends one tick later, as it began somewhere within its own."""


@functools.lru_cache(maxsize=4096)
def fates(behaviour: Behaviour, factor: float, timeout: int) -> Fates:
    """Return the fates of a version's requests, with latencies times `factor`.

    What takes longer than `timeout` seconds ends then, as an error; 0: nothing does.
    """
    parts: list[tuple[float, int, int, float]] = []
    hangs = 0.0
    for kind in behaviour.kinds:
        if kind.end is End.HANGS:
            hangs += kind.share
            continue
        for bucket, (chance, millis) in enumerate(_buckets(kind, factor)):
            if kind.share * chance > _NEGLIGIBLE:
                parts.append((kind.share * chance, int(kind.end), bucket, millis / 1000))

    if timeout:
        bucket = int(np.searchsorted(EDGES, timeout * 1000))
        late = (part[0] for part in parts if part[3] > timeout)
        ended = (hangs + sum(late), int(End.TIMED_OUT), bucket, float(timeout))
        parts, hangs = [part for part in parts if part[3] <= timeout], 0.0
        if ended[0] > 0:
            parts.append(ended)

    chances = np.array([*(part[0] for part in parts), hangs])
    whole, rest = np.divmod(np.array([part[3] / TICK for part in parts], float), 1)
    return Fates(
        chances / chances.sum(),
        np.array([part[1] for part in parts], np.int64),
        np.array([part[2] for part in parts], np.int64),
        whole.astype(np.int64),
        np.asarray(rest),
    )


def _buckets(kind: Kind, factor: float) -> list[tuple[float, float]]:
    """Return the chance of each bucket of the router's histogram, and a duration in it."""
    median = kind.median_millis * factor
    below = ndtr((np.log(EDGES) - np.log(median)) / kind.sigma)
    chances = np.diff(np.concatenate([[0.0], below, [1.0]]))
    middles = np.sqrt(EDGES * np.concatenate([[0.5], EDGES[:-1]]))
    durations = [*middles, max(median, EDGES[-1] * 1.1)]
    return list(zip(chances.tolist(), (float(item) for item in durations), strict=True))
