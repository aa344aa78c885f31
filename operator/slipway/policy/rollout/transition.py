"""Small steps that every part of the state machine takes."""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, Role
from slipway.policy.rollout.active_clock import active

ACK_POLL = timedelta(seconds=5)
"""Acknowledgements arrive as events; this is the safety net."""
IN_TRAFFIC = frozenset({Stage.PROGRESSING, Stage.BAKING})


def overall(facts: Facts) -> Judgement:
    """Return the judgement that decides: the worst of those that may; none at all is NoData."""
    order = ("Fail", "NoData", "Inconclusive", "Pass")
    none = Judgement(
        "analysis", Verdict.NO_DATA, Reason.NO_DATA, "the router's counters were not read yet"
    )
    deciding = (item for item in facts.judgements if _decides(item))
    return min(deciding, key=lambda item: order.index(item.verdict), default=none)


def _decides(item: Judgement) -> bool:
    match item.role:
        case Role.REQUIRED:
            return True
        case Role.ADVISORY:
            return item.verdict == "Fail"
        case Role.PAUSE:
            return item.verdict != "Fail"  # then a person decides, and the others go on
        case Role.REPORT_ONLY:
            return False


def words(verdict: Judgement) -> str:
    """Return a judgement as the cause of a roll back."""
    return f"{verdict.reason}: {verdict.message}"


def interval(facts: Facts) -> timedelta:
    """Return how often the candidate is looked at."""
    return timedelta(seconds=facts.spec.rollout.analysis.interval_seconds)


def is_paused(d: Decision, facts: Facts) -> bool:
    """Return whether the user or the action `pause` holds the rollout."""
    return facts.spec.paused or d.memory.paused


def at(
    d: Decision, stage: Stage, reason: str, message: str, *, requeue_after: timedelta | None = None
) -> Decision:
    """Return the decision at a stage of the machine, with its reason and why in one line."""
    memory = d.memory.model_copy(update={"stage": stage})
    return replace(
        d,
        memory=memory,
        stage=stage,
        reason=reason,
        message=message[:1024],
        requeue_after=requeue_after,
    )


def is_late(d: Decision, facts: Facts, now: datetime) -> bool:
    """Return whether the deadline has passed, in active time."""
    return active(d.memory, now) > facts.spec.rollout.deadline_seconds
