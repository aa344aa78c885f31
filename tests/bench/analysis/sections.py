"""The sections of the evaluation: what is measured for each, and its table."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from tests.bench.analysis import (
    hours,
    promises,
    scenario,
    shadow,
    tables,
    tables_of_rollouts,
    timing,
)
from tests.bench.analysis.bench import Bench, Cell
from tests.bench.analysis.hours import (
    CHUNK_HOURS,
    HOURS,
    Hour,
    HourOutcome,
    MarginOutcome,
    run_hours,
    run_margin,
)
from tests.bench.analysis.measure import measure_once, read_cells
from tests.bench.analysis.peers.argo import Argo
from tests.bench.analysis.peers.climb import Ratios, climb_argo, climb_flagger
from tests.bench.analysis.peers.flagger import Flagger
from tests.bench.analysis.rollouts import cases
from tests.bench.analysis.rollouts.case import Case
from tests.bench.analysis.rollouts.climb import Ending, Result
from tests.bench.analysis.rollouts.outcome import CaseOutcome, roll_out
from tests.bench.analysis.seeds import seed_of
from tests.bench.analysis.store import Run

FLAGGERS = (Flagger("Flagger 97%", min_success=0.97), Flagger("Flagger 99%"))
ARGOS = (Argo("Argo docs"), Argo("Argo 98%, 1 min", min_success=0.98, interval=60, range=60))
RATIOS = [
    Ratios(rate, 0.01, candidate)
    for rate in (1.0, 10.0, 100.0, 1000.0)
    for candidate in (0.01, 0.05)
]
"""Of the cases "alike" and "errors 1% → 5%"."""
FULL_RUNS = 200
"""Of a cell of whole rollouts; hours are as many more as rollouts are."""


@dataclass(frozen=True, slots=True)
class Section:
    """One table."""

    name: str
    title: str
    make: Callable[[Bench], str]


def rollouts(bench: Bench, made: Sequence[Case]) -> list[CaseOutcome]:
    """Return what became of the cases that were chosen."""
    cells = [Cell(f"rollout: {case.name}", partial(roll_out, case)) for case in made]
    runs = bench.runs_of(cells)
    return [
        CaseOutcome.read(case, runs[cell.name])
        for case, cell in zip(made, cells, strict=True)
        if cell.name in runs
    ]


def _bad(bench: Bench) -> str:
    return tables_of_rollouts.bad_versions(rollouts(bench, cases.bad_versions()))


def _good(bench: Bench) -> str:
    return tables_of_rollouts.good_versions(rollouts(bench, cases.good_versions()))


def measured_hours(bench: Bench, made: Sequence[Hour]) -> list[HourOutcome]:
    """Return what became of the hours that were chosen; a run of theirs is many hours."""
    cells = [Cell(f"hours: {hour.name}", partial(run_hours, hour)) for hour in made]
    runs = bench.runs_of(cells, _chunks(bench))
    return [
        HourOutcome(hour, runs[cell.name])
        for hour, cell in zip(made, cells, strict=True)
        if cell.name in runs
    ]


def measured_margins(bench: Bench) -> list[MarginOutcome]:
    """Return what became of candidates at the margin."""
    made = hours.margins()
    cells = [Cell(f"margin: {margin.name}", partial(run_margin, margin)) for margin in made]
    runs = bench.runs_of(cells, _chunks(bench))
    return [
        MarginOutcome(margin, runs[cell.name])
        for margin, cell in zip(made, cells, strict=True)
        if cell.name in runs
    ]


def _chunks(bench: Bench) -> int:
    return max(1, HOURS * bench.runs // FULL_RUNS // CHUNK_HOURS)


def _noise(bench: Bench) -> str:
    outcomes = measured_hours(bench, [*hours.quiet(), *hours.noisy()])
    return tables_of_rollouts.hours_without_difference(outcomes)


def _limits(bench: Bench) -> str:
    return tables_of_rollouts.hours_with_fault(measured_hours(bench, hours.faults()))


def _margin(bench: Bench) -> str:
    return tables_of_rollouts.hours_at_margin(measured_margins(bench))


def answer_promises(bench: Bench) -> list[promises.Answer]:
    """Return what was measured of every promise."""
    of_rollouts = rollouts(bench, [*cases.bad_versions(), *cases.good_versions()])
    asked = [*hours.quiet(), *hours.noisy(), *hours.faults()]
    return promises.answer_all(
        {outcome.case.name: outcome for outcome in of_rollouts},
        {outcome.hour.name: outcome for outcome in measured_hours(bench, asked)},
        {outcome.margin.name: outcome for outcome in measured_margins(bench)},
        {
            shadow.cell_name(*key): outcome
            for key, outcome in shadow.measure_pairs(bench).items()
            if outcome.runs
        },
    )


def climb_of_peers(ratios: Ratios, number: int) -> Run:
    """Return how a rollout ended by each of the peers' rules."""

    def seeded(rule: str) -> str:
        return f"{ratios.name}, {rule}"

    endings = {
        rule.name: climb_flagger(rule, ratios, seed_of(seeded(rule.name), number))
        for rule in FLAGGERS
    }
    endings |= {
        rule.name: climb_argo(rule, ratios, seed_of(seeded(rule.name), number)) for rule in ARGOS
    }
    return {rule: asdict(ending) for rule, ending in endings.items()}


def _peers(bench: Bench) -> str:
    cells = [Cell(f"peers: {item.name}", partial(climb_of_peers, item)) for item in RATIOS]
    runs = bench.runs_of(cells)
    rows = [
        (name.removeprefix("peers: "), rule, [_ending(run[rule]) for run in made])
        for name, made in runs.items()
        for rule in made[0]
    ]
    return tables.rollouts_of_peers(rows)


def _ending(run: Run) -> Ending:
    return Ending(**{**run, "result": Result(run["result"])})


def _fixed(bench: Bench) -> str:
    made = scenario.faulty()
    cells = [Cell(f"fixed weight: {item.name}", partial(measure_once, item)) for item in made]
    runs = bench.runs_of(cells)
    rows = [
        read_cells(item, runs[cell.name])
        for item, cell in zip(made, cells, strict=True)
        if cell.name in runs
    ]
    return tables.detections(rows) if rows else ""


SECTIONS = [
    Section("bad", "Bad versions, the worst first", _bad),
    Section("good", "Good versions, the worst first", _good),
    Section("noise", "A thousand hours of the error test, a look every 5 s", _noise),
    Section("margin", "A candidate at the margin of a Pass, for 40 minutes", _margin),
    Section("limits", "Errors beside the limit of any test, at a weight of 5%", _limits),
    Section("peers", "Whole rollouts by the rules of peers", _peers),
    Section(
        "shadow",
        "Pairs of answers before the steps: share, median seconds, users harmed",
        lambda bench: shadow.make_table(bench, climb_of_peers),
    ),
    Section(
        "fixed",
        "At a fixed weight of 5%: mean requests / median seconds / median harmed",
        _fixed,
    ),
    Section("time", "CPU time of a look", lambda _: timing.timing()),
]
