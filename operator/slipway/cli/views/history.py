"""How the revisions of a ModelDeployment ended, the newest first."""

from datetime import datetime

from slipway.cli.objects import HistoryEntry, ModelDeployment
from slipway.cli.text import WIDE, Cell, Screen, line, table
from slipway.cli.times import age
from slipway.cli.views.styles import word


def history(md: ModelDeployment, now: datetime, *, width: int = WIDE) -> Screen:
    """Return one row for every revision that ended."""
    if not md.history:
        return (line(f"no revision of {md.namespace}/{md.name} has ended yet"),)
    rows: list[list[str | Cell]] = [
        [
            entry.version,
            entry.revision or "-",
            word(entry.outcome),
            f"{age(entry.at, now)} ago",
            entry.unjudged or "-",
            _why(md, entry),
        ]
        for entry in reversed(md.history)
    ]
    head = ("VERSION", "REVISION", "OUTCOME", ">WHEN", "UNJUDGED", "WHY")
    return table(head, rows, width=width)


def _why(md: ModelDeployment, entry: HistoryEntry) -> str:
    serves = md.stable is not None and md.stable.revision == entry.revision
    if entry.outcome == "Promoted":
        return "serves now" if serves else ""
    return entry.reason
