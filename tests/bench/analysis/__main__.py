"""Print the tables: ``python -m tests.bench.analysis [--quick] [--runs N] [--only WORD]``."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tests.bench.analysis import scenario, tables
from tests.bench.analysis.arrivals import bursts_are_real
from tests.bench.analysis.climb import Case, Ending, climb
from tests.bench.analysis.margin import MARGINS, wrong_promotions
from tests.bench.analysis.measure import Cell, measure, seeds
from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.climb import climb_argo, climb_flagger
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.timing import timing

RUNS, QUICK_RUNS = 40, 4
"""What an idle core does in ten minutes, and in one. 300 without a single false rollback bound it
by 1% with 95% confidence: ``--runs 300``, for an hour and more."""
FEWER = 3
"""Rollouts and faults need less precision: a third of the runs."""
CASES = [
    Case(rate, stable, candidate)
    for rate in (1.0, 10.0, 100.0)
    for stable, candidate in ((0.002, 0.002), (0.01, 0.01), (0.01, 0.05), (0.002, 0.02))
] + [Case(10, 0.01, 0.01, slower=1.5), Case(100, 0.01, 0.01, slower=1.2)]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Section:
    """One table."""

    name: str
    title: str
    make: Callable[["Bench"], str]


class Bench:
    """Does the work, and says how far it is."""

    def __init__(self, runs: int, jobs: int) -> None:
        self.runs, self._jobs = runs, jobs
        self._began = time.monotonic()

    def each(self, work: Callable[[T], R], items: Sequence[T], name: Callable[[T], str]) -> list[R]:
        """Return the results in order."""
        if self._jobs > 1:
            with ProcessPoolExecutor(self._jobs) as pool:
                return list(self._said(items, pool.map(work, items), name))
        return list(self._said(items, map(work, items), name))

    def _said(
        self, items: Sequence[T], results: Iterable[R], name: Callable[[T], str]
    ) -> Iterator[R]:
        for number, (item, result) in enumerate(zip(items, results, strict=True), start=1):
            spent = time.monotonic() - self._began
            print(
                f"{spent:5.0f} s  {number}/{len(items)}  {name(item)}", file=sys.stderr, flush=True
            )
            yield result


def _measured(task: tuple[Scenario, int]) -> list[Cell]:
    return measure(*task)


def _cells(bench: Bench, scenarios: list[Scenario], runs: int) -> list[list[Cell]]:
    tasks = [(item, runs) for item in scenarios]
    return bench.each(_measured, tasks, lambda task: task[0].name)


def _good(bench: Bench) -> str:
    return tables.false_rollbacks(_cells(bench, scenario.good(), bench.runs))


def _noise(bench: Bench) -> str:
    return tables.false_rollbacks(_cells(bench, scenario.noisy(), bench.runs))


def _faults(bench: Bench) -> str:
    return tables.detections(_cells(bench, scenario.faulty(), max(1, bench.runs // FEWER)))


def _latency(bench: Bench) -> str:
    return tables.detections(_cells(bench, scenario.slow(), max(1, bench.runs // FEWER)))


def _margin(bench: Bench) -> str:
    tasks = [(item, bench.runs) for item in MARGINS]
    return tables.margins(bench.each(wrong_promotions, tasks, lambda task: task[0].name))


def _climbed(task: tuple[Case, int]) -> list[tuple[Case, str, list[Ending]]]:
    case, runs = task

    def many(rule: Callable[[np.random.Generator], Ending]) -> list[Ending]:
        return [rule(rng) for rng in seeds(case.name, runs)]

    lenient = Flagger("Flagger 97 %", min_success=0.97)
    tuned = Argo("Argo 98 %, 1 min", min_success=0.98, interval=60, range=60)
    return [
        (case, "Slipway", many(lambda rng: climb(case, rng))),
        (case, lenient.name, many(lambda rng: climb_flagger(lenient, case, rng))),
        (case, "Argo docs", many(lambda rng: climb_argo(Argo(), case, rng))),
        (case, tuned.name, many(lambda rng: climb_argo(tuned, case, rng))),
    ]


def _rollouts(bench: Bench) -> str:
    tasks = [(case, max(1, bench.runs // FEWER // 2)) for case in CASES]
    rows = bench.each(_climbed, tasks, lambda task: task[0].name)
    return tables.rollouts([row for case in rows for row in case])


SECTIONS = [
    Section("false", "False rollbacks: an hour at fixed weight, a look every 5 s", _good),
    Section("noise", "False rollbacks with arm noise", _noise),
    Section("margin", "Wrong promotions at the margin, looked at every 5 s for an hour", _margin),
    Section("faults", "Faults: mean requests / median seconds / median harmed", _faults),
    Section("latency", "Latency shifts: mean requests / median seconds / median harmed", _latency),
    Section("rollouts", "Whole rollouts", _rollouts),
    Section("time", "CPU time of a look", lambda _: timing()),
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench-analysis", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_RUNS} runs a cell, about a minute"
    )
    parser.add_argument("--runs", type=int, help=f"runs per cell of A/A (default {RUNS})")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--only", choices=[section.name for section in SECTIONS], action="append")
    options = parser.parse_args()

    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    bench = Bench(runs, options.jobs)
    source = "the real trace" if bursts_are_real() else "a synthetic process like the trace"
    print(f"bursts: {source}; the seed of a run is its scenario's name and its number")

    for section in SECTIONS:
        if options.only and section.name not in options.only:
            continue
        print(f"\n### {section.title}\n\n{section.make(bench)}", flush=True)

    return 0


if __name__ == "__main__":
    sys.exit(main())
