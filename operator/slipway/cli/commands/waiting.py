"""The command wait: an outcome, and an exit code that says which."""

import sys
import time

import click
from click.shell_completion import CompletionItem

from slipway.cli.complaints import NotFound
from slipway.cli.follow import Change, Scope, changes
from slipway.cli.goals import WORDS, Answer, Goal, goal, known
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import Duration, command, name_argument, with_session
from slipway.cli.patience import Lost, Patience
from slipway.cli.problems import Exit, Problem, note
from slipway.cli.session import Session, now
from slipway.cli.text import Line, line
from slipway.cli.times import duration
from slipway.cli.views.coming import STAGES
from slipway.cli.views.listing import change as line_about


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
