"""Actions: the annotation that asks for one, and what the operator's answer means. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.cli.objects import ModelDeployment
from slipway.cli.problems import Exit, Problem

Say = Callable[..., str]
"""Makes a command line about the object: ``say("abort")``."""
AIMED = frozenset({"promote", "approve", "skip", "abort"})
"""Verbs that run only at the revision and step that the person saw."""
AGAIN = frozenset({"promote", "abort"})
"""Verbs that mean the revision, whatever its step: refused at another one, they are asked again."""
AHEAD = timedelta(minutes=5)
"""The operator refuses an id that is further ahead; to import its word brings all types along."""
ELSEWHERE = "it was meant for "
REVISION = re.compile(r"^[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Asked:
    """An action as it is asked for."""

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


def ask(md: ModelDeployment, verb: str, now: datetime, argument: str = "") -> Asked:
    """Return the action for the object as it is; its id is the time, and above the last one.

    An id far ahead, which the operator refuses, is not what the next one has to be above.
    """
    known = [entry.id for entry in (md.last_action,) if entry is not None]
    if md.pending_action is not None and md.pending_action.id <= _millis(now + AHEAD):
        known.append(md.pending_action.id)
    if md.created_at is not None:
        known.append(_millis(md.created_at))
    id_ = max([_millis(now), *(number + 1 for number in known)])
    candidate = md.candidate
    position = f"{candidate.revision}/{md.rollout.step}" if candidate and verb in AIMED else ""
    return Asked(verb=verb, id=id_, argument=argument, position=position)


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an action."""

    name: str
    namespace: str
    verb: str
    id: int
    by: str
    result: str
    """``Done``, ``Refused: <why>``, or ``Asked`` where nobody waited for the answer."""
    position: str = ""
    argument: str = ""

    @property
    def refused(self) -> str:
        """Why it was refused; empty where it was not."""
        return self.result.partition("Refused: ")[2] if self.result.startswith("Refused") else ""


def answer(md: ModelDeployment, asked: Asked) -> Result | None:
    """Return what became of the action; None: the operator has not answered yet."""
    for entry in (md.last_action, md.refused_action):
        if entry is not None and entry.id == asked.id:
            return result_of(md, asked, entry.result, by=entry.by)
    last = md.last_action
    if last is None or last.id < asked.id:
        return None
    lost = f"Refused: {last.verb} by {last.by} came in between and took its place"
    return result_of(md, asked, lost)


def result_of(md: ModelDeployment, asked: Asked, result: str, *, by: str = "") -> Result:
    """Return what became of an action."""
    return Result(
        name=md.name,
        namespace=md.namespace,
        verb=asked.verb,
        id=asked.id,
        by=by,
        result=result,
        position=asked.position,
        argument=asked.argument,
    )


def missed(result: Result) -> bool:
    """Return whether the rollout had gone on, and the person meant the revision, not the step."""
    return result.verb in AGAIN and result.refused.startswith(ELSEWHERE)


def has_same_candidate(before: ModelDeployment, after: ModelDeployment) -> bool:
    """Return whether the candidate that a person saw is still there."""
    was, is_ = before.candidate, after.candidate
    return was is not None and is_ is not None and was.revision == is_.revision


def earlier(md: ModelDeployment, wish: str | None, say: Say) -> str:
    """Return the revision that `rollback` means; empty: the candidate is to be taken back.

    Raises:
        Problem: there is none such, with those that there are.

    """
    served = [
        entry
        for entry in reversed(md.history)
        if entry.outcome == "Promoted"
        and (md.stable is None or entry.revision != md.stable.revision)
    ]
    if wish is None:
        if md.candidate is not None:
            return ""
        if served:
            return served[0].revision
        raise Problem(
            "no earlier revision was promoted: there is nothing to go back to",
            Exit.REFUSED,
            hint=say("history"),
        )
    fitting = [entry.revision for entry in served if wish in {entry.revision, entry.version}]
    if fitting:
        return fitting[0]
    _refuse_running(md, wish, say)
    if REVISION.match(wish):
        return wish
    known = ", ".join(f"{entry.version} ({entry.revision})" for entry in served)
    raise Problem(
        f"no earlier revision '{wish}' of {md.name}; promoted before: {known or 'none'}",
        Exit.NOT_FOUND,
        hint=say("history"),
    )


def _refuse_running(md: ModelDeployment, wish: str, say: Say) -> None:
    """Say how to come back to stable where a candidate is beside it, or on to the candidate.

    Raises:
        Problem: the wish runs already.

    """
    stable, candidate = md.stable, md.candidate
    if stable is not None and wish in {stable.revision, stable.version}:
        beside = f"; version {candidate.version} is a candidate beside it" if candidate else ""
        raise Problem(
            f"version {stable.version} ({stable.revision}) is stable already{beside}",
            Exit.REFUSED,
            hint=say("abort" if candidate is not None else "describe"),
        )
    if candidate is not None and wish in {candidate.revision, candidate.version}:
        raise Problem(
            f"version {candidate.version} ({candidate.revision}) is the candidate",
            Exit.REFUSED,
            hint=say("promote"),
        )
