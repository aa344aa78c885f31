"""A weight counts when every proxy runs it: waiting for that, and noting that it is so."""

from dataclasses import replace

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.policy.proxies import name_all_proxies, name_late_proxies
from slipway.policy.rollout.active_clock import active_seconds
from slipway.policy.rollout.deadline import limit_wait
from slipway.policy.rollout.draft import (
    IN_TRAFFIC,
    SAFETY_POLL,
    Agreed,
    Answer,
    Draft,
    Held,
)


def await_proxies(draft: Draft, weight: int, proxies: str) -> Draft:
    """Say the same when the weight is written and while it is waited for: one status, not two."""
    message = f"{weight}% written; waiting for {proxies}"
    stage = draft.memory.stage if draft.memory.stage in IN_TRAFFIC else Stage.PROGRESSING
    return draft.enter(stage, Reason.AWAITING_ACKNOWLEDGEMENT, message, requeue_after=SAFETY_POLL)


def weight_is_in_force(draft: Draft) -> Answer:
    """Agree once every proxy runs the written weight; from then on the step's requests count."""
    facts = draft.facts
    has_no_place = facts.route is None or draft.candidate not in facts.route.weights
    if facts.route is None or (draft.stable is not None and has_no_place):
        fresh = draft.enter(Stage.PROGRESSING, Reason.PROGRESSING, "")
        return Held(limit_wait(await_proxies(fresh, 0, name_all_proxies(facts))))
    if not facts.is_acknowledged:
        waiting = await_proxies(draft, draft.written_weight, name_late_proxies(facts))
        return Held(limit_wait(waiting))
    return Agreed(_note_step(draft))


def _keep_approval(draft: Draft) -> int:
    """An approval lets the candidate leave one weight, and no other.

    Where replicas are swapped for a weight, those before it are on the way to it.
    """
    capacity, written = draft.memory.capacity, draft.written_weight
    is_on_the_way = capacity is not None and written < capacity.next_weight
    return draft.memory.approved_weight if is_on_the_way else 0


def _note_step(draft: Draft) -> Draft:
    written, memory = draft.written_weight, draft.memory
    if memory.acked_weight == written and memory.step_started_at is not None:
        return draft

    number = sum(1 for step in draft.steps if step.weight <= written)
    draft = draft.remember(
        replace(
            memory,
            acked_weight=written,
            approved_weight=_keep_approval(draft),
            step=number,
            step_started_at=draft.now,
            step_active_seconds=active_seconds(memory, draft.now),
            waits_since=None,
        )
    )
    if not written:
        return draft
    return draft.tell(Reason.WEIGHT_ACKNOWLEDGED, f"{written}% at every proxy")
