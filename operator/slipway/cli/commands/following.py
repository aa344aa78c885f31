"""Commands that follow: watch and wait."""

import sys
from collections.abc import Iterator
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from slipway.cli.complaints import NotFound
from slipway.cli.follow import Change, changes
from slipway.cli.goals import WORDS, Answer, Goal, goal, known
from slipway.cli.looks import Looks
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import command, name_argument, with_session
from slipway.cli.problems import Exit, Problem, note
from slipway.cli.session import Session, now
from slipway.cli.terminal import Canvas, canvas
from slipway.cli.text import Line, Screen, line
from slipway.cli.times import duration, parse_duration
from slipway.cli.views.coming import STAGES
from slipway.cli.views.describe import describe
from slipway.cli.views.listing import change as line_about
from slipway.cli.views.listing import listing

TICK_SECONDS = 1.0
"""How often ages are redrawn while nothing changes."""


class Duration(click.ParamType[float]):
    """A duration such as 90s, 5m or 1h30m."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        found = value if isinstance(value, float) else parse_duration(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 5m or 1h30m", param, ctx)
        return found


@command(
    "watch",
    examples="""
    kubectl slipway watch digits -n vision         # one screen, redrawn in place
    kubectl slipway watch -n vision | tee log      # one line for every change
    kubectl slipway watch digits --json            # one JSON object a line
    """,
)
@name_argument(required=False)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="In all namespaces.")
@click.option("--for", "seconds", type=Duration(), metavar="DURATION", help="End after that time.")
@with_session
def watch(session: Session, name: str | None, everywhere: bool, seconds: float | None) -> None:
    """Follow one, or all of a namespace, until Ctrl-C or until the one is deleted."""
    with suppress(KeyboardInterrupt):
        if sys.stdout.isatty() and not session.json:
            seen = _followed(session, name, everywhere, seconds, tick=TICK_SECONDS)
            with canvas(session) as drawn:
                _redraw(seen, drawn, name, everywhere=everywhere)
        else:
            _print(_followed(session, name, everywhere, seconds), session)


def _followed(
    session: Session,
    name: str | None,
    everywhere: bool,
    seconds: float | None,
    *,
    tick: float | None = None,
) -> Iterator[Change | None]:
    """Yield the changes; one that was named and is gone is the end."""
    for change in changes(session, name, everywhere=everywhere, seconds=seconds, tick=tick):
        yield change
        if name is not None and change is not None and change.gone:
            return


def _print(seen: Iterator[Change | None], session: Session) -> None:
    """Print every change that can be seen, once."""
    last: dict[tuple[str, str], Line] = {}
    for change in seen:
        if change is None:
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


def _redraw(
    seen: Iterator[Change | None], drawn: Canvas, name: str | None, *, everywhere: bool
) -> None:
    """Draw the screen anew at every change and every second."""
    known: dict[tuple[str, str], ModelDeployment] = {}
    looks = Looks()
    for change in seen:
        if change is not None and change.gone:
            known.pop((change.md.namespace, change.md.name), None)
        elif change is not None:
            known[change.md.namespace, change.md.name] = change.md
        found = [known[key] for key in sorted(known)]
        if name is None:
            drawn.draw(listing(found, now(), namespaces=everywhere, width=drawn.width))
        elif found:
            drawn.draw(_screen(found[0], drawn, looks))
        else:
            drawn.draw([line(f"{name} is deleted" if change else f"waiting for {name}")])


def _screen(md: ModelDeployment, drawn: Canvas, looks: Looks) -> Screen:
    session = drawn.session
    numbers = looks.note(md)
    return describe(
        md, now(), lambda *words: session.say(*words, md=md), width=drawn.width, looks=numbers
    )


def _goals(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    words = [word.partition("<")[0] for word in WORDS] + [f"stage={name}" for name in STAGES]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@command(
    "wait",
    examples="""
    kubectl slipway wait digits -n vision --for=promoted --timeout=30m
    kubectl slipway wait digits --for=weight=25 && ./smoke-test.sh
    kubectl apply -f digits.yaml && kubectl slipway wait digits --for=promoted || exit $?
    """,
)
@name_argument()
@click.option(
    "--for",
    "word",
    required=True,
    metavar="GOAL",
    shell_complete=_goals,
    help=f"One of {', '.join(WORDS)}.",
)
@click.option(
    "--timeout", "seconds", type=Duration(), default="10m", metavar="DURATION", help="Default 10m."
)
@with_session
def wait(session: Session, name: str, word: str, seconds: float) -> int:
    """Wait for an outcome.

    Exit codes: 0 it came; 3 it will not come by itself: a person must change something, or the
    spec asks for another version now; 4 not in time; 6 there is none of that name.
    """
    if word == "deleted":
        return _until_deleted(session, name, seconds)
    found = session.find(name)
    reached = _goal(word, found)
    told = _progress(session, found, ())
    if _has_come(session, reached, found, word):
        return Exit.OK
    for change in changes(session, name, seconds=seconds):
        if change is None:
            continue
        if change.gone:
            raise Problem(f"{name} was deleted", Exit.NOT_FOUND)
        found = change.md
        told = _progress(session, found, told)
        if _has_come(session, reached, found, word):
            return Exit.OK
    raise _late(session, word, seconds, found)


def _has_come(session: Session, reached: Goal, md: ModelDeployment, word: str) -> bool:
    """Print the end, if it is there.

    Raises:
        Problem: it will not come by itself any more.

    """
    seen = reached(md)
    if seen.answer is Answer.NEVER:
        raise Problem(
            f"{md.name} will not be {word} by itself: {seen.why}",
            Exit.REJECTED,
            hint=session.say("describe", md=md),
        )
    if seen.answer is Answer.YES:
        _end(session, md, f"{word}: {seen.why}")
    return seen.answer is Answer.YES


def _goal(word: str, md: ModelDeployment) -> Goal:
    found = goal(word, md)
    if found is None:
        raise click.BadParameter(f"{word!r} is no goal; {known(word)}", param_hint="--for")
    return found


def _progress(session: Session, md: ModelDeployment, told: Line) -> Line:
    """Say on a terminal what changes meanwhile; scripts get the end, and what is in the way."""
    (row,) = line_about(md, now())
    if row[1:] != told and not session.json:
        if sys.stdout.isatty():
            session.show([row])
        elif md.trouble is not None:
            note(f"{md.name} waits for an end of {md.trouble.reason}: {md.trouble.message}")
    return row[1:]


def _end(session: Session, md: ModelDeployment, why: str) -> int:
    if session.json:
        session.show_json(md)
    else:
        session.show([line(f"{md.namespace}/{md.name} {why}")])
    return Exit.OK


def _late(session: Session, word: str, seconds: float, md: ModelDeployment) -> Problem:
    ready = md.condition("Ready")
    why = (ready.message if ready else "") or md.rollout.message
    return Problem(
        f"{md.name} was not {word} within {duration(seconds)}: {md.rollout.stage}, {why}",
        Exit.TIMEOUT,
        hint=session.say("describe", md=md),
    )


def _until_deleted(session: Session, name: str, seconds: float) -> int:
    try:
        for change in changes(session, name, seconds=seconds):
            if change is not None and change.gone:
                return _end(session, change.md, "deleted")
    except Problem as problem:
        if isinstance(problem.__cause__, NotFound):
            return Exit.OK
        raise
    raise Problem(f"{name} was not deleted within {duration(seconds)}", Exit.TIMEOUT)
