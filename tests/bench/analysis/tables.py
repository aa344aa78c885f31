"""Tables of what was measured, as Markdown."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from tests.bench.analysis.climb import Case, Ending
from tests.bench.analysis.limits import limit
from tests.bench.analysis.margin import Margin
from tests.bench.analysis.measure import Cell, at_most

TOLERANCE = {"relative": 0.25, "absolute": 0.002}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, its columns as wide as their widest cell.

    Percents are written here: the name of a scenario is the seed of its runs, and keeps its space.
    """
    lines = [[cell.replace(" %", "%") for cell in line] for line in (head, *rows)]

    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    texts = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    texts.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(texts)


def percent(share: float) -> str:
    """Return a share in percent with three figures at most."""
    return f"{100 * share:.3g}%"


def false_rollbacks(rows: Sequence[Sequence[Cell]]) -> str:
    """Return the share of runs that were rolled back although there was no difference."""
    head = ["no difference between the versions", "runs", *(cell.rule for cell in rows[0])]
    return table(
        head,
        (
            [cells[0].scenario.name, f"{cells[0].runs}", _bounded(cells[0])]
            + [percent(cell.share) for cell in cells[1:]]
            for cells in rows
        ),
    )


def _bounded(cell: Cell) -> str:
    seen = len(cell.stops)
    return f"{percent(cell.share)} (< {percent(at_most(seen, cell.runs))})"


def detections(rows: Sequence[Sequence[Cell]]) -> str:
    """Return requests and seconds until the rollback, and the requests harmed until then."""
    head = ["fault", "limit", "runs", *(cell.rule for cell in rows[0])]
    return table(
        head,
        (
            [cells[0].scenario.name, _limit(cells[0]), f"{cells[0].runs}"]
            + [found(cell) for cell in cells]
            for cells in rows
        ),
    )


def found(cell: Cell) -> str:
    """Return how a fault was found: mean requests / median seconds / median harmed."""
    stops = cell.found
    early = (len(cell.stops) - len(stops)) / cell.runs
    if not stops:
        return "not found" if not early else f"{percent(early)} too early"
    texts = (
        f"{fmean(stop.requests for stop in stops):.0f}",
        f"{median(stop.seconds for stop in stops):.0f} s",
        f"{median(stop.harmed for stop in stops):.0f}",
    )
    text = " / ".join(texts)
    share = len(stops) / cell.runs
    if share < 1:
        text = f"{percent(share)}: {text}"
    return f"{text}, {percent(early)} too early" if early else text


def _limit(cell: Cell) -> str:
    scenario = cell.scenario
    if scenario.candidate is None:
        return "-"
    return f"{limit(scenario.stable, scenario.candidate, scenario.weight, **TOLERANCE):.0f}"


def rollouts(rows: Sequence[tuple[Case, str, Sequence[Ending]]]) -> str:
    """Return how whole rollouts ended, how long they took, and what they cost."""
    head = ["version", "rule", "runs", "promoted", "rolled back", "at full", "decided", "harmed"]
    return table(head, (_rollout(*row) for row in rows))


def _rollout(case: Case, rule: str, endings: Sequence[Ending]) -> list[str]:
    full = [ending.at_full for ending in endings if ending.at_full >= 0]
    decided = [ending.seconds for ending in endings if ending.outcome != "Undecided"]
    return [
        case.name,
        rule,
        f"{len(endings)}",
        *(
            percent(sum(ending.outcome == outcome for ending in endings) / len(endings))
            for outcome in ("Promoted", "RolledBack")
        ),
        f"{median(full):.0f} s" if full else "-",
        f"{median(decided):.0f} s" if decided else "-",
        f"{median(ending.harmed for ending in endings):.0f}",
    ]


def margins(rows: Sequence[tuple[Margin, int, int]]) -> str:
    """Return how often a candidate at the margin passed."""
    head = ["candidate at the margin", "runs", "passed", "95% bound"]
    return table(
        head,
        (
            [margin.name, f"{runs}", percent(passed / runs), percent(at_most(passed, runs))]
            for margin, passed, runs in rows
        ),
    )
