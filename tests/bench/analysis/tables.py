"""Tables of what was measured, as Markdown."""

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from slipway.api.modeldeployment import Tolerance

from tests.bench.analysis.limits import limit
from tests.bench.analysis.measure import Cell
from tests.bench.analysis.rollouts.climb import Ending, Result

TOLERANCE = {"relative": Tolerance().relative, "absolute": Tolerance().absolute}


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


def rollouts_of_peers(rows: Sequence[tuple[str, str, Sequence[Ending]]]) -> str:
    """Return how whole rollouts of the peers ended: version, rule, endings."""
    head = ["version", "rule", "runs", "promoted", "rolled back", "decided", "harmed"]
    return table(
        head,
        (
            [
                version,
                rule,
                f"{len(endings)}",
                *(
                    percent(sum(ending.result is result for ending in endings) / len(endings))
                    for result in (Result.PROMOTED, Result.ROLLED_BACK)
                ),
                f"{median(ending.seconds for ending in endings):.0f} s",
                f"{median(ending.harmed for ending in endings):.0f}",
            ]
            for version, rule, endings in rows
        ),
    )
