"""Commands that follow: watch and wait."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import click
from click.shell_completion import CompletionItem

from slipway.cli.complaints import NotFound
from slipway.cli.follow import Change, Scope, changes
from slipway.cli.goals import WORDS, Answer, Goal, goal, known
from slipway.cli.looks import Looks
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import command, many, name_argument, one_or_many, with_session
from slipway.cli.patience import Lost, Patience
from slipway.cli.problems import Exit, Problem, note
from slipway.cli.session import Session, now
from slipway.cli.terminal import Canvas, canvas
from slipway.cli.text import Line, Screen, Style, line, wrapped
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
    patience, end = Patience(from_the_start=True), time.monotonic() + seconds
    if word == "deleted":
        return _until_deleted(session, name, seconds, patience)
    _goal(word, ModelDeployment("", ""))  # what is no goal is said at once
    found = _first(session, name, patience, end)
    reached = _goal(word, found)
    told = _progress(session, found, ())
    if _has_come(session, reached, found, word):
        return Exit.OK
    for change in changes(session, Scope(name), patience, seconds=end - time.monotonic()):
        if not isinstance(change, Change):
            _note(session, change)
            continue
        if change.gone:
            raise _gone(session, change.md)
        found = change.md
        told = _progress(session, found, told)
        if _has_come(session, reached, found, word):
            return Exit.OK
    raise _late(session, word, seconds, found, patience.lost)


def _first(session: Session, name: str, patience: Patience, end: float) -> ModelDeployment:
    """Return the object as it is when the waiting begins; a passing complaint is outlasted.

    Raises:
        Problem: it does not pass, or not in time: nothing is known about the rollout.

    """
    while True:
        try:
            found = session.find(name)
        except Problem as problem:
            told, pause = patience.lost, patience.bear(problem)
            if time.monotonic() + pause >= end:
                raise
            if patience.lost != told:
                _note(session, patience.lost)
            time.sleep(pause)
        else:
            patience.heard()
            return found


def _note(session: Session, lost: Lost | None) -> None:
    if lost is not None:
        note(lost.text, as_json=session.json)


def _gone(session: Session, md: ModelDeployment) -> Problem:
    hint = session.command("get", "-n", md.namespace)
    return Problem(f"{md.name} was deleted", Exit.NOT_FOUND, hint=hint)


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
    if row[1:] != told and sys.stdout.isatty() and not session.json:
        session.show([row])
    elif row[1:] != told and md.trouble is not None:
        text = f"{md.name} waits for an end of {md.trouble.reason}: {md.trouble.message}"
        note(text, as_json=session.json)
    return row[1:]


def _end(session: Session, md: ModelDeployment, why: str) -> int:
    if session.json:
        session.show_json(md)
    else:
        session.show([line(f"{md.namespace}/{md.name} {why}")])
    return Exit.OK


def _late(
    session: Session, word: str, seconds: float, md: ModelDeployment, lost: Lost | None
) -> Problem:
    ready = md.condition("Ready")
    why = (ready.message if ready else "") or md.rollout.message
    if lost is not None:
        why = f"as far as was seen: {why}; {lost.text}"
    return Problem(
        f"{md.name} was not {word} within {duration(seconds)}: {md.rollout.stage}, {why}",
        Exit.TIMEOUT,
        hint=session.say("describe", md=md),
    )


def _until_deleted(session: Session, name: str, seconds: float, patience: Patience) -> int:
    md = ModelDeployment(namespace=session.kubectl.namespace(), name=name)
    try:
        for change in changes(session, Scope(name), patience, seconds=seconds):
            if not isinstance(change, Change):
                _note(session, change)
                continue
            md = change.md
            if change.gone:
                return _end(session, md, "deleted")
    except Problem as problem:
        if isinstance(problem.__cause__, NotFound):
            return _end(session, md, "deleted: there is none")
        raise
    raise Problem(
        f"{name} was not deleted within {duration(seconds)}",
        Exit.TIMEOUT,
        hint=session.say("describe", md=md),
    )
