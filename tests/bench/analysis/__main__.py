"""Measure, print the tables, and fail where a promise is broken.

``python -m tests.bench.analysis [--quick] [--all] [--runs N] [--jobs N] [--only SECTION]``.
What was measured is kept under build/, by cell and code: a run that is broken off goes on.
"""

import argparse
import os
import sys
from datetime import UTC, datetime

from tests.bench.analysis import sections, tables_of_rollouts
from tests.bench.analysis.arrivals import bursts_are_real
from tests.bench.analysis.bench import Bench
from tests.bench.analysis.page import PAGE, write_tables
from tests.bench.analysis.store import Store, code_hash

RUNS, QUICK_RUNS = sections.FULL_RUNS, 4
LONG_CELLS = frozenset(
    {
        "rollout: answers after 60 s, 1% fail at once, 100/s",
        "rollout: client errors 5% → 6%, 100/s",
    }
)
"""A third of the time of all rollouts, as they are held for hours. The promises that they are
behind have other cells."""
LONG_SECTIONS = frozenset({"fixed"})
"""Of no table on the page."""


def main() -> int:
    options = _options()
    runs = options.runs or (QUICK_RUNS if options.quick else RUNS)
    store = Store()
    bench = Bench(
        store,
        runs,
        options.jobs,
        options.case,
        measure=not options.stored,
        unmeasured=() if options.all else LONG_CELLS,
    )

    source = "the real trace" if bursts_are_real() else "a synthetic process like the trace"
    conditions = (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}, {runs} runs a cell, code {code_hash()}; "
        f"bursts: {source}."
    )
    print(conditions)
    made = {"conditions": conditions}
    wanted = options.only or _names(is_all=options.all)
    for section in sections.SECTIONS:
        if section.name in wanted:
            made[section.name] = section.make(bench)
            print(f"\n### {section.title}\n\n{made[section.name]}", flush=True)

    # What was not asked for is not measured for a promise either.
    kept = Bench(store, runs, options.jobs, options.case, measure=False)
    answers = sections.answer_promises(kept)
    made["promises"] = tables_of_rollouts.promises(answers)
    print(f"\n### Promises\n\n{made['promises']}")
    if options.write:
        write_tables(PAGE, made)
    broken = [answer for answer in answers if answer.is_broken]
    for answer in broken:
        print(
            f"broken: {answer.text}: {answer.measured.text} of {answer.runs} of {answer.cell!r}",
            file=sys.stderr,
        )
    return int(bool(broken))


def _names(*, is_all: bool) -> list[str]:
    names = [section.name for section in sections.SECTIONS]
    return [name for name in names if is_all or name not in LONG_SECTIONS]


def _options() -> argparse.Namespace:
    names = _names(is_all=True)
    parser = argparse.ArgumentParser(prog="bench-analysis", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs a cell")
    parser.add_argument(
        "--all", action="store_true", help="also the two cells and the section that take longest"
    )
    parser.add_argument("--runs", type=int, help=f"runs a cell (default {RUNS})")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument("--only", choices=names, action="append", help="these sections alone")
    parser.add_argument("--case", default="", help="only cells whose name holds this text")
    parser.add_argument("--write", action="store_true", help=f"the tables into {PAGE.name}")
    parser.add_argument(
        "--stored", action="store_true", help="measure nothing: print what is kept of this code"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
