"""What the documentation promises of verdicts, and whether a measurement contradicts it.

The texts are those of docs/analysis.md, word for word; a test compares them. A share contradicts
its promise where the lower end of its 95% interval is above it, so that few runs prove nothing
either way; the tables show both ends. A duration or a number of requests contradicts it where it
is longer or larger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.analysis.rollouts import cases
from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.rollouts.climb import Result
from tests.bench.analysis.rollouts.outcome import CaseOutcome, interval


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and the interval in which it is with 95% confidence; a point where it has none."""

    figure: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Promise:
    """One sentence of the documentation about rollouts of some cases."""

    text: str
    cases: tuple[Case, ...]
    most: float
    figure: Callable[[CaseOutcome], Measured]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was measured of a promise in one case."""

    promise: Promise
    case: str
    runs: int
    measured: Measured

    @property
    def is_broken(self) -> bool:
        """Whether the measurement contradicts the promise."""
        return self.measured.low > self.promise.most


def promoted(outcome: CaseOutcome) -> Measured:
    """Return the share of rollouts that were promoted."""
    return _share(outcome, Result.PROMOTED)


def rolled_back(outcome: CaseOutcome) -> Measured:
    """Return the share of rollouts that were rolled back."""
    return _share(outcome, Result.ROLLED_BACK)


def seconds_to_find(outcome: CaseOutcome) -> Measured:
    """Return the median of the seconds from a fault to its roll back; those not found are last."""
    missing = [float("inf")] * (outcome.runs - len(outcome.found_after))
    return _point(median([*outcome.found_after, *missing]), "s")


def median_harmed(outcome: CaseOutcome) -> Measured:
    """Return the median number of requests harmed."""
    return _point(outcome.median_harmed, "requests")


def seconds_to_full(outcome: CaseOutcome) -> Measured:
    """Return the seconds within which nine of ten versions get all traffic but the control's."""
    return _point(outcome.at_full_p90, "s")


def _share(outcome: CaseOutcome, result: Result) -> Measured:
    low, high = interval(outcome.number(result), outcome.runs)
    share = outcome.share(result)
    return Measured(share, low, high, f"{100 * share:.3g}% ({100 * low:.3g} to {100 * high:.3g})")


def _point(value: float, unit: str) -> Measured:
    return Measured(value, value, value, f"{value:.0f} {unit}")


def _named(made: Sequence[Case], *parts: str) -> tuple[Case, ...]:
    """Return the cases whose name begins with one of these."""
    found = tuple(case for case in made if case.name.startswith(parts))
    assert found, parts
    return found


_BAD, _GOOD = cases.bad_versions(), cases.good_versions()

PROMISES = (
    Promise(
        "a version that is no worse than stable is rolled back in 1% of rollouts at most",
        tuple(_GOOD),
        0.01,
        rolled_back,
    ),
    Promise(
        "a version of which some requests hang, for ever or until a timeout, is promoted in 5% of "
        "rollouts at most",
        tuple(cases.hangs()),
        0.05,
        promoted,
    ),
    Promise(
        "a fault that begins in the bake, errors of 5% beside 1% at 100 requests/s, is found "
        "within 120 s in half of the rollouts",
        tuple(cases.late()),
        120,
        seconds_to_find,
    ),
    Promise(
        "by then it has harmed 300 requests at most in half of them",
        tuple(case for case in cases.late() if case.rps == 100),
        300,
        median_harmed,
    ),
    Promise(
        "three times the errors at a low base, a fifth more client errors, and a fault in every "
        "fifth minute are promoted in 5% of rollouts at most",
        _named(
            _BAD,
            "errors 0.1% → 0.3%",
            "client errors 5% → 6%",
            "10% more errors in one minute",
            "4% more errors in one minute",
        ),
        0.05,
        promoted,
    ),
    Promise(
        "a good version at 100 requests/s gets all traffic but the control's within 5 minutes in "
        "nine of ten rollouts",
        _named(_GOOD, "alike, 100/s", "alike, 0.1% errors"),
        300,
        seconds_to_full,
    ),
    Promise(
        "at 10 requests/s within 10 minutes",
        _named(_GOOD, "alike, 10/s", "alike, 0.2% errors"),
        600,
        seconds_to_full,
    ),
)


def answers(outcomes: Mapping[str, CaseOutcome]) -> list[Answer]:
    """Return what was measured of every promise, case by case."""
    return [
        Answer(promise, case.name, outcomes[case.name].runs, promise.figure(outcomes[case.name]))
        for promise in PROMISES
        for case in promise.cases
        if case.name in outcomes
    ]
