"""How the revisions of a ModelDeployment ended, and its events, the newest first."""

from collections.abc import Sequence
from datetime import datetime

from slipway.cli.object_events import ObjectEvent
from slipway.cli.objects import HistoryEntry, ModelDeployment
from slipway.cli.text import WIDE, Cell, Screen, Style, make_line, make_table
from slipway.cli.time_format import format_age
from slipway.cli.views.styles import style_end


def format_history(md: ModelDeployment, now: datetime, *, width: int = WIDE) -> Screen:
    """Return one row for every revision that ended."""
    if not md.history:
        return (make_line(f"no revision of {md.namespace}/{md.name} has ended yet"),)

    rows: list[list[str | Cell]] = [
        [
            entry.version,
            entry.revision or "-",
            style_end(md, entry),
            f"{format_age(entry.at, now)} ago",
            entry.unjudged or "-",
            describe_outcome(md, entry),
        ]
        for entry in reversed(md.history)
    ]
    headings = ("VERSION", "REVISION", "OUTCOME", ">WHEN", "EVIDENCE SKIPPED BY", "REASON")
    return make_table(headings, rows, width=width)


def format_events(events: Sequence[ObjectEvent], now: datetime, *, width: int = WIDE) -> Screen:
    """Return one row for every event that the cluster keeps."""
    if not events:
        return (make_line("the cluster keeps no event of it: they go after an hour by default"),)

    rows: list[list[str | Cell]] = [
        [
            f"{format_age(event.at, now)} ago",
            f"{event.count}x" if event.count > 1 else "",
            Cell(event.reason, Style.BAD if event.type == "Warning" else Style.PLAIN),
            event.message,
        ]
        for event in events
    ]
    return make_table((">WHEN", "", "EVENT", "MESSAGE"), rows, width=width)


def describe_outcome(md: ModelDeployment, entry: HistoryEntry) -> str:
    """Return why a revision ended so, or that it serves."""
    is_serving = md.stable is not None and md.stable.revision == entry.revision
    if entry.outcome == "Promoted":
        return "serving now" if is_serving else ""
    return entry.reason
