"""A Swap: the candidate's replicas stand in the places of stable's.

How many places there are is found once, when the rollout begins or when there turns out to be no
room, and lies in `status.rollout.capacity` with the floor that follows from it. Nothing goes below
the floor before that is written.
"""

from dataclasses import replace
from datetime import timedelta

from slipway.api.modeldeployment import Capacity, CapacityStatus, Gap, Outcome, Stage
from slipway.api.reasons import Reason, shortened
from slipway.api.times import from_wire, to_wire
from slipway.policy.container_evidence import why_not_ready
from slipway.policy.rollout.capacity import full_capacity, waits_for_waking
from slipway.policy.rollout.deadline import limit_wait
from slipway.policy.rollout.draft import Agreed, Answer, Draft, Held
from slipway.policy.rollout.places import candidate_needs
from slipway.policy.rollout.rolling_back import begin_rollback, note_restored
from slipway.policy.room import count_placed, find_shortage, is_shortage_heard
from slipway.policy.swap import weight_between
from slipway.policy.weights import ALL
from slipway.policy.windows import NEVER, find_next_opening

LOOK_AGAIN = timedelta(seconds=1)
"""While a place changes hands; pods that end are seen at once."""
PLACED_WITHIN = timedelta(seconds=60)
"""A place that stable has left is taken by the candidate within this time, or given back."""
ONLY_PLACE = "the only replica was swapped: there was nothing to compare with"


def plan_places(draft: Draft) -> Draft:
    """Return the draft with the places that both revisions share, where they have to.

    The spec asks for a Swap, or the candidate found no room and the spec allows for that.
    """
    if draft.memory.capacity is not None or draft.memory.outcome is not None:
        return draft
    if not draft.candidate or draft.memory.stage is Stage.ROLLING_BACK:
        return draft
    found = plan_swap(draft)
    if found is None:
        return draft
    draft = draft.remember(replace(draft.memory, capacity=found))
    return draft.tell(Reason.SWAPPING, describe_plan(found))


def plan_swap(draft: Draft) -> CapacityStatus | None:
    """Return the places to share; None: there is room, or nothing may be taken from stable."""
    facts, rollout = draft.facts, draft.spec.rollout
    if draft.stable is None or rollout.capacity is Capacity.SURGE or rollout.switches_once:
        return None
    if waits_for_waking(facts, draft.candidate, is_stable_down=draft.is_stable_down):
        return None
    missing = ""
    if rollout.capacity is Capacity.AUTO:
        found = find_shortage(facts, draft.candidate)
        if found is None or not is_shortage_heard(facts, draft.candidate, draft.now):
            return None
        missing = found

    replicas = full_capacity(facts)
    placed = count_placed(facts, draft.stable) + count_placed(facts, draft.candidate)
    is_asked = rollout.capacity is Capacity.SWAP
    found_room = replicas if is_asked and not draft.written_weight else placed
    places = min(max(replicas, found_room), replicas + 1)  # more than one empty place is no use
    if places == 1 and rollout.allow_gap is not Gap.ACCEPTED:
        return None
    return CapacityStatus(
        replicas=replicas, places=places, floor=places - 1, missing=shortened(missing)
    )


def describe_plan(capacity: CapacityStatus) -> str:
    """Return what a Swap promises, in one sentence."""
    why = f"{capacity.missing}; " if capacity.missing else ""
    if capacity.places == 1:
        return f"{why}swapping the only replica: nothing answers until the new one is ready"
    return (
        f"{why}swapping replicas one at a time in {capacity.places} places: "
        f"at least {capacity.floor} stay ready"
    )


def find_refusal(draft: Draft) -> str | None:
    """Return why a Swap that the spec asks for may not begin; None: it may."""
    rollout = draft.spec.rollout
    is_swap = rollout.capacity is Capacity.SWAP and draft.stable is not None
    if not is_swap or full_capacity(draft.facts) > 1 or rollout.allow_gap is Gap.ACCEPTED:
        return None
    return (
        "a Swap of the only replica leaves nothing that answers for a while: set rollout.allowGap "
        "to Accepted, or scaling.minReplicas to 2"
    )


def is_swapping(draft: Draft) -> bool:
    """Return whether replicas are being moved for the next weight, which everybody agreed to."""
    capacity = draft.memory.capacity
    return capacity is not None and capacity.next_weight > draft.written_weight


def swap_for(draft: Draft, weight: int, capacity: CapacityStatus) -> Answer:
    """Hold until the candidate has the replicas for a weight, and have them moved until then.

    Before one of stable's goes, the candidate takes what it carries with one place empty.
    """
    facts, candidate = draft.facts, draft.candidate
    ready = facts.ready(candidate)
    is_shadowing = draft.memory.stage is Stage.SHADOWING
    need = 1 if is_shadowing else candidate_needs(capacity, weight)
    if ready >= need:
        return Agreed(_note_next(draft, capacity, 0))

    draft = _note_next(draft, capacity, 0 if is_shadowing else weight)
    message = (
        f"{weight}% needs {need} ready replicas, {ready} ready: {describe_move(draft, capacity)}"
    )
    held = draft.enter(
        draft.memory.stage, Reason.AWAITING_CAPACITY, message, requeue_after=LOOK_AGAIN
    )
    between = min(weight, weight_between(ready, capacity.places))
    if between > draft.written_weight and not is_shadowing:
        weights = dict.fromkeys(draft.decision.weights, 0)
        held = held.route(weights | {candidate: between, draft.stable or "": ALL - between})
    return Held(limit_wait(held))


def describe_move(draft: Draft, capacity: CapacityStatus) -> str:
    """Return what the next place waits for, in words."""
    facts, stable, candidate = draft.facts, draft.stable or "", draft.candidate
    ending = [
        pod.meta.name for pod in facts.pods.get(stable, ()) if pod.meta.deleting and not pod.ended
    ]
    if ending:
        return f"waiting for {ending[0]} of stable to end, which makes room"
    hold = find_hold(draft)
    if hold is not None:
        return f"no replica goes before {hold}"
    workload = facts.workloads.get(candidate)
    if workload is not None and workload.ready < workload.replicas:
        return why_not_ready(facts, candidate).message
    running = facts.workloads.get(stable)
    if running is not None and running.ready < running.replicas:
        why = why_not_ready(facts, stable).message
        return f"no replica goes before all of stable's are ready: {why}"
    return f"swapping a replica, {capacity.floor} of {capacity.places} stay ready"


def find_hold(draft: Draft) -> str | None:
    """Return what has to come before a replica of stable may go: a person, or a window."""
    if draft.is_paused and not draft.goes_back:
        return "the pause ends"
    opens_at = find_next_opening(draft.spec.rollout.windows, draft.now)
    if opens_at is None or draft.memory.unjudged is not None or draft.is_stable_down:
        return None
    return f"the window opens at {to_wire(opens_at)}" if opens_at < NEVER else "a window opens"


def find_late_swap(draft: Draft) -> str | None:
    """Return why what stable gave up is given back: nobody can use it, or it takes too long."""
    capacity, facts = draft.memory.capacity, draft.facts
    if capacity is None or draft.stable is None:
        return None
    running = facts.workloads.get(draft.stable)
    gave_up = running is not None and running.replicas < capacity.replicas
    for pod in facts.pods.get(draft.candidate, ()) if gave_up else ():
        is_late = draft.now - pod.created >= PLACED_WITHIN
        if pod.unschedulable is not None and is_late and not pod.meta.deleting:
            return (
                f"no node took the place that stable left within {PLACED_WITHIN.seconds} s: "
                f"{why_not_ready(facts, draft.candidate).message}"
            )

    since, known = from_wire(capacity.gap_started_at), draft.candidate_revision
    if since is None or known is None or facts.ready(draft.candidate):
        return None
    limit = known.snapshot.start_seconds
    if draft.now - since < timedelta(seconds=limit):
        return None
    why = why_not_ready(facts, draft.candidate).message
    return f"nothing has answered for {limit} s, the candidate is not ready: {why}"


def give_up_swap(draft: Draft, cause: str) -> Draft:
    """Give the places back; a gap is not opened a second time before somebody asks for it."""
    capacity = draft.memory.capacity
    is_gap = capacity is not None and capacity.places == 1
    outcome = Outcome.ABORTED if is_gap else Outcome.FAILED_TO_START
    return begin_rollback(draft, outcome, cause)


def note_gap(draft: Draft) -> Draft:
    """Note when the only replica stopped to answer, and for how long nothing did."""
    capacity, facts = draft.memory.capacity, draft.facts
    if capacity is None or capacity.places > 1:
        return draft
    weights = facts.route.weights if facts.route is not None else {}
    serving = [name for name, weight in weights.items() if weight]
    answers = any(facts.ready(name) for name in serving) and facts.is_acknowledged
    since = from_wire(capacity.gap_started_at)
    if since is None:
        left = facts.workloads.get(draft.stable or "")
        if answers or left is None or left.replicas:
            return draft
        begun = capacity.model_copy(update={"gap_started_at": to_wire(draft.now)})
        return draft.remember(replace(draft.memory, capacity=begun))
    if not answers:
        return draft

    seconds = round(capacity.gap_seconds + (draft.now - since).total_seconds(), 3)
    ended = capacity.model_copy(update={"gap_started_at": None, "gap_seconds": seconds})
    draft = draft.remember(replace(draft.memory, capacity=ended))
    return draft.tell(Reason.GAP_ENDED, f"requests are answered again after a gap of {seconds:g} s")


def close_places(draft: Draft) -> Draft:
    """Forget the places once the rollout is over and stable has all of its replicas again."""
    capacity, facts = draft.memory.capacity, draft.facts
    if capacity is None or not are_given_back(draft) or capacity.gap_started_at is not None:
        return draft
    if facts.ready(draft.stable) < capacity.replicas:
        return draft
    draft = draft.remember(replace(draft.memory, capacity=None))
    last = draft.decision.last_rollback
    if last is None or last.to != draft.stable or last.capacity_restored_at is not None:
        return draft
    last = note_restored(last, capacity=draft.now)
    return draft.having(replace(draft.decision, last_rollback=last))


def are_given_back(draft: Draft) -> bool:
    """Return whether stable has got back every place, ready or not."""
    capacity, facts = draft.memory.capacity, draft.facts
    if capacity is None or draft.stable is None:
        return True
    others = [name for name in facts.workloads if name != draft.stable]
    are_gone = not any(
        facts.workloads[name].replicas or count_placed(facts, name) for name in others
    )
    running = facts.workloads.get(draft.stable)
    return are_gone and running is not None and running.replicas >= capacity.replicas


def _note_next(draft: Draft, capacity: CapacityStatus, weight: int) -> Draft:
    if capacity.next_weight == weight:
        return draft
    noted = capacity.model_copy(update={"next_weight": weight})
    return draft.remember(replace(draft.memory, capacity=noted))
