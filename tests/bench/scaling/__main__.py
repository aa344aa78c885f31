"""Print the table: ``python -m tests.bench.scaling [--runs N] [--quick] [--only LOAD]``."""

import argparse
import statistics
from collections.abc import Sequence

from tests.bench.scaling.loads import LOADS, Load
from tests.bench.scaling.measure import RULES, Score, scores

RUNS, QUICK_RUNS = 40, 5
HEAD = (
    "| load | rule | to the right size, p50 / p95 | too many | too few | requests waited "
    "| changes | flaps |\n|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay every load against every rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="replays of each cell")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} of them")
    parser.add_argument("--only", default="", help="a load's name")
    options = parser.parse_args(arguments)
    runs = QUICK_RUNS if options.quick else options.runs
    print(f"Means of {runs} seeded replays of each cell; times are until replicas are asked for.\n")
    print(HEAD, flush=True)
    for load in (load for load in LOADS if options.only in load.name):
        for rule in RULES:
            print(line(load, rule, scores(load, rule, runs)), flush=True)
    return 0


def line(load: Load, rule: str, found: Sequence[Score]) -> str:
    """Return one row."""
    times = sorted(seconds for each in found for seconds in each.to_right_size)
    size = f"{_quantile(times, 0.5):.1f} s / {_quantile(times, 0.95):.1f} s" if times else "-"

    def mean(values: Sequence[float]) -> float:
        return statistics.fmean(values)

    return (
        f"| {load.name} | {rule} | {size} | {mean([s.too_many for s in found]):.0%} "
        f"| {mean([s.too_few for s in found]):.1%} of the time "
        f"| {mean([s.waiting for s in found]):.1%} of the time "
        f"| {mean([s.changes for s in found]):.1f} | {mean([s.flaps for s in found]):.1f} |"
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


if __name__ == "__main__":
    raise SystemExit(main())
