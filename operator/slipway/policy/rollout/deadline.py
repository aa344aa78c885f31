"""The deadline of a rollout, and what becomes of waits that no verdict ends.

Waits for replicas, and for the proxies to take a weight, end with what they wait for, before the
deadline or after it. At the deadline a wait that has lasted for longer than such things take is
what the user chose for a verdict that does not come. That is nothing against the version: it is
paused, or tried again later, and never rejected. Nor is it promoted: what lacks the replicas or the
route cannot get the traffic.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import OnInconclusive, Outcome, Stage
from slipway.api.reasons import Reason, Why
from slipway.policy.container_evidence import why_not_ready
from slipway.policy.decision import Decision
from slipway.policy.rollout.active_clock import active_seconds
from slipway.policy.rollout.draft import ACKNOWLEDGED_WITHIN, Draft
from slipway.policy.rollout.rolling_back import begin_rollback

WAITS = frozenset({Reason.AWAITING_TURN, Reason.AWAITING_CAPACITY, Reason.AWAITING_ACKNOWLEDGEMENT})


def deadline_passed(draft: Draft) -> bool:
    """Return whether the deadline has passed, in active time."""
    return active_seconds(draft.memory, draft.now) > draft.deadline_seconds


def waiting_since(decision: Decision, now: datetime) -> datetime | None:
    """Return since when the rollout waits for its turn, replicas or proxies; None: it does not."""
    if decision.why is None or decision.why.reason not in WAITS:
        return None
    return decision.memory.waits_since or now


def limit_wait(draft: Draft) -> Draft:
    """Return a draft that waits, or what becomes of it when it has waited for too long."""
    since = draft.memory.waits_since
    if since is None or draft.now - since < _usual_wait(draft) or not deadline_passed(draft):
        return draft

    rollout = draft.spec.rollout
    message = draft.decision.message
    cause = f"no advance within {draft.deadline_seconds} s of active time: {message}"
    is_rolled_back = rollout.analysis.on_inconclusive is OnInconclusive.ROLL_BACK
    if is_rolled_back and _has_somewhere_to_go(draft):
        return begin_rollback(draft, Outcome.FAILED_TO_START, cause)

    # The reason stays that of the wait: it goes on by itself once what is missing is there.
    why = Why(draft.decision.why.reason, cause) if draft.decision.why is not None else None
    decision = replace(draft.decision, stage=Stage.PAUSED, why=why)
    return draft.having(decision).stall(Reason.DEADLINE_EXCEEDED)


def give_up_start(draft: Draft) -> Draft:
    """Give up a candidate that was not ready for traffic in time; it is started again later."""
    seconds = draft.deadline_seconds
    why = why_not_ready(draft.facts, draft.candidate)
    cause = f"not ready for traffic after {seconds} s of active time: {why.message}"
    return begin_rollback(draft, Outcome.FAILED_TO_START, cause)


def _has_somewhere_to_go(draft: Draft) -> bool:
    """Whether stable can take the traffic back, and nobody asked for this very version."""
    return draft.stable is not None and not draft.memory.unjudged and not draft.is_stable_down


def _usual_wait(draft: Draft) -> timedelta:
    """Return how long such a wait may well take."""
    why, known = draft.decision.why, draft.candidate_revision
    if known is None or (why is not None and why.reason is Reason.AWAITING_ACKNOWLEDGEMENT):
        return ACKNOWLEDGED_WITHIN
    return timedelta(seconds=known.snapshot.start_seconds)
