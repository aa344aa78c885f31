"""Starting: the candidate gets its replicas, and all of them must be ready."""

from datetime import timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason
from slipway.policy.container_evidence import why_not_ready
from slipway.policy.download import describe_download
from slipway.policy.rollout.capacity import start_needs, waits_for_waking
from slipway.policy.rollout.checking import check, prepare_check
from slipway.policy.rollout.climb import next_weight
from slipway.policy.rollout.deadline import deadline_passed, give_up_start
from slipway.policy.rollout.draft import Draft
from slipway.policy.rollout.gap import is_gap_too_long
from slipway.policy.rollout.recreating import make_room
from slipway.policy.rollout.swapping import (
    describe_move,
    describe_plan,
    find_late_swap,
    give_up_swap,
)
from slipway.policy.scaling.sleep import is_held

READY_POLL = timedelta(seconds=15)


def start(draft: Draft) -> Draft:
    """Wait for the replicas that the first weight needs, then have the candidate checked."""
    room = make_room(draft)
    if room is not None:
        return room
    if deadline_passed(draft) or is_gap_too_long(draft):
        return give_up_start(draft)

    waking = "waiting for the revision that serves to wake"
    if waits_for_waking(draft.facts, draft.candidate, is_stable_down=draft.is_stable_down):
        return draft.enter(Stage.STARTING, Reason.WAKING, waking, requeue_after=READY_POLL)

    late = find_late_swap(draft)
    if late is not None:
        return give_up_swap(draft, late)

    capacity, workload = draft.memory.capacity, draft.facts.workloads.get(draft.candidate)
    need = start_needs(draft.facts, draft.candidate, next_weight(draft), capacity)
    if workload is None or not workload.settled or workload.ready < need:
        why = why_not_ready(draft.facts, draft.candidate)
        message = why.message
        if capacity is not None:
            message = f"{describe_plan(capacity)}; {describe_move(draft, capacity)}"
        if why.reason is Reason.STARTING:
            message += describe_download(draft.facts)
        waiting = draft.enter(Stage.STARTING, why.reason, message, requeue_after=READY_POLL)
        return prepare_check(waiting)
    if is_held(draft.facts) and not draft.is_stable_down:
        return draft.enter(Stage.STARTING, Reason.WAKING, waking, requeue_after=READY_POLL)
    return check(draft)
