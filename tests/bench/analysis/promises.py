"""What the documentation promises of verdicts, and whether a measurement contradicts it.

The texts are those of docs/analysis.md, word for word; a test compares them. A share contradicts
its promise where the lower end of its 95% interval is above it, so that few runs prove nothing
either way; the tables show both ends. A duration or a number of requests contradicts it where it
is longer or larger.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Generic, Protocol, TypeVar

from tests.bench.analysis import hours
from tests.bench.analysis.hours import HourOutcome, MarginOutcome
from tests.bench.analysis.many_rollouts import HOUR
from tests.bench.analysis.rollouts import cases
from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.rollouts.climb import Result
from tests.bench.analysis.rollouts.outcome import CaseOutcome, interval
from tests.bench.analysis.shadow import TARGET_RATE, VERSIONS, PairsOutcome, cell_name


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure, and the interval in which it is with 95% confidence; a point where it has none."""

    figure: float
    low: float
    high: float
    text: str


class Outcome(Protocol):
    """What became of many runs."""

    @property
    def runs(self) -> int: ...


Runs = TypeVar("Runs", bound=Outcome)


@dataclass(frozen=True)
class Promise(Generic[Runs]):
    """One sentence of the documentation about the cells of these names."""

    text: str
    cells: tuple[str, ...]
    most: float
    figure: Callable[[Runs], Measured]

    def answers(self, outcomes: Mapping[str, Runs]) -> list["Answer"]:
        """Return what was measured of it, cell by cell, in those that were run."""
        return [self._answer(name, outcomes[name]) for name in self.cells if name in outcomes]

    def _answer(self, cell: str, outcome: Runs) -> "Answer":
        measured = self.figure(outcome)
        is_broken = measured.low > self.most
        return Answer(self.text, cell, outcome.runs, measured, is_broken, len(self.cells))


@dataclass(frozen=True, slots=True)
class Answer:
    """What was measured of a promise in one cell."""

    text: str
    cell: str
    runs: int
    measured: Measured
    is_broken: bool
    """The measurement contradicts the promise."""
    cells: int = 1
    """Of the promise, measured or not."""


def promoted(outcome: CaseOutcome) -> Measured:
    """Return the share of rollouts that were promoted."""
    return _share(outcome.number(Result.PROMOTED), outcome.runs)


def rolled_back(outcome: CaseOutcome) -> Measured:
    """Return the share of rollouts that were rolled back."""
    return _share(outcome.number(Result.ROLLED_BACK), outcome.runs)


def seconds_to_find(outcome: CaseOutcome) -> Measured:
    """Return the median of the seconds from a fault to its roll back; those not found are last."""
    return _median_with_missing(outcome.found_after, outcome.runs)


def median_harmed(outcome: CaseOutcome) -> Measured:
    """Return the median number of requests harmed."""
    return _point(outcome.median_harmed, "requests")


def seconds_to_full(outcome: CaseOutcome) -> Measured:
    """Return the seconds within which nine of ten versions get all traffic but the control's."""
    return _point(outcome.at_full_p90, "s")


def hours_rolled_back(outcome: HourOutcome) -> Measured:
    """Return the share of hours in which a Fail was said."""
    return _share(outcome.found, outcome.runs)


def margin_passed(outcome: MarginOutcome) -> Measured:
    """Return the share of candidates at the margin that passed."""
    return _share(outcome.passed, outcome.runs)


def seconds_to_refuse(outcome: PairsOutcome) -> Measured:
    """Return the median of the seconds to a refusal; those that were not refused are last."""
    return _median_with_missing(outcome.refused, outcome.runs)


def seconds_to_bake(outcome: PairsOutcome) -> Measured:
    """Return the median of the seconds to the bake; those that did not get there are last."""
    return _median_with_missing(outcome.whole, outcome.runs)


def refused(outcome: PairsOutcome) -> Measured:
    """Return the share that was refused."""
    return _share(len(outcome.refused), outcome.runs)


def times_the_limit(outcome: HourOutcome) -> Measured:
    """Return the mean number of requests to the Fail, as a multiple of what any test needs."""
    times = outcome.mean_requests / outcome.needed
    return Measured(times, times, times, f"{times:.2f} x {outcome.needed:.0f}")


def _share(seen: int, runs: int) -> Measured:
    low, high = interval(seen, runs)
    text = f"{100 * seen / runs:.3g}% ({100 * low:.3g} to {100 * high:.3g})"
    return Measured(seen / runs, low, high, text)


def _median_with_missing(seconds: Sequence[float], runs: int) -> Measured:
    missing = [float("inf")] * (runs - len(seconds))
    return _point(median([*seconds, *missing]), "s")


def _point(value: float, unit: str) -> Measured:
    return Measured(value, value, value, f"{value:.0f} {unit}")


def _names(made: Sequence[Case], *parts: str) -> tuple[str, ...]:
    """Return the names of the cases that begin with one of these."""
    found = tuple(case.name for case in made if not parts or case.name.startswith(parts))
    assert found, parts
    return found


QUIETER = 0.3
"""Sigma of the lesser noise."""
_BAD, _GOOD = cases.bad_versions(), cases.good_versions()

OF_ROLLOUTS: tuple[Promise[CaseOutcome], ...] = (
    Promise(
        "A version that is no worse than stable is rolled back in 1% of rollouts at most, also "
        "where traffic stops, streams stay open, answers are slow and failures quick, both "
        "versions fail together, or a router pod is replaced every minute",
        _names(_GOOD),
        0.01,
        rolled_back,
    ),
    Promise(
        "A version of which 5% of requests or more hang, for ever or until a timeout, is promoted "
        "in 5% of rollouts at most",
        _names(cases.hangs()),
        0.05,
        promoted,
    ),
    Promise(
        "Errors of 5% beside 1% that begin in the bake are found within two minutes at 100 "
        "requests/s, in half of the rollouts",
        _names([case for case in cases.late() if case.rps == 100]),
        120,
        seconds_to_find,
    ),
    Promise(
        "They harm 350 requests at most until then, in half of the rollouts",
        _names([case for case in cases.late() if case.rps == 100]),
        350,
        median_harmed,
    ),
    Promise(
        "At 100 requests/s three times the errors at a base of 0.1%, and a fault in every fifth "
        "minute, are promoted in 5% of rollouts at most",
        _names(
            _BAD,
            "errors 0.1% → 0.3%, 100/s",
            "10% more errors in one minute",
            "4% more errors in one minute",
        ),
        0.05,
        promoted,
    ),
    Promise(
        "A good version at 100 requests/s is in the bake within 5 minutes in nine of ten rollouts",
        _names(_GOOD, "alike, 100/s", "alike, 0.1% errors, 100/s"),
        300,
        seconds_to_full,
    ),
    Promise(
        "At 10 requests/s it is there within 11 minutes",
        _names(_GOOD, "alike, 10/s", "alike, 0.2% errors, 10/s"),
        660,
        seconds_to_full,
    ),
)
OF_HOURS: tuple[Promise[HourOutcome], ...] = (
    Promise(
        "Without noise of pods, errors alone roll back 1% of the hours at a fixed weight at most",
        tuple(hour.name for hour in hours.quiet()),
        0.01,
        hours_rolled_back,
    ),
    Promise(
        "Noise of single pods of sigma 0.3 rolls back 2% of hours and of rollouts at most",
        tuple(hour.name for hour in hours.noisy() if hour.fault.arm_noise == QUIETER),
        0.02,
        hours_rolled_back,
    ),
    Promise(
        "With sigma 0.6 it is 4% of hours at most",
        tuple(
            hour.name
            for hour in hours.noisy()
            if hour.fault.arm_noise > QUIETER and hour.parts is HOUR
        ),
        0.04,
        hours_rolled_back,
    ),
    *(
        Promise(
            f"Errors of 5% beside 1%{when} take, at a weight of 5% and {rps:g} requests/s, "
            f"{times:g} times the requests that any test needs at most, on average",
            (f"errors 1% → 5%{late}, {rps:g}/s",),
            times,
            times_the_limit,
        )
        for when, late, rps, times in (
            ("", "", 10.0, 1.7),
            ("", "", 100.0, 2.1),
            (" that begin after half an hour", " after 30 min", 10.0, 3.0),
        )
    ),
)
OF_MARGINS: tuple[Promise[MarginOutcome], ...] = (
    Promise(
        "A fault that comes with a weight, as bad as a Pass there must rule out, passes in 5% of "
        "rollouts at most",
        tuple(margin.name for margin in hours.margins()),
        0.05,
        margin_passed,
    ),
)

AT_ONE = {version.name: cell_name(version, TARGET_RATE) for version in VERSIONS}
OF_PAIRS: tuple[Promise[PairsOutcome], ...] = (
    Promise(
        "In pairs of answers at one request per second, errors of 5% beside 1%, 5% of other "
        "answers and twice the latency are found within ten minutes, in half of the rollouts",
        tuple(AT_ONE[version.name] for version in VERSIONS if not version.is_good),
        600,
        seconds_to_refuse,
    ),
    Promise(
        "A good version of which half of the errors belong to the request may begin with the bake "
        "within 15 minutes, in half of the rollouts",
        (AT_ONE["as good"], AT_ONE["5% slower"]),
        900,
        seconds_to_bake,
    ),
    Promise(
        "A version that is no worse is refused by its pairs in 1% of rollouts at most",
        tuple(AT_ONE[version.name] for version in VERSIONS if version.is_good),
        0.01,
        refused,
    ),
)


def answer_all(
    rollouts: Mapping[str, CaseOutcome],
    measured_hours: Mapping[str, HourOutcome],
    margins: Mapping[str, MarginOutcome],
    pairs: Mapping[str, PairsOutcome],
) -> list[Answer]:
    """Return what was measured of every promise."""
    of_rollouts = [answer for promise in OF_ROLLOUTS for answer in promise.answers(rollouts)]
    of_hours = [answer for promise in OF_HOURS for answer in promise.answers(measured_hours)]
    of_margins = [answer for promise in OF_MARGINS for answer in promise.answers(margins)]
    of_pairs = [answer for promise in OF_PAIRS for answer in promise.answers(pairs)]
    return [*of_rollouts, *of_hours, *of_margins, *of_pairs]
