"""The actions: they ask the operator for something, and wait for its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import click

from slipway.api.names import (
    ANNOTATION_ACTION,
    ANNOTATION_ACTION_REASON,
    ANNOTATION_REQUESTED_BY,
)
from slipway.api.plain_text import printable
from slipway.api.reasons import MESSAGE_LENGTH
from slipway.cli.action import (
    ActionRequest,
    ActionResult,
    choose_earlier_revision,
    find_result,
    has_same_candidate,
    make_result,
    missed_its_step,
    request_action,
)
from slipway.cli.changes import Change, Scope, follow_changes
from slipway.cli.cli_error import CliError, ExitCode, print_note
from slipway.cli.kubectl import FIELD_MANAGER, RESOURCE
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import (
    DurationType,
    complete_revision,
    name_argument,
    pass_session,
    slipway_command,
)
from slipway.cli.reconnect import Reconnect
from slipway.cli.session import Session, utc_now
from slipway.cli.text import make_line
from slipway.cli.time_format import format_duration
from slipway.cli.views.styles import style_word
from slipway.cli.wire import load, wire_field

MAX_REPEATS = 2


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Who the caller is, as ``kubectl auth whoami`` prints it."""

    username: str = field(default="", metadata=wire_field("status", "userInfo", "username"))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for, before it has an id."""

    verb: str
    argument: str | None = None
    """Of rollback: the version or revision."""
    reason: str = ""
    """Why, in the person's words."""
    seconds: float = 10.0
    """How long to wait for the answer; 0: not at all."""


def run_action(session: Session, name: str, wish: Wish) -> int:
    """Request an action, wait for the answer, print it.

    Raises:
        CliError: it was refused, or not answered in time.

    """
    md = session.find(name)
    _warn_of_pending(md, as_json=session.json)
    _print_result(session, perform_action(session, md, wish))
    return ExitCode.OK


def perform_action(session: Session, md: ModelDeployment, wish: Wish) -> ActionResult:
    """Request an action where `md` stands, wait for the answer, and return it.

    Raises:
        CliError: it was refused, or not answered in time.

    """
    revision = ""
    if wish.verb == "rollback":
        revision = choose_earlier_revision(md, wish.argument, partial(session.command_about, md))
    result = _send_request(session, md, wish, revision)

    # the user meant the candidate, which may have gone on by a step in the meantime
    for _ in range(MAX_REPEATS):
        if not missed_its_step(result):
            break
        before, md = md, session.find_again(md)
        if not has_same_candidate(before, md):
            break
        result = _send_request(session, md, wish, revision)

    if result.refusal:
        raise CliError(
            f"{wish.verb} was refused: {result.refusal}",
            ExitCode.REFUSED,
            hint=session.command_about(md, "describe"),
        )
    return result


def _send_request(session: Session, md: ModelDeployment, wish: Wish, revision: str) -> ActionResult:
    request = request_action(md, wish.verb, utc_now(), revision)
    _write_annotations(session, md, request, wish.reason)
    if not wish.seconds:
        return make_result(md, request, "Asked")
    return _wait_for_result(session, md, request, wish.seconds)


def _warn_of_pending(md: ModelDeployment, *, as_json: bool) -> None:
    if md.pending_action is not None:
        print_note(
            f"this replaces {md.pending_action.text}, which the operator has not answered yet",
            as_json=as_json,
        )


def _write_annotations(
    session: Session, md: ModelDeployment, request: ActionRequest, reason: str
) -> None:
    """Write all annotations in one call: what is requested, by whom where that is known, and why.

    A reason of an earlier action goes: it is not the reason of this one.
    """
    user = find_user(session)
    by = f"{ANNOTATION_REQUESTED_BY}={user}" if user else f"{ANNOTATION_REQUESTED_BY}-"
    why = f"={reason}#{request.id}" if reason else "-"
    session.kubectl.run(
        "annotate",
        RESOURCE,
        md.name,
        f"{ANNOTATION_ACTION}={request.text}",
        by,
        f"{ANNOTATION_ACTION_REASON}{why}",
        "--overwrite",
        f"--field-manager={FIELD_MANAGER}",
        namespace=md.namespace,
    )


def find_user(session: Session) -> str:
    """Return the caller's name as the API server knows it; empty where it does not say."""
    try:
        return load(UserInfo, session.kubectl.json("auth", "whoami")).username
    except CliError:
        return ""


def _wait_for_result(
    session: Session, md: ModelDeployment, request: ActionRequest, seconds: float
) -> ActionResult:
    reconnect = Reconnect(from_the_start=True)
    try:
        result = _follow_result(session, md, request, seconds, reconnect)
    except CliError as error:
        if error.code is not ExitCode.ERROR:
            raise
        raise _unknown_result(session, md, request, error.message, ExitCode.ERROR) from error

    if result is None and reconnect.outage is not None:
        why = reconnect.outage.text
        raise _unknown_result(session, md, request, why, ExitCode.TIMEOUT)
    if result is None:
        raise CliError(
            f"no answer from the operator within {format_duration(seconds)}; the action stays, and "
            "is done or refused once the operator answers",
            ExitCode.TIMEOUT,
            hint=session.command_about(md, "describe"),
        )
    return result


def _follow_result(
    session: Session,
    md: ModelDeployment,
    request: ActionRequest,
    seconds: float,
    reconnect: Reconnect,
) -> ActionResult | None:
    """Return what became of the action; None: nothing yet."""
    scope = Scope(md.name, md.namespace)
    for change in follow_changes(session, scope, reconnect, seconds=seconds):
        if not isinstance(change, Change):
            continue
        if change.deleted:
            raise session.deleted_error(md)

        result = find_result(change.md, request)
        if result is not None:
            return result
    return None


def _unknown_result(
    session: Session, md: ModelDeployment, request: ActionRequest, why: str, code: ExitCode
) -> CliError:
    """Return that the action was written, whatever came after."""
    return CliError(
        f"{request.verb} was written as {request.text}, but its result is unknown: {why}",
        code,
        hint=session.command_about(md, "describe"),
    )


def _print_result(session: Session, result: ActionResult) -> None:
    if session.json:
        session.show_json(result)
        return
    what = f"{result.verb} {result.argument}".strip()
    where = f" at {result.position}" if result.position else ""
    by = f" by {result.by}" if result.by else ""
    text = f"{result.namespace}/{result.name}: {what}{where}{by}: "
    session.show([make_line(text, style_word(result.result))])


def _read_reason(_context: click.Context, _option: click.Parameter, text: str) -> str:
    if len(text) > MESSAGE_LENGTH:
        raise click.BadParameter(
            f"found {len(text):,} characters, expected at most {MESSAGE_LENGTH:,}"
        )
    return printable(text).strip()


def _make_command(verb: str, text: str, *, takes_revision: bool = False) -> click.Command:
    example = f"kubectl slipway {verb} digits -n vision"
    examples = [example, f"{example} --wait=0      # do not wait for the answer"]
    if takes_revision:
        examples.insert(1, f"{example.replace('digits', 'digits 2')}        # a version …")
        examples.insert(2, f"{example.replace('digits', 'digits 3f2a91bc')} # … or a revision")

    @pass_session
    def run(
        session: Session, name: str, seconds: float, reason: str, revision: str | None = None
    ) -> int:
        return run_action(session, name, Wish(verb, revision, reason, seconds))

    run.__doc__ = text
    with_reason = click.option(
        "--reason",
        default="",
        metavar="TEXT",
        callback=_read_reason,
        help="Why, for those who read it later; at most 1,024 characters.",
    )(run)
    decorated: Callable[..., Any] = click.option(
        "--wait",
        "seconds",
        type=DurationType(),
        default="10s",
        metavar="DURATION",
        help="Wait this long for the operator's answer; default 10s, 0: do not wait.",
    )(with_reason)
    if takes_revision:
        argument = click.argument("revision", required=False, shell_complete=complete_revision)
        decorated = argument(decorated)
    return slipway_command(verb, examples="\n".join(examples))(name_argument()(decorated))


promote = _make_command(
    "promote",
    """Send all traffic to the candidate now, without the remaining evidence.

    The history records it with your name. It applies only to the revision that is the candidate
    now.
    """,
)
approve = _make_command(
    "approve",
    """Approve the step that is waiting for approval.

    It applies only to the revision and step that are waiting now.
    """,
)
skip = _make_command(
    "skip",
    """Skip the rest of this step; the next step is judged again.

    The history records that evidence was skipped. Refused while a metric says Fail.
    """,
)
abort = _make_command(
    "abort",
    """Roll back to stable.

    The version stays out until the spec changes or you run `retry`.
    """,
)
retry = _make_command("retry", "Retry a rejected, held or failed version.")
rollback = _make_command(
    "rollback",
    """Roll back to an earlier promoted revision; default: the previous one.

    While a rollout is under way and no revision is named, the candidate is rolled back. The earlier
    revision's pods start first, then it gets all traffic. The spec's version stays out until the
    spec changes.
    """,
    takes_revision=True,
)
pause = _make_command(
    "pause",
    """Pause the rollout: no further steps, and its clocks stop.

    The analysis continues, and a rollback or `abort` still takes effect.
    """,
)
resume = _make_command("resume", "Resume what `pause` paused; `spec.paused` stays as it is.")
