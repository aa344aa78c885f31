"""Commands that ask the operator for something, and wait for its answer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_REQUESTED_BY
from slipway.cli.asking import (
    Asked,
    Result,
    answer,
    ask,
    earlier,
    has_same_candidate,
    missed,
    result_of,
)
from slipway.cli.follow import Change, Scope, changes
from slipway.cli.kubectl import FIELD_MANAGER, RESOURCE
from slipway.cli.objects import ModelDeployment
from slipway.cli.options import Duration, command, name_argument, revisions, with_session
from slipway.cli.patience import Patience
from slipway.cli.problems import Exit, Problem, note
from slipway.cli.read import Fields
from slipway.cli.session import Session, now
from slipway.cli.text import line
from slipway.cli.times import duration
from slipway.cli.views.styles import word

MOST_RETRIES = 2


def act(
    session: Session, name: str, verb: str, seconds: float, *, argument: str | None = None
) -> int:
    """Ask, wait for the answer, print it.

    Raises:
        Problem: it was refused, or not answered in time.

    """
    md = session.find(name)
    revision = ""
    if verb == "rollback":
        revision = earlier(md, argument, partial(session.say, md=md))
    _warn_of_pending(md, as_json=session.json)
    result = _ask(session, md, verb, revision, seconds)
    for _ in range(MOST_RETRIES):
        if not missed(result):
            break
        before, md = md, session.find(name)
        if not has_same_candidate(before, md):
            break
        result = _ask(session, md, verb, revision, seconds)
    if result.refused:
        raise Problem(
            f"{verb} was refused: {result.refused}",
            Exit.REFUSED,
            hint=session.say("describe", md=md),
        )
    return _show(session, result)


def _ask(session: Session, md: ModelDeployment, verb: str, revision: str, seconds: float) -> Result:
    asked = ask(md, verb, now(), revision)
    _annotate(session, md, asked)
    return _await(session, md, asked, seconds) if seconds else result_of(md, asked, "Asked")


def _warn_of_pending(md: ModelDeployment, *, as_json: bool) -> None:
    if md.pending_action is not None:
        note(
            f"this takes the place of {md.pending_action.text}, which the operator has not "
            "answered yet",
            as_json=as_json,
        )


def _annotate(session: Session, md: ModelDeployment, asked: Asked) -> None:
    """Write both annotations in one call: what is asked, and by whom, or nobody."""
    who = whoami(session)
    by = f"{ANNOTATION_REQUESTED_BY}={who}" if who else f"{ANNOTATION_REQUESTED_BY}-"
    session.kubectl.run(
        "annotate",
        RESOURCE,
        md.name,
        f"{ANNOTATION_ACTION}={asked.text}",
        by,
        "--overwrite",
        f"--field-manager={FIELD_MANAGER}",
        namespace=md.namespace,
    )


def whoami(session: Session) -> str:
    """Return the caller's user name as the API server knows it; empty where it does not say."""
    try:
        said = Fields(session.kubectl.json("auth", "whoami"))
    except Problem:
        return ""
    return said.sub("status", "userInfo").text("username")


def _await(session: Session, md: ModelDeployment, asked: Asked, seconds: float) -> Result:
    patience = Patience(from_the_start=True)
    try:
        result = _answered(session, md, asked, seconds, patience)
    except Problem as problem:
        if problem.code is not Exit.ERROR:
            raise
        raise _unseen(session, md, asked, problem.message, Exit.ERROR) from problem
    if result is None and patience.lost is not None:
        raise _unseen(session, md, asked, patience.lost.text, Exit.TIMEOUT)
    if result is None:
        raise Problem(
            f"the operator has not answered within {duration(seconds)}; the action stays, and is "
            "done or refused when it does",
            Exit.TIMEOUT,
            hint=session.say("describe", md=md),
        )
    return result


def _answered(
    session: Session, md: ModelDeployment, asked: Asked, seconds: float, patience: Patience
) -> Result | None:
    """Return what became of it; None: nothing yet."""
    for change in changes(session, Scope(md.name, md.namespace), patience, seconds=seconds):
        if not isinstance(change, Change):
            continue
        if change.gone:
            hint = session.command("get", "-n", md.namespace)
            raise Problem(f"{md.name} was deleted", Exit.NOT_FOUND, hint=hint)
        result = answer(change.md, asked)
        if result is not None:
            return result
    return None


def _unseen(session: Session, md: ModelDeployment, asked: Asked, why: str, code: Exit) -> Problem:
    """Return that it was asked for, whatever came after."""
    return Problem(
        f"{asked.verb} was written as {asked.text}, but what became of it cannot be seen: {why}",
        code,
        hint=session.say("describe", md=md),
    )


def _show(session: Session, result: Result) -> int:
    if session.json:
        session.show_json(result)
        return Exit.OK
    what = f"{result.verb} {result.argument}".strip()
    where = f" at {result.position}" if result.position else ""
    by = f" by {result.by}" if result.by else ""
    session.show(
        [line(f"{result.namespace}/{result.name}: {what}{where}{by}: ", word(result.result))]
    )
    return Exit.OK


def _action(verb: str, text: str, *, argument: bool = False) -> click.Command:
    example = f"kubectl slipway {verb} digits -n vision"
    examples = [example, f"{example} --wait=0      # ask, and do not wait for the answer"]
    if argument:
        examples.insert(1, f"{example.replace('digits', 'digits 2')}        # a version …")
        examples.insert(2, f"{example.replace('digits', 'digits 3f2a91bc')} # … or a revision")

    @with_session
    def run(session: Session, name: str, seconds: float, revision: str | None = None) -> int:
        return act(session, name, verb, seconds, argument=revision)

    run.__doc__ = text
    decorated: Callable[..., Any] = click.option(
        "--wait",
        "seconds",
        type=Duration(),
        default="10s",
        metavar="DURATION",
        help="How long to wait for the operator's answer; default 10s, 0: not at all.",
    )(run)
    if argument:
        completing = click.argument("revision", required=False, shell_complete=revisions)
        decorated = completing(decorated)
    return command(verb, examples="\n".join(examples))(name_argument()(decorated))


promote = _action(
    "promote",
    """Give the candidate 100 % now, without the remaining evidence.

    History says so, with your name. Runs only at the revision that is the candidate now.
    """,
)
approve = _action(
    "approve",
    """Let the step begin that waits for approval.

    Runs only at the revision and step that wait now.
    """,
)
skip = _action(
    "skip",
    """End the waiting at this step; the next step is judged again.

    History says that the evidence was skipped. Refused where the analysis says Fail.
    """,
)
abort = _action(
    "abort",
    """Bring the traffic back to stable.

    The version stays out until the spec changes or you ask for `retry`.
    """,
)
retry = _action("retry", "Give a rejected, held or failed version another try.")
rollback = _action(
    "rollback",
    """Go back to an earlier revision that was promoted; default: the one before.

    While a rollout is under way and none is named, the candidate is taken back. The revision's pods
    start first, then it gets all of the traffic. The spec's version stays out until that changes.
    """,
    argument=True,
)
pause = _action("pause", "Stop advances and clocks; never a rollback, an abort or the analysis.")
resume = _action("resume", "End the pause that `pause` began; `spec.paused` is yours.")
