"""How long a rollout takes, step by step."""

from slipway.cli.forecasting import Forecast, Leg
from slipway.cli.text import WIDE, Cell, Screen, Style, line, table, wrapped
from slipway.cli.times import duration

ASSUMED = (
    "for a candidate as good as stable, with average luck; not counted are packaging, start of the "
    "replicas, checks, acknowledgements, metrics from outside the router, and people"
)


def plan(found: Forecast, *, width: int = WIDE) -> Screen:
    """Return the table, and what it rests on."""
    head = line(
        Cell(f"{found.namespace}/{found.name}", Style.STRONG),
        f"   version {found.version} at {found.per_second:.4g} requests/s, {found.source}",
    )
    if not found.legs:
        text = "the first revision goes to 100 % as soon as its replicas are ready and checked"
        return (head, (), *wrapped(text, width, indent=0))
    columns = ("STEP", ">WEIGHT", ">CANDIDATE", ">NEEDS", ">HOLD", ">TAKES", ">ENDS AFTER", "")
    rows = table(columns, _rows(found), indent=2, width=width)
    return (
        head,
        (),
        *rows,
        (),
        *_end(found, width),
        *wrapped(ASSUMED, width, indent=0, style=Style.DIM),
    )


def _rows(found: Forecast) -> list[list[str | Cell]]:
    rows: list[list[str | Cell]] = []
    total: float | None = 0.0
    for leg in found.legs:
        seconds = leg.seconds
        total = None if total is None or seconds is None else total + seconds
        rows.append(
            [
                leg.name,
                f"{leg.weight} %",
                f"{leg.per_second:.3g}/s",
                _needs(leg),
                duration(leg.hold_seconds) if leg.hold_seconds else "-",
                _time(seconds),
                _time(total),
                _note(leg),
            ]
        )
    return rows


def _needs(leg: Leg) -> str | Cell:
    if leg.evidence_seconds == 0:
        return "-"
    if leg.requests is None:
        return Cell("too few", Style.BAD)
    return f"{leg.requests:,} requests"


def _time(seconds: float | None) -> str | Cell:
    return Cell("never", Style.BAD) if seconds is None else duration(seconds)


def _note(leg: Leg) -> Cell:
    notes = [] if leg.state == "ahead" else [leg.state]
    notes += ["after approval"] if leg.needs_approval and leg.state == "ahead" else []
    return Cell(", ".join(notes), Style.ACCENT if leg.state == "now" else Style.DIM)


def _end(found: Forecast, width: int) -> Screen:
    if found.is_too_late:
        limit = duration(found.deadline_seconds)
        text = (
            f"not in time: the steps take longer than the deadline of {limit}, "
            f"then onInconclusive says {found.on_inconclusive}; fewer or larger steps, or a later "
            "rollout.deadlineSeconds"
        )
        return wrapped(text, width, indent=0, style=Style.BAD)
    total = found.seconds
    return wrapped(f"promoted after {duration(total or 0)}", width, indent=0, style=Style.GOOD)
