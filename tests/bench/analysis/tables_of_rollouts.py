"""Tables of whole rollouts and of promises, as Markdown; the worst comes first."""

from collections.abc import Iterable, Sequence
from statistics import median

from tests.bench.analysis.promises import Answer
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
    """Return what was measured of every promise, broken ones first."""
    ordered = sorted(answers, key=lambda answer: not answer.is_broken)
    return table(
        ["promise", "rollout", "runs", "measured", ""],
        (
            [
                answer.promise.text,
                answer.case,
                f"{answer.runs}",
                answer.measured.text,
                "**broken**" if answer.is_broken else "kept",
            ]
            for answer in ordered
        ),
    )
