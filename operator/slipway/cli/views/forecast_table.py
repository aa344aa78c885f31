"""How long a rollout takes, step by step."""

from slipway.cli.forecast import Forecast, Leg
from slipway.cli.text import WIDE, Cell, Screen, Style, make_line, make_table, wrap_lines
from slipway.cli.time_format import format_duration, format_moment

ASSUMPTIONS = (
    "assumes a candidate as good as stable and average luck; excludes packaging, replica start-up, "
    "checks, acknowledgements, external metrics and approvals"
)

NOTES = {"skipped": "passed over"}
"""What the table says of a leg's state, where that is not its name."""


def format_forecast(forecast: Forecast, *, width: int = WIDE) -> Screen:
    """Return the table, the end, and what both assume."""
    title = make_line(
        Cell(f"{forecast.namespace}/{forecast.name}", Style.STRONG),
        f"   version {forecast.version} at {forecast.per_second:.4g} requests/s, {forecast.source}",
    )
    if forecast.unjudged:
        text = f"straight to 100% as soon as its replicas are ready: {forecast.unjudged}"
        return (title, (), *wrap_lines(text, width, indent=0))
    if not forecast.legs:
        text = "the first revision goes to 100% as soon as its replicas are ready and checked"
        return (title, (), *wrap_lines(text, width, indent=0))

    headings = ("STEP", ">WEIGHT", ">CANDIDATE", ">NEEDS", ">HOLD", ">TAKES", ">ENDS AFTER", "")
    return (
        title,
        (),
        *make_table(headings, _step_rows(forecast), indent=2, width=width),
        (),
        *_format_end(forecast, width),
        *wrap_lines(ASSUMPTIONS, width, indent=0, style=Style.DIM),
    )


def _step_rows(forecast: Forecast) -> list[list[str | Cell]]:
    rows: list[list[str | Cell]] = []
    total: float | None = 0.0

    for leg in forecast.legs:
        seconds = leg.seconds
        for part in (leg.waits_seconds, seconds):
            total = None if total is None or part is None else total + part
        rows.append(
            [
                leg.name,
                f"{leg.weight}%",
                f"{leg.per_second:.3g}/s",
                _requests_needed(leg),
                format_duration(leg.hold_seconds) if leg.hold_seconds else "-",
                _time_shown(seconds),
                _time_shown(total),
                _step_note(leg),
            ]
        )
    return rows


def _requests_needed(leg: Leg) -> str | Cell:
    if leg.evidence_seconds == 0:
        return "-"
    if leg.requests is None:
        return Cell("more traffic", Style.BAD)
    return f"{leg.requests:,} requests"


def _time_shown(seconds: float | None) -> str | Cell:
    return Cell("never", Style.BAD) if seconds is None else format_duration(seconds)


def _step_note(leg: Leg) -> Cell:
    notes = [] if leg.state == "ahead" else [NOTES.get(leg.state, leg.state)]
    if leg.waits_seconds is None:
        notes += ["no window ever opens"]
    elif leg.waits_seconds:
        notes += [f"waits {format_duration(leg.waits_seconds)}"]
    notes += ["after approval"] if leg.needs_approval and leg.state == "ahead" else []
    return Cell(", ".join(notes), Style.ACCENT if leg.state == "now" else Style.DIM)


def _format_end(forecast: Forecast, width: int) -> Screen:
    lines = (
        *_format_turn(forecast, width),
        *_format_shadow(forecast, width),
        *_format_chosen(forecast, width),
        *_format_windows(forecast, width),
    )
    if forecast.shadow is not None and forecast.shadow.awaits_person:
        text = "then a person decides: `approve` begins with the steps, `promote` passes them over"
        return (*lines, *wrap_lines(text, width, indent=0))
    if not forecast.is_too_late:
        seconds, windows = forecast.seconds, forecast.windows
        if seconds is None:
            return (*lines, *wrap_lines("never promoted", width, indent=0, style=Style.BAD))
        text = f"promoted after {format_duration(seconds)}"
        if windows is not None and windows.waits_seconds:
            text += f", {format_duration(windows.waits_seconds)} of it waiting for windows"
        return (*lines, *wrap_lines(text, width, indent=0, style=Style.GOOD))

    what = "the switch takes" if forecast.switch else "the steps take"
    text = (
        f"too slow: {what} longer than the deadline of "
        f"{format_duration(forecast.deadline_seconds)}, after which onInconclusive applies "
        f"({forecast.on_inconclusive}); {_advise(forecast)}"
    )
    return (*lines, *wrap_lines(text, width, indent=0, style=Style.BAD))


def _format_shadow(forecast: Forecast, width: int) -> Screen:
    """Return whether answers are compared first, why, and what comes then."""
    shadow = forecast.shadow
    if shadow is None:
        return ()
    if not shadow.is_on:
        return wrap_lines(f"shadow off: {shadow.why}", width, indent=0)

    first = next((leg for leg in forecast.legs[1:] if leg.state != "skipped"), None)
    text = (
        f"shadow on: {shadow.why}; it compares answers for {format_duration(shadow.seconds)}, "
        f"{shadow.per_second:.3g} a second"
    )
    if first is not None and not forecast.switch:
        text += f"; the first weight is then {first.weight}%"
    if shadow.depends_on_check:
        text += "; off if the check finds that the model keeps state or streams its answers"
    return wrap_lines(text, width, indent=0)


def _format_turn(forecast: Forecast, width: int) -> Screen:
    """Return for whom the rollout waits; nothing is known of when their rollouts end."""
    if not forecast.turn:
        return ()
    return wrap_lines(forecast.turn, width, indent=0)


def _format_windows(forecast: Forecast, width: int) -> Screen:
    """Return whether weights may be raised now, and until or from when."""
    windows = forecast.windows
    if windows is None:
        return ()
    if windows.opens_at is not None:
        text = (
            f"outside of every window: weights rise from {format_moment(windows.opens_at)} on; "
            "`promote` needs no window"
        )
    elif windows.closes_at is not None:
        text = f"in a window until {format_moment(windows.closes_at)}"
    elif windows.waits_seconds is None:
        text = "no window ever opens: weights rise by `promote` alone"
    else:
        text = "a window is always open"
    return wrap_lines(text, width, indent=0)


def _format_chosen(forecast: Forecast, width: int) -> Screen:
    """Return where the steps are from, unless a person wrote them."""
    if forecast.switch:
        text = (
            f"strategy {forecast.switch}: one switch of all requests, judged by what stable was "
            "before it"
        )
        return wrap_lines(text, width, indent=0)
    if not forecast.are_steps_chosen:
        return ()
    limit = format_duration(forecast.deadline_seconds)
    text = f"steps chosen for this request rate; deadline after {limit} of active time"
    return wrap_lines(text, width, indent=0)


def _advise(forecast: Forecast) -> str:
    if not forecast.are_steps_chosen and not forecast.switch:
        return "use fewer or larger steps, or a longer rollout.deadlineSeconds"
    return (
        "so few requests show little, however they are shared: judge by a golden set or a hook, "
        "and `promote` by hand"
    )
