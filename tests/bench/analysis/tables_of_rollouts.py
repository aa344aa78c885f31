"""Tables of whole rollouts and of promises, as Markdown; the worst comes first."""

from collections.abc import Iterable, Sequence
from statistics import median

from tests.bench.analysis.hours import STABLE, Hour, HourOutcome, MarginOutcome
from tests.bench.analysis.many_rollouts import WARM_UP
from tests.bench.analysis.promises import Answer, hours_rolled_back, margin_passed
from tests.bench.analysis.rollouts.climb import Result
from tests.bench.analysis.rollouts.outcome import CaseOutcome, interval, p90
from tests.bench.analysis.tables import percent, table


def bad_versions(outcomes: Iterable[CaseOutcome]) -> str:
    """Return how bad versions ended, those that were promoted most often first."""
    ordered = sorted(
        outcomes, key=lambda it: (-round(it.share(Result.PROMOTED), 2), -it.median_harmed)
    )
    head = ["bad version", "runs", "promoted", "held", "rolled back", "found after", "harmed"]
    return table(head, map(_bad_row, ordered))


def _bad_row(outcome: CaseOutcome) -> list[str]:
    return [
        outcome.case.name,
        f"{outcome.runs}",
        _bounded(outcome, Result.PROMOTED),
        percent(outcome.share(Result.HELD)),
        percent(outcome.share(Result.ROLLED_BACK)),
        _middle_and_p90(outcome.found_after, "s"),
        _middle_and_p90([ending.harmed for ending in outcome.endings]),
    ]


def good_versions(outcomes: Iterable[CaseOutcome]) -> str:
    """Return how good versions ended, those that were rolled back or held most often first."""
    ordered = sorted(
        outcomes,
        key=lambda it: (
            -it.share(Result.ROLLED_BACK),
            -round(it.share(Result.HELD), 2),
            -median(it.at_full or [0]),
        ),
    )
    head = ["good version", "runs", "rolled back", "held", "promoted", "at full", "most said"]
    return table(head, map(_good_row, ordered))


def _good_row(outcome: CaseOutcome) -> list[str]:
    return [
        outcome.case.name,
        f"{outcome.runs}",
        _bounded(outcome, Result.ROLLED_BACK),
        percent(outcome.share(Result.HELD)),
        percent(outcome.share(Result.PROMOTED)),
        _middle_and_p90(outcome.at_full, "s"),
        outcome.commonest_cause or "-",
    ]


def _bounded(outcome: CaseOutcome, result: Result) -> str:
    low, high = interval(outcome.number(result), outcome.runs)
    return f"{percent(outcome.share(result))} ({100 * low:.3g} to {100 * high:.3g})"


def _middle_and_p90(values: Sequence[float], unit: str = "") -> str:
    if not values:
        return "-"
    space = f" {unit}" if unit else ""
    return f"{median(values):,.0f}{space} ({p90(values):,.0f})"


def promises(answers: Sequence[Answer]) -> str:
    """Return every promise with the cell that is worst for it, broken ones first.

    A promise of many cells has one line for each that breaks it, or else one for the worst.
    """
    rows = [answer for answer in answers if answer.is_broken]
    broken = {answer.text for answer in rows}
    for text in dict.fromkeys(answer.text for answer in answers):
        if text not in broken:
            kept = [answer for answer in answers if answer.text == text]
            rows.append(max(kept, key=lambda answer: answer.measured.figure))
    return table(
        ["promise", "cells", "measured in the worst", "runs", ""],
        (
            [
                answer.text,
                f"{sum(other.text == answer.text for other in answers)} of {answer.cells}",
                f"{answer.measured.text}: {answer.cell}",
                f"{answer.runs:,}",
                "**broken**" if answer.is_broken else "kept",
            ]
            for answer in rows
        ),
    )


def hours_without_difference(outcomes: Iterable[HourOutcome]) -> str:
    """Return in how many hours a Fail was said although there was no difference."""
    ordered = sorted(outcomes, key=lambda it: -it.found)
    return table(
        ["no difference", "hours", "rolled back"],
        (
            [outcome.hour.name, f"{outcome.runs:,}", hours_rolled_back(outcome).text]
            for outcome in ordered
        ),
    )


def hours_with_fault(outcomes: Iterable[HourOutcome]) -> str:
    """Return how soon a fault was found, beside what any test needs.

    Of the requests the table says how many the warm-up took, in which nothing counts, and how many
    come between two looks.
    """
    columns = ["fault", "runs", "found", "median", "mean requests", "warm-up", "a look"]
    return table(
        [*columns, "limit", "times", "without warm-up"],
        (
            [
                outcome.hour.name,
                f"{outcome.runs:,}",
                percent(outcome.found / outcome.runs),
                f"{outcome.median_seconds:.0f} s",
                f"{outcome.mean_requests:.0f}",
                f"{_warm_up_requests(outcome.hour):g}",
                f"{_requests_in(outcome.hour, outcome.hour.tick):g}",
                f"{outcome.needed:.0f}",
                f"{outcome.mean_requests / outcome.needed:.2f}",
                f"{(outcome.mean_requests - _warm_up_requests(outcome.hour)) / outcome.needed:.2f}",
            ]
            for outcome in outcomes
        ),
    )


def _requests_in(hour: Hour, seconds: int) -> float:
    return hour.fault.rps * hour.parts[0].weight * seconds


def _warm_up_requests(hour: Hour) -> float:
    """Return how many requests of a fault come in the warm-up; one that begins late has none."""
    return _requests_in(hour, max(0, WARM_UP - hour.fault.onset))


def hours_at_margin(outcomes: Iterable[MarginOutcome]) -> str:
    """Return in how many hours a candidate at the margin passed, the worst first."""
    ordered = sorted(outcomes, key=lambda it: -it.passed)
    return table(
        ["candidate", "errors", "runs", "passed"],
        (
            [
                outcome.margin.name,
                f"{percent(STABLE)} → {percent(outcome.margin.candidate)}",
                f"{outcome.runs:,}",
                margin_passed(outcome).text,
            ]
            for outcome in ordered
        ),
    )
