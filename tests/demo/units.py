"""A metric's numbers with their unit: what is compared, with what, and where the limit is."""

from collections.abc import Callable

from slipway.api.modeldeployment import AnalysisStatus

Describe = Callable[[float, float, float], str]
"""From the candidate's number, stable's, and the limit."""


def describe_figures(entry: AnalysisStatus) -> str:
    """Return the numbers as people compare them; empty where one of them is missing."""
    if entry.candidate is None or entry.baseline is None or entry.limit is None:
        return ""
    describe = DESCRIPTIONS.get(entry.name, _compare_numbers)
    return describe(entry.candidate, entry.baseline, entry.limit)


def _compare_shares(candidate: float, stable: float, limit: float) -> str:
    return f"{candidate:.1%} vs {stable:.1%}, limit {limit:.1%}"


def _compare_slow_shares(candidate: float, stable: float, limit: float) -> str:
    return f"{candidate:.1%} slow vs {stable:.1%}, limit {limit:.1%}"


def _compare_milliseconds(candidate: float, stable: float, limit: float) -> str:
    return f"{candidate:.2f} ms vs {stable:.2f} ms, limit {limit:.2f} ms"


def _compare_with_weight(candidate: float, weight: float, least: float) -> str:
    """Of the split: its limit is the least that the candidate must complete."""
    return f"{candidate:.1%} of the answers at weight {weight:.0%}, at least {least:.1%}"


def _compare_numbers(candidate: float, stable: float, limit: float) -> str:
    return f"{candidate:.4g} vs {stable:.4g}, limit {limit:.4g}"


DESCRIPTIONS: dict[str, Describe] = {
    "errors": _compare_shares,
    "client-errors": _compare_shares,
    "latency": _compare_slow_shares,
    "latency-p90": _compare_slow_shares,
    "latency-p99": _compare_slow_shares,
    "latency-p999": _compare_slow_shares,
    "latency-peak": _compare_slow_shares,
    "latency-mean": _compare_milliseconds,
    "traffic": _compare_with_weight,
}
"""By metric; any other is a plain number."""
