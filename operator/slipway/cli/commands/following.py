"""The command watch: live, redrawn in place on a terminal, lines elsewhere."""

from collections.abc import Iterator
from contextlib import closing, suppress

import click

from slipway.cli.follow import Change, Scope, changes
from slipway.cli.looks import Looks
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import Duration, command, many, name_argument, one_or_many, with_session
from slipway.cli.patience import Lost, Patience
from slipway.cli.problems import note
from slipway.cli.session import Session, now
from slipway.cli.terminal import Canvas, canvas
from slipway.cli.text import Line, Screen, Style, line, wrapped
from slipway.cli.views.describe import describe
from slipway.cli.views.listing import change as line_about
from slipway.cli.views.listing import listing

TICK_SECONDS = 1.0
"""How often ages are redrawn while nothing changes."""


@command(
    "watch",
    examples="""
    kubectl slipway watch digits -n vision         # one screen, redrawn in place
    kubectl slipway watch -n vision | tee log      # one line for every change
    kubectl slipway watch digits --json            # one JSON object a line
    """,
)
@name_argument(required=False)
@many
@click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="End after that time.")
@with_session
def watch(
    session: Session,
    name: str | None,
    everywhere: bool,
    selector: str | None,
    seconds: float | None,
) -> None:
    """Follow one, or all of a namespace, until Ctrl-C or until the one is deleted.

    It outlasts restarts of the API server, and says since when it is disconnected.
    """
    one_or_many(name, everywhere=everywhere, selector=selector)
    scope = Scope(name, everywhere=everywhere, selector=selector or "")
    patience = Patience(from_the_start=False)
    is_drawn = session.draws and not session.json
    tick = TICK_SECONDS if is_drawn else None
    seen = changes(session, scope, patience, seconds=seconds, tick=tick)
    with suppress(KeyboardInterrupt), closing(seen):
        if is_drawn:
            with canvas(session) as drawn:
                _redraw(seen, drawn, scope)
        else:
            _print(seen, session)


def _print(seen: Iterator[Change | Lost | None], session: Session) -> None:
    """Print every change that can be seen, once."""
    last: dict[tuple[str, str], Line] = {}
    for change in seen:
        if isinstance(change, Lost):
            note(change.text, as_json=session.json)
        if not isinstance(change, Change):
            continue
        if session.json:
            session.show_json({"gone": change.gone, "object": change.md}, indent=None)
            continue
        (told,) = _told(change)
        key = (change.md.namespace, change.md.name)
        if last.get(key) != told[1:]:
            session.show([told])
        last[key] = told[1:]


def _told(change: Change) -> Screen:
    if change.gone:
        stamp = now().strftime("%H:%M:%S  ")
        return (line(stamp, f"{change.md.namespace}/{change.md.name}  deleted"),)
    return line_about(change.md, now())


def _redraw(seen: Iterator[Change | Lost | None], drawn: Canvas, scope: Scope) -> None:
    """Draw the screen anew at every change and every second."""
    known: dict[tuple[str, str], ModelDeployment] = {}
    looks = Looks()
    for change in seen:
        if isinstance(change, Change):
            known[change.md.namespace, change.md.name] = change.md
            if change.gone:
                del known[change.md.namespace, change.md.name]
        found = [known[key] for key in sorted(known)]
        if scope.name is None:
            screen = listing(found, now(), namespaces=scope.everywhere, width=drawn.width)
        elif found:
            screen = _screen(found[0], drawn, looks)
        else:
            is_gone = isinstance(change, Change)
            screen = (line(f"{scope.name} is deleted" if is_gone else f"waiting for {scope.name}"),)
        drawn.draw((*_banner(change, drawn.width), *screen))


def _banner(change: Change | Lost | None, width: int) -> Screen:
    """Say on top that what is below is old."""
    if not isinstance(change, Lost):
        return ()
    return (*wrapped(change.text, width, indent=0, style=Style.BAD), ())


def _screen(md: ModelDeployment, drawn: Canvas, looks: Looks) -> Screen:
    session = drawn.session
    numbers = looks.note(md)
    return describe(
        md, now(), lambda *words: session.say(*words, md=md), width=drawn.width, looks=numbers
    )
