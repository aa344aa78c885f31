"""The answer of a source outside: series of numbers, or why there are none.

A `Why` in place of numbers is never the candidate's fault: it becomes NoData with this reason. Its
message never repeats any part of a response, which may hold what the reader must not see.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slipway.api.reasons import Reason, Why

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value, without the name of the metric."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number of an answer, and the labels that tell it from the others."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite: the reader decides what that means."""


Answer = tuple[Series, ...] | Why


def single_number(answer: Answer) -> float | Why:
    """Return the one finite number of an answer."""
    if isinstance(answer, Why):
        return answer
    if not answer:
        return Why(Reason.SERIES_MISSING, "the query returned nothing, expected one series")
    if len(answer) > 1:
        found = f"the query returned {len(answer)} series, expected one"
        return Why(Reason.TOO_MANY_SERIES, found)
    return _finite_number(answer[0].value)


def counters_by_labels(answer: Answer, most: int) -> Mapping[Labels, float] | Why:
    """Return the counters of an answer, at most `most` of them, by their labels."""
    if isinstance(answer, Why):
        return answer
    if not answer:
        return Why(Reason.SERIES_MISSING, "the query returned nothing, expected a counter")
    if len(answer) > most:
        found = f"the query returned {len(answer)} series, expected at most {most}"
        return Why(Reason.TOO_MANY_SERIES, found)

    counters: dict[Labels, float] = {}
    for series in answer:
        labels = tuple(sorted(item for item in series.labels.items() if item[0] != "__name__"))
        count = _counter_value(series.value)
        if isinstance(count, Why):
            return count
        if labels in counters:
            return Why(Reason.TOO_MANY_SERIES, "two series have the same labels")
        counters[labels] = count
    return counters


def counters_by_bin(answer: Answer, label: str, most: int) -> Mapping[str, float] | Why:
    """Return the counters of an answer by the value of `label`, at most `most` of them."""
    if isinstance(answer, Why):
        return answer
    if not answer:
        return Why(Reason.SERIES_MISSING, "the query returned nothing, expected a series per bin")
    if len(answer) > most:
        found = f"the query returned {len(answer)} series, expected at most {most} bins"
        return Why(Reason.TOO_MANY_SERIES, found)

    bins: dict[str, float] = {}
    for series in answer:
        name = series.labels.get(label)
        if name is None:
            return Why(Reason.LABEL_MISSING, f"a series has no label {label!r} to name its bin")
        if name in bins:
            found = f"two series have the same value of label {label!r}"
            return Why(Reason.TOO_MANY_SERIES, found)
        count = _counter_value(series.value)
        if isinstance(count, Why):
            return count
        bins[name] = count
    return bins


def _finite_number(value: float) -> float | Why:
    if math.isfinite(value):
        return value
    return Why(Reason.NOT_A_NUMBER, "the query returned NaN or an infinity, expected a number")


def _counter_value(value: float) -> float | Why:
    number = _finite_number(value)
    if isinstance(number, Why) or number >= 0:
        return number
    return Why(Reason.NEGATIVE_COUNTER, "the query returned a negative number, expected a counter")
