"""The rollouts of the evaluation: what a production may meet, good versions and bad ones."""

from tests.bench.analysis.arrivals import Arrivals
from tests.bench.analysis.rollouts.behaviour import (
    Behaviour,
    answers,
    hanging,
    rare_slow,
    slow_answers,
    streams,
)
from tests.bench.analysis.rollouts.case import Case, Outage, Truth

COLD = answers(0.2, slower=8)
"""What a pod does while it loads lazily."""
ALWAYS = 10**9


def _bad(name: str, rps: float, candidate: Behaviour | None = None, **more: object) -> Case:
    return Case(f"{name}, {rps:g}/s", rps, Truth.BAD, candidate=candidate, **more)  # type: ignore[arg-type]


def _good(name: str, rps: float, stable: Behaviour | None = None, **more: object) -> Case:
    return Case(f"{name}, {rps:g}/s", rps, stable=stable or answers(), **more)  # type: ignore[arg-type]


def errors(before: float, after: float, rps: float, **more: object) -> Case:
    """Return a version whose error ratio rises."""
    late = f", from {more['onset']} s of the bake" if "onset" in more else ""
    name = f"errors {100 * before:g}% → {100 * after:g}%{late}"
    return _bad(name, rps, answers(after), stable=answers(before), **more)


def alike_at(rps: float) -> Case:
    """Return a version that is as good as stable, in plain conditions."""
    return _good("alike", rps)


def slower_at(rps: float, candidate: Behaviour, name: str) -> Case:
    """Return a version that answers more slowly."""
    return _bad(name, rps, candidate)


def hangs() -> list[Case]:
    """Return versions whose requests do not come back, or late."""
    old_streams = {"stable": streams(120), "past": 7200, "hours": 3}
    return [
        _bad("10% hang for ever", 100, hanging(0.1)),
        _bad("10% hang for ever", 10, hanging(0.1)),
        _bad("30% hang for ever", 100, hanging(0.3)),
        _bad("all hang", 10, hanging(1.0)),
        _bad("no message on streams of 2 min is answered", 0.5, streams(120, 1), **old_streams),
        _bad("20% hang until the timeout of 60 s", 100, hanging(0.2), timeout=60),
        _bad("5% hang until the timeout of 60 s", 100, hanging(0.05), timeout=60),
        _bad("20% hang until the timeout of 60 s", 1000, hanging(0.2), timeout=60),
        _bad("20% hang until the timeout of 30 s", 100, hanging(0.2), timeout=30),
        _bad("5% hang until the timeout of 30 s", 100, hanging(0.05), timeout=30),
    ]


def late() -> list[Case]:
    """Return versions that turn bad in the bake."""
    return [
        *(errors(0.01, 0.05, 100, in_bake=True, onset=onset) for onset in (120, 200, 400)),
        errors(0.01, 0.05, 1000, in_bake=True, onset=60),
    ]


def plain() -> list[Case]:
    """Return versions with more errors, or slower, at once."""
    return [
        *(errors(0.01, 0.05, rps) for rps in (1.0, 10.0, 100.0, 1000.0)),
        errors(0.002, 0.02, 100),
        errors(0.001, 0.003, 100),
        errors(0.001, 0.003, 10),
        _bad("latency x 1.2", 100, answers(slower=1.2)),
        _bad("latency x 1.5", 10, answers(slower=1.5)),
    ]


def subtle() -> list[Case]:
    """Return versions whose fault is rare, grows, comes and goes, or is no error."""
    refusing = answers(0.01, refused=0.05)
    tail = rare_slow(0.002, 2000)
    return [
        _bad("10% more errors in one minute of five", 100, answers(0.11), every=300, lasts=60),
        _bad("4% more errors in one minute of five", 100, answers(0.05), every=300, lasts=60),
        _bad("a class of 2% fails", 100, answers(0.0298)),
        _bad("a class of 2% fails", 10, answers(0.0298)),
        _bad("a leak, 10% slower each minute from minute 5", 100, grows=0.1, onset=300),
        _bad("a leak, 10% slower each minute from minute 5", 10, grows=0.1, onset=300),
        _bad("client errors 5% → 6%", 100, answers(0.01, refused=0.06), stable=refusing),
        _bad("client errors 5% → 25%", 100, answers(0.01, refused=0.25), stable=refusing),
        _bad("0.2% take 20 s, 2 s before", 100, rare_slow(0.002, 20_000), stable=tail),
        _bad("0.7% take 2 s, 0.2% before", 100, rare_slow(0.007, 2000), stable=tail),
        _bad("one bad pod of four, 20% errors", 100, answers(0.2), bad_pods=(1, 4)),
        _bad("1% → 5%, a router pod replaced every minute", 100, answers(0.05), resets=60),
        _bad("1% → 5%, answers 30 s late", 100, answers(0.05), gaps=0.05, lag=30),
    ]


def alike() -> list[Case]:
    """Return versions that are as good as stable, in plain conditions."""
    return [
        *(alike_at(rps) for rps in (1.0, 10.0, 100.0, 1000.0)),
        _good("alike, 0.2% errors", 10, answers(0.002)),
        _good("alike, 0.1% errors", 100, answers(0.001)),
        _good("alike, 0.1% errors", 10, answers(0.001)),
    ]


def unlucky() -> list[Case]:
    """Return versions that are as good as stable, where something else looks odd."""
    burst = Outage(answers(0.5), lasts=1, every=60, begin=30)
    return [
        _good("no traffic for 10 min but one open request", 100, stops=(30, 630)),
        _good("streams of 2 min, new service", 0.5, streams(120), past=100, hours=3),
        _good("streams of 2 min", 0.5, streams(120), past=7200, hours=3),
        _good("answers after 30 s, 2% fail at once", 1000, slow_answers(30, 0.02)),
        _good("answers after 20 s, 2% fail at once", 1000, slow_answers(20, 0.02)),
        _good("answers after 30 s, 5% fail at once", 100, slow_answers(30, 0.05)),
        _good("answers after 60 s, 1% fail at once", 100, slow_answers(60, 0.01)),
        _good("both fail by half for 1 s of every minute", 100, outage=burst),
        _good("both fail by 10% for 5 min", 100, outage=Outage(answers(0.1), 300, begin=60)),
        _good("a router pod replaced every minute", 100, resets=60),
        _good("5% of answers missing, 30 s late", 100, gaps=0.05, lag=30),
        _good("cold for 10 s", 100, candidate=COLD, every=ALWAYS, lasts=10),
        _good("bursts", 2.4, arrivals=Arrivals.BURSTS),
    ]


def bad_versions() -> list[Case]:
    """Return every bad version."""
    return [*hangs(), *late(), *subtle(), *plain()]


def good_versions() -> list[Case]:
    """Return every good version."""
    return [*unlucky(), *alike()]
