"""What a source outside says: numbers, or why there are none.

An answer is either series or a problem. A problem is never the candidate's fault: whatever is made
of it is NoData with this reason. Its words are ours alone, nothing of a response is repeated.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no number."""

    reason: str
    """Stable and CamelCase."""
    message: str
    """One sentence of ours."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number of an answer, and the labels that tell it from the others."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite: what that means is the reader's business."""


Answer = tuple[Series, ...] | Problem


def number(answer: Answer) -> float | Problem:
    """Return the one finite number of an answer."""
    if isinstance(answer, Problem):
        return answer
    if not answer:
        return Problem("SeriesMissing", "the query found nothing, expected one series")
    if len(answer) > 1:
        found = f"the query found {len(answer)} series, expected one"
        return Problem("TooManySeries", found)
    return _finite(answer[0].value)


def series_of(answer: Answer, most: int) -> Mapping[tuple[tuple[str, str], ...], float] | Problem:
    """Return the counters of an answer by their labels, apart from the metric's name."""
    if isinstance(answer, Problem):
        return answer
    if not answer:
        return Problem("SeriesMissing", "the query found nothing, expected a counter")
    if len(answer) > most:
        return Problem(
            "TooManySeries", f"the query found {len(answer)} series, expected at most {most}"
        )
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for series in answer:
        labels = tuple(sorted(item for item in series.labels.items() if item[0] != "__name__"))
        count = _counted(_finite(series.value))
        if isinstance(count, Problem):
            return count
        if labels in found:
            return Problem("TooManySeries", "two series have the same labels")
        found[labels] = count
    return found


def counters_by(answer: Answer, label: str, most: int) -> Mapping[str, float] | Problem:
    """Return the counters of an answer by the value of `label`, at most `most` of them."""
    if isinstance(answer, Problem):
        return answer
    if not answer:
        return Problem("SeriesMissing", "the query found nothing, expected a series per bin")
    if len(answer) > most:
        text = f"the query found {len(answer)} series, expected at most {most} bins"
        return Problem("TooManySeries", text)
    bins: dict[str, float] = {}
    for series in answer:
        name = series.labels.get(label)
        if name is None:
            return Problem("LabelMissing", f"a series has no label {label!r} that names its bin")
        if name in bins:
            return Problem("TooManySeries", f"two series have the same value of label {label!r}")
        count = _counted(_finite(series.value))
        if isinstance(count, Problem):
            return count
        bins[name] = count
    return bins


def _finite(value: float) -> float | Problem:
    if math.isfinite(value):
        return value
    return Problem("NotANumber", "the query found NaN or an infinity, expected a number")


def _counted(value: float | Problem) -> float | Problem:
    if isinstance(value, Problem) or value >= 0:
        return value
    return Problem("NegativeCounter", "the query found a negative number, expected a counter")
