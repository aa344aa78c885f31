"""Actions: the annotation that requests one, and what the operator's answer means. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.reasons import Reason
from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.objects import ModelDeployment
from slipway.cli.views.next_steps import CommandLine

POSITIONED_VERBS = frozenset({"promote", "approve", "skip", "abort"})
"""Verbs that run only at the revision and step that the user saw."""
REPEATED_VERBS = frozenset({"promote", "abort"})
"""Verbs that mean the revision, whatever its step: repeated where only the step was another."""
MAX_AHEAD = timedelta(minutes=5)
"""The operator refuses an id further ahead; to import its constant would bring pydantic along."""
REVISION = re.compile(r"^[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """An action as it is written."""

    verb: str
    id: int
    argument: str = ""
    position: str = ""
    """``<revision>/<step>``."""

    @property
    def text(self) -> str:
        """The annotation's value."""
        argument = f"={self.argument}" if self.argument else ""
        position = f"@{self.position}" if self.position else ""
        return f"{self.verb}{argument}{position}#{self.id}"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What became of an action; its JSON form is what ``--json`` prints."""

    name: str
    namespace: str
    verb: str
    id: int
    by: str
    result: str
    """``Done``, ``Refused: <why>``, or ``Asked`` where the answer was not waited for."""
    reason: str = ""
    """Why it was refused, in one word; empty where it was not."""
    position: str = ""
    argument: str = ""

    @property
    def refusal(self) -> str:
        """Why it was refused; empty where it was not."""
        return self.result.partition("Refused: ")[2] if self.result.startswith("Refused") else ""


def request_action(
    md: ModelDeployment, verb: str, now: datetime, argument: str = ""
) -> ActionRequest:
    """Return the request for the object as it is; its id is the time, and above the last one.

    A pending id so far ahead that the operator refuses it does not raise the next one.
    """
    known = [entry.id for entry in (md.last_action,) if entry is not None]
    if md.pending_action is not None and md.pending_action.id <= _epoch_millis(now + MAX_AHEAD):
        known.append(md.pending_action.id)
    if md.created_at is not None:
        known.append(_epoch_millis(md.created_at))
    new_id = max([_epoch_millis(now), *(number + 1 for number in known)])

    position = ""
    if md.candidate is not None and verb in POSITIONED_VERBS:
        position = f"{md.candidate.revision}/{md.rollout.step}"
    return ActionRequest(verb=verb, id=new_id, argument=argument, position=position)


def _epoch_millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def find_result(md: ModelDeployment, request: ActionRequest) -> ActionResult | None:
    """Return what became of the action; None: the operator has not answered yet."""
    for entry in (md.last_action, md.refused_action):
        if entry is not None and entry.id == request.id:
            return make_result(md, request, entry.result, by=entry.by, reason=entry.reason)

    last = md.last_action
    if last is None or last.id < request.id:
        return None
    return make_result(md, request, f"Refused: replaced by {last.verb} by {last.by}")


def make_result(
    md: ModelDeployment, request: ActionRequest, result: str, *, by: str = "", reason: str = ""
) -> ActionResult:
    """Return what became of an action."""
    return ActionResult(
        name=md.name,
        namespace=md.namespace,
        verb=request.verb,
        id=request.id,
        by=by,
        result=result,
        reason=reason,
        position=request.position,
        argument=request.argument,
    )


def missed_its_step(result: ActionResult) -> bool:
    """Return whether the rollout had moved on, and the user meant the revision, not the step."""
    is_elsewhere = result.reason == Reason.MEANT_FOR_ANOTHER_POSITION
    return result.verb in REPEATED_VERBS and is_elsewhere


def has_same_candidate(before: ModelDeployment, after: ModelDeployment) -> bool:
    """Return whether the candidate that the user saw is still there."""
    if before.candidate is None or after.candidate is None:
        return False
    return before.candidate.revision == after.candidate.revision


def choose_earlier_revision(
    md: ModelDeployment, wanted: str | None, command_line: CommandLine
) -> str:
    """Return the revision that `rollback` goes to; empty: back from the candidate to stable.

    Args:
        md: the object.
        wanted: a version or revision; None: the one that served before.
        command_line: for what to try instead.

    Raises:
        CliError: there is no such revision; the message names those that there are.

    """
    served = [
        entry
        for entry in reversed(md.history)
        if entry.outcome == "Promoted"
        and (md.stable is None or entry.revision != md.stable.revision)
    ]

    if wanted is None:
        if md.candidate is not None:
            return ""
        if served:
            return served[0].revision
        raise CliError(
            "no earlier promoted revision to roll back to",
            ExitCode.REFUSED,
            hint=command_line("history"),
        )

    fitting = [entry.revision for entry in served if wanted in {entry.revision, entry.version}]
    if fitting:
        return fitting[0]
    _refuse_running(md, wanted, command_line)
    if REVISION.match(wanted):  # history may have forgotten it
        return wanted

    known = ", ".join(f"{entry.version} ({entry.revision})" for entry in served)
    raise CliError(
        f"'{wanted}' is no earlier promoted revision of {md.name}; available: {known or 'none'}",
        ExitCode.NOT_FOUND,
        hint=command_line("history"),
    )


def _refuse_running(md: ModelDeployment, wanted: str, command_line: CommandLine) -> None:
    """Say which action leads to a revision that runs already: abort to stable, or promote.

    Raises:
        CliError: the revision runs already.

    """
    stable, candidate = md.stable, md.candidate

    if stable is not None and wanted in {stable.revision, stable.version}:
        beside = f"; version {candidate.version} is the candidate" if candidate else ""
        raise CliError(
            f"version {stable.version} ({stable.revision}) is already stable{beside}",
            ExitCode.REFUSED,
            hint=command_line("abort" if candidate is not None else "describe"),
        )

    if candidate is not None and wanted in {candidate.revision, candidate.version}:
        raise CliError(
            f"version {candidate.version} ({candidate.revision}) is already the candidate",
            ExitCode.REFUSED,
            hint=command_line("promote"),
        )
