"""The one switch of a rollout without steps: what stable is gets recorded, then everything moves.

Afterwards nobody is left to compare with at the same moment, so the record is what the candidate is
judged by. It is stored before the switch: an operator that is killed in between still knows it.
"""

from dataclasses import replace
from datetime import timedelta

from slipway.api.modeldeployment import AnalysisMode, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire
from slipway.policy.ladder import Rung
from slipway.policy.rollout.draft import Draft, Held
from slipway.policy.rollout.guards import ask_guards, guards_before_weight
from slipway.policy.rollout.inconclusive import await_verdict
from slipway.policy.rollout.raising import raise_weight
from slipway.policy.stable_record import record_since_start, record_stable
from slipway.policy.weights import ALL

BEFORE_SWITCH = frozenset({Stage.STARTING, Stage.CHECKING, Stage.SHADOWING, Stage.PROGRESSING})
"""Stages in which stable still answers everybody."""
FRESH = timedelta(minutes=1)
"""A record that is older is taken again: a person or a window held the switch meanwhile."""
LONGEST_SECONDS = 300
"""In which a model with few requests is waited for; then there is no record."""
NEXT_PASS = timedelta(seconds=0.2)


def is_record_open(draft: Draft) -> bool:
    """Return whether the requests of stable are counted for its record."""
    memory, rollout = draft.memory, draft.spec.rollout
    is_judged = memory.unjudged is None and rollout.analysis.mode is not AnalysisMode.OFF
    is_under_way = bool(draft.candidate) and draft.stable is not None and memory.outcome is None
    is_before = memory.stage in BEFORE_SWITCH and draft.written_weight == 0
    is_due = is_before or _lacks_record(draft)
    return rollout.switches_once and is_judged and is_under_way and is_due


def recover_record(draft: Draft) -> Draft:
    """Return the draft with what is still known of stable, where its record was lost.

    Its requests of the rollout cannot be told from earlier ones any more; the routers' counters
    have all of them.
    """
    measured = draft.facts.measured
    if not draft.spec.rollout.switches_once or not _lacks_record(draft) or measured is None:
        return draft
    return draft.remember(replace(draft.memory, recorded=record_since_start(measured, draft.now)))


def is_judged_by_record(draft: Draft) -> bool:
    """Return whether nothing was compared at the same moment: an outage looks the same."""
    return draft.memory.recorded is not None and draft.written_weight >= ALL


def store_pass(draft: Draft) -> Draft:
    """Return the draft that stores its only Pass before it promotes: a crash must not lose it."""
    message = "judged at 100%; the promotion follows"
    return draft.enter(Stage.BAKING, Reason.BAKING, message, requeue_after=NEXT_PASS)


def switch(draft: Draft, rung: Rung) -> Draft:
    """Give the candidate all of the traffic, once everybody agrees and stable is recorded."""
    answer = ask_guards(guards_before_weight(rung), draft)
    if isinstance(answer, Held):
        return answer.draft
    waiting = take_record(answer.draft, Stage.PROGRESSING)
    return waiting if waiting is not None else raise_weight(answer.draft, rung)


def take_record(draft: Draft, stage: Stage) -> Draft | None:
    """Return the draft that waits for the record of stable, or stores it; None: it is there."""
    if draft.spec.rollout.analysis.mode is AnalysisMode.OFF or _has_fresh_record(draft):
        return None

    measured = draft.facts.measured
    record = record_stable(measured, draft.now) if measured is not None else None
    if record is not None:
        draft = draft.remember(replace(draft.memory, recorded=record))
        message = f"recorded {record.requests:,} requests of stable before the switch"
        return draft.enter(stage, Reason.PROGRESSING, message, requeue_after=NEXT_PASS)
    if measured is not None and measured.seconds >= LONGEST_SECONDS:
        return None  # the bake looks further back
    held = draft.enter(stage, Reason.MEASURING_TRAFFIC, "")
    message = "waiting for 100 requests of stable, to judge the switch by"
    return await_verdict(held, Why(Reason.MEASURING_TRAFFIC, message))


def _lacks_record(draft: Draft) -> bool:
    return draft.memory.recorded is None and draft.written_weight >= ALL


def _has_fresh_record(draft: Draft) -> bool:
    record = draft.memory.recorded
    at = from_wire(record.at) if record is not None else None
    return at is not None and draft.now - at < FRESH
