"""The command watch: redrawn in place on a terminal, a line for every change elsewhere."""

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial

import click

from slipway.cli.changes import Change, Scope, follow_changes
from slipway.cli.cli_error import print_note
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import (
    DurationType,
    name_argument,
    pass_session,
    require_one_or_many,
    selection_options,
    slipway_command,
)
from slipway.cli.reconnect import Disconnected, Reconnect
from slipway.cli.session import Session, utc_now
from slipway.cli.sparkline_history import SparklineHistory
from slipway.cli.terminal import Canvas, open_canvas
from slipway.cli.text import Line, Screen, Style, make_line, wrap_lines
from slipway.cli.views.description import format_description
from slipway.cli.views.listing import format_change, format_listing

TICK_SECONDS = 1.0
"""How often ages are redrawn while nothing changes."""
Events = Iterator[Change | Disconnected | None]


@slipway_command(
    "watch",
    examples="""
    kubectl slipway watch digits -n vision         # one screen, redrawn in place
    kubectl slipway watch -n vision | tee log      # one line for every change
    kubectl slipway watch digits --json            # one JSON object a line
    """,
)
@name_argument(required=False)
@selection_options
@click.option(
    "--for", "seconds", type=DurationType(), metavar="DURATION", help="Stop after this time."
)
@pass_session
def watch(
    session: Session,
    name: str | None,
    everywhere: bool,
    selector: str | None,
    seconds: float | None,
) -> None:
    """Watch one ModelDeployment, or all of a namespace, until Ctrl-C or until it is deleted.

    A restart of the API server does not end it: the screen says since when it is disconnected.
    """
    require_one_or_many(name, everywhere=everywhere, selector=selector)
    scope = Scope(name, everywhere=everywhere, selector=selector or "")
    reconnect = Reconnect(from_the_start=False)
    is_drawn = session.can_redraw and not session.json
    tick = TICK_SECONDS if is_drawn else None
    events = follow_changes(session, scope, reconnect, seconds=seconds, tick=tick)

    with suppress(KeyboardInterrupt), closing(events):
        if is_drawn:
            with open_canvas(session) as canvas:
                redraw_screen(events, canvas, scope)
        else:
            _print_changes(events, session)


def _print_changes(events: Events, session: Session) -> None:
    """Print every change that can be seen, once."""
    last: dict[tuple[str, str], Line] = {}
    for event in events:
        if isinstance(event, Disconnected):
            print_note(event.text, as_json=session.json)
        if not isinstance(event, Change):
            continue
        if session.json:
            session.show_json({"gone": event.deleted, "object": event.md}, indent=None)
            continue

        row = _change_line(event)
        key = (event.md.namespace, event.md.name)
        if last.get(key) != row[1:]:  # but for the time
            session.show([row])
        last[key] = row[1:]


def _change_line(change: Change) -> Line:
    if change.deleted:
        stamp = utc_now().strftime("%H:%M:%S  ")
        return make_line(stamp, f"{change.md.namespace}/{change.md.name}  deleted")
    return format_change(change.md, utc_now())


def redraw_screen(events: Events, canvas: Canvas, scope: Scope) -> None:
    """Draw the screen anew at every change and every second."""
    known: dict[tuple[str, str], ModelDeployment] = {}
    sparklines = SparklineHistory()

    for event in events:
        if isinstance(event, Change):
            known[event.md.namespace, event.md.name] = event.md
            if event.deleted:
                del known[event.md.namespace, event.md.name]

        found = [known[key] for key in sorted(known)]
        if scope.name is None:
            screen = format_listing(
                found, utc_now(), namespaces=scope.everywhere, width=canvas.width
            )
        elif found:
            screen = _description(found[0], canvas, sparklines)
        else:
            is_deleted = isinstance(event, Change)
            text = f"{scope.name} was deleted" if is_deleted else f"waiting for {scope.name}"
            screen = (make_line(text),)
        canvas.draw((*_outage_banner(event, canvas.width), *screen))


def _outage_banner(event: Change | Disconnected | None, width: int) -> Screen:
    """Return a warning that what is below is old."""
    if not isinstance(event, Disconnected):
        return ()
    return (*wrap_lines(event.text, width, indent=0, style=Style.BAD), ())


def _description(md: ModelDeployment, canvas: Canvas, sparklines: SparklineHistory) -> Screen:
    command_line = partial(canvas.session.command_about, md)
    values = sparklines.record(md)
    return format_description(md, utc_now(), command_line, width=canvas.width, trends=values)
