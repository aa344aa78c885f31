"""The command wait: until a goal is reached; the exit code is the outcome."""

import sys
import time

import click
from click.shell_completion import CompletionItem

from slipway.cli.changes import Change, Scope, follow_changes
from slipway.cli.cli_error import CliError, ExitCode, print_note
from slipway.cli.kubectl_errors import NotFound
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import DurationType, name_argument, pass_session, slipway_command
from slipway.cli.reconnect import Disconnected, Reconnect
from slipway.cli.session import Session, utc_now
from slipway.cli.text import Line, make_line
from slipway.cli.time_format import format_duration
from slipway.cli.views.listing import format_change
from slipway.cli.views.next_steps import STAGES
from slipway.cli.wait_goals import GOAL_WORDS, Goal, GoalState, find_goal, goals_hint


def _complete_goal(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    words = [word.partition("<")[0] for word in GOAL_WORDS] + [f"stage={name}" for name in STAGES]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@slipway_command(
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
    shell_complete=_complete_goal,
    help=f"One of {', '.join(GOAL_WORDS)}.",
)
@click.option(
    "--timeout",
    "seconds",
    type=DurationType(),
    default="10m",
    metavar="DURATION",
    help="Give up after this time; default 10m.",
)
@pass_session
def wait(session: Session, name: str, word: str, seconds: float) -> int:
    """Wait until a goal is reached.

    Exit codes: 0 reached; 3 out of reach: it takes a change, or the spec now asks for another
    version; 4 timed out; 6 not found.
    """
    reconnect, end = Reconnect(from_the_start=True), time.monotonic() + seconds
    if word == "deleted":
        return _wait_until_deleted(session, name, seconds, reconnect)

    # before the first call: a misspelt goal is a usage error whatever the cluster says
    _require_goal(word, ModelDeployment("", ""))
    md = _first_state(session, name, reconnect, end)
    goal = _require_goal(word, md)
    printed = _print_progress(session, md, ())
    if _is_reached(session, goal, md, word):
        return ExitCode.OK

    left = end - time.monotonic()
    for change in follow_changes(session, Scope(name), reconnect, seconds=left):
        if not isinstance(change, Change):
            _print_outage(session, change)
            continue
        if change.deleted:
            raise session.deleted_error(change.md)
        md = change.md
        printed = _print_progress(session, md, printed)
        if _is_reached(session, goal, md, word):
            return ExitCode.OK
    raise _timeout_error(session, word, seconds, md, reconnect.outage)


def _require_goal(word: str, begun: ModelDeployment) -> Goal:
    goal = find_goal(word, begun)
    if goal is None:
        raise click.BadParameter(f"{word!r} is not a goal; {goals_hint(word)}", param_hint="--for")
    return goal


def _first_state(session: Session, name: str, reconnect: Reconnect, end: float) -> ModelDeployment:
    """Return the object as it is when the waiting begins; transient failures are retried.

    Raises:
        CliError: the failure is permanent, or lasts too long: nothing is known about the rollout.

    """
    while True:
        try:
            md = session.find(name)
        except CliError as error:
            reported, pause = reconnect.outage, reconnect.retry_delay(error)

            if time.monotonic() + pause >= end:
                raise
            if reconnect.outage != reported:
                _print_outage(session, reconnect.outage)

            time.sleep(pause)
        else:
            reconnect.note_success()
            return md


def _is_reached(session: Session, goal: Goal, md: ModelDeployment, word: str) -> bool:
    """Return whether the goal is reached, and print it.

    Raises:
        CliError: it is out of reach.

    """
    check = goal(md)
    if check.state is GoalState.OUT_OF_REACH:
        raise CliError(
            f"{md.name} will not reach {word} by itself: {check.why}",
            ExitCode.REJECTED,
            hint=session.command_about(md, "describe"),
        )

    if check.state is GoalState.REACHED:
        _print_end(session, md, f"{word}: {check.why}")
        return True
    return False


def _print_progress(session: Session, md: ModelDeployment, printed: Line) -> Line:
    """Print on a terminal what changes meanwhile; scripts get the end, and what is in the way."""
    row = format_change(md, utc_now())
    is_new = row[1:] != printed  # but for the time
    if is_new and sys.stdout.isatty() and not session.json:
        session.show([row])
    elif is_new and md.trouble is not None:
        text = f"{md.name} is waiting for {md.trouble.reason} to be resolved: {md.trouble.message}"
        print_note(text, as_json=session.json)
    return row[1:]


def _print_outage(session: Session, outage: Disconnected | None) -> None:
    if outage is not None:
        print_note(outage.text, as_json=session.json)


def _print_end(session: Session, md: ModelDeployment, outcome: str) -> None:
    if session.json:
        session.show_json(md)
    else:
        session.show([make_line(f"{md.namespace}/{md.name} {outcome}")])


def _timeout_error(
    session: Session, word: str, seconds: float, md: ModelDeployment, outage: Disconnected | None
) -> CliError:
    state = f"{md.rollout.stage}, {md.ready_message}"
    if outage is not None:
        state = f"last seen {state}; {outage.text}"
    return CliError(
        f"{md.name} did not reach {word} within {format_duration(seconds)}: {state}",
        ExitCode.TIMEOUT,
        hint=session.command_about(md, "describe"),
    )


def _wait_until_deleted(session: Session, name: str, seconds: float, reconnect: Reconnect) -> int:
    md = ModelDeployment(namespace=session.kubectl.namespace(), name=name)

    try:
        for change in follow_changes(session, Scope(name), reconnect, seconds=seconds):
            if not isinstance(change, Change):
                _print_outage(session, change)
                continue
            md = change.md
            if change.deleted:
                _print_end(session, md, "deleted")
                return ExitCode.OK
    except CliError as error:
        if isinstance(error.__cause__, NotFound):
            _print_end(session, md, "deleted: not found")
            return ExitCode.OK
        raise

    raise CliError(
        f"{name} was not deleted within {format_duration(seconds)}",
        ExitCode.TIMEOUT,
        hint=session.command_about(md, "describe"),
    )
