"""The zoo of silent faults: serve it, and print what catches it.

``python -m tests.contract.faults [--only MODEL] [--stored] [--write]``; fails where a target is
missed. What was found of a model is kept under build/.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tests.bench.analysis.page import write_tables
from tests.contract.faults import detector, digits, tickets
from tests.contract.faults.report import (
    find_missed_targets,
    summarise,
    tabulate_faults,
    tabulate_good,
)
from tests.contract.faults.trial import ASKED, Found, Trial, ranging
from tests.contract.faults.users import RATE
from tests.contract.faults.version import Family
from tests.pages import ROOT

FAMILIES = {"digits": digits.family, "tickets": tickets.family, "detector": detector.family}
PAGE = ROOT / "docs/silent-faults.md"
STORE = ROOT / "build/faults"


def main() -> int:
    """Print the tables; return 1 where a target is missed."""
    options = _read_options()
    signal.signal(signal.SIGTERM, _leave)
    names = [options.only] if options.only else list(FAMILIES)
    found = [_read(name) if options.stored else _measure(name) for name in names]

    trials = [trial for each in found for trial in each.trials]
    made = {
        "conditions": _say_conditions(found),
        "summary": summarise(trials),
        "faults": tabulate_faults(trials),
        "good": tabulate_good(trials),
    }
    print("\n\n".join(("", *made.values())))
    if options.write:
        write_tables(PAGE, made)

    missed = [] if options.only else find_missed_targets(trials)
    for text in missed:
        print(f"missed: {text}", file=sys.stderr)
    return int(bool(missed))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--only", choices=FAMILIES, help="one model; no target is then missed")
    parser.add_argument("--stored", action="store_true", help="serve nothing: print what is kept")
    parser.add_argument("--write", action="store_true", help=f"the tables into {PAGE.name}")
    return parser.parse_args()


def _read(name: str) -> Found:
    return Found.read(STORE / f"{name}.json")


def _measure(name: str) -> Found:
    """Try every version of a model, and keep what was found."""
    begun = time.monotonic()
    print(f"\n{name}", flush=True)
    trials = list(_try_all(FAMILIES[name]()))
    found = Found(f"{datetime.now(UTC):%Y-%m-%d}", round(time.monotonic() - begun), trials)
    found.write(STORE / f"{name}.json")
    return found


def _try_all(family: Family) -> Iterator[Trial]:
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as scratch,
        ranging(family, Path(scratch)) as place,
    ):
        for version in (*family.faults, *family.good):
            begun = time.monotonic()
            trial = place.try_out(version, is_fault=version in family.faults)
            _print_progress(trial, time.monotonic() - begun)
            yield trial


def _print_progress(trial: Trial, seconds: float) -> None:
    ending = trial.rollout.ending
    cells = (
        f"{'fault' if trial.is_fault else 'good':5}",
        f"{trial.name:24}",
        f"{ending.caught:10}",
        f"{ending.pairs:4} pairs",
        f"{trial.rollout.wronged:4} wronged",
        f"{seconds:4.0f} s",
        "" if trial.is_as_wanted else "not as wanted",
    )
    print(f"  {'  '.join(cells)}\n         {ending.why}", flush=True)


def _say_conditions(found: Sequence[Found]) -> str:
    minutes = sum(each.seconds for each in found) / 60
    days = " and ".join(sorted({each.day for each in found}))
    return (
        f"Measured on {days}, in {minutes:.0f} minutes: {RATE:g} requests/s, and {ASKED} of them "
        "for the share of wrong answers."
    )


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End by an exception, so that no server is left behind."""
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
