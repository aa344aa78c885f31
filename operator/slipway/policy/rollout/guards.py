"""What must agree before a weight is raised and before a version is promoted: one chain each.

The order is the one in which users are told what is missing: what a person holds comes first, then
who has a say, then what the cluster lacks. A guard that agrees may have noted an answer.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from slipway.api.modeldeployment import HookStage, Stage
from slipway.api.reasons import Reason
from slipway.api.times import to_wire
from slipway.policy.container_evidence import why_not_ready
from slipway.policy.ladder import Rung
from slipway.policy.rollout.capacity import share_needs
from slipway.policy.rollout.climb import rungs_to_climb
from slipway.policy.rollout.consent import require_consent
from slipway.policy.rollout.deadline import limit_wait
from slipway.policy.rollout.draft import SAFETY_POLL, Agreed, Answer, Draft, Held
from slipway.policy.rollout.swapping import swap_for
from slipway.policy.weights import ALL
from slipway.policy.windows import NEVER, find_next_opening

LONGEST_SLEEP = timedelta(hours=1)
"""Clocks are set, and time zones change."""
Guard = Callable[[Draft], Answer]


def guards_before_weight(rung: Rung) -> tuple[Guard, ...]:
    """Return what must agree before the candidate gets the weight of a rung."""
    return (
        lambda draft: not_paused(draft, f"{rung.weight}%"),
        lambda draft: is_in_window(draft, f"{rung.weight}%"),
        lambda draft: is_approved(draft, rung),
        lambda draft: require_consent(draft, rung, _hook_stage(draft)),
        lambda draft: has_capacity(draft, rung.weight),
    )


def guards_within_bake(rung: Rung) -> tuple[Guard, ...]:
    """Return what must agree before the bake goes on at its next weight."""
    return (
        lambda draft: not_paused(draft, f"{rung.weight}%"),
        lambda draft: is_in_window(draft, f"{rung.weight}%"),
        lambda draft: has_capacity(draft, rung.weight),
    )


def guards_before_promotion(bake: Rung) -> tuple[Guard, ...]:
    """Return what must agree before the candidate leaves its bake and becomes stable."""
    return (
        lambda draft: not_paused(draft, "the promotion"),
        lambda draft: is_in_window(draft, "the promotion"),
        lambda draft: require_consent(draft, bake, HookStage.BEFORE_PROMOTION),
        lambda draft: has_capacity(draft, ALL),
    )


def guards_in_gap(rung: Rung) -> tuple[Guard, ...]:
    """Return what must agree before requests are answered again: nothing that only costs time."""
    return (
        lambda draft: not_paused(draft, f"{rung.weight}%"),
        lambda draft: require_consent(draft, rung, HookStage.BEFORE_TRAFFIC),
        lambda draft: has_capacity(draft, rung.weight),
    )


def ask_guards(guards: Sequence[Guard], draft: Draft) -> Answer:
    """Return the first objection, or the draft with which all agree."""
    for guard in guards:
        answer = guard(draft)
        if isinstance(answer, Held):
            return answer
        draft = answer.draft
    return Agreed(draft)


def not_paused(draft: Draft, what: str) -> Answer:
    """Hold while the user or the action `pause` holds the rollout; a way back is not held."""
    if not draft.is_paused or draft.goes_back:
        return Agreed(draft)
    held = draft.enter(
        draft.memory.stage,
        Reason.PAUSED,
        f"paused before {what}",
        shown=Stage.PAUSED,
        requeue_after=_next_look(draft),
    )
    return Held(held)


def is_in_window(draft: Draft, what: str) -> Answer:
    """Hold until a window of the spec is open; who goes straight to 100% was told to.

    A first version, and one that repairs an outage, take nothing from anybody.
    """
    if not rungs_to_climb(draft):
        return Agreed(draft)
    opens_at = find_next_opening(draft.spec.rollout.windows, draft.now)
    if opens_at is None:
        return Agreed(draft)

    when = f"opens at {to_wire(opens_at)}" if opens_at < NEVER else "never opens"
    left = min(opens_at - draft.now, LONGEST_SLEEP)
    held = draft.enter(
        draft.memory.stage,
        Reason.OUTSIDE_WINDOW,
        f"waiting for the window that {when} before {what}",
        shown=Stage.PAUSED,
        requeue_after=min(left, _next_look(draft) or left),
    )
    return Held(held)


def is_approved(draft: Draft, rung: Rung) -> Answer:
    """Hold where the step needs the approval of a person, and nobody has given it."""
    if not rung.needs_approval or draft.memory.approved_weight == rung.weight:
        return Agreed(draft)
    what = "the switch" if rung.is_bake else f"step {rung.number}"
    held = draft.enter(
        draft.memory.stage,
        Reason.AWAITING_APPROVAL,
        f"{what} ({rung.weight}%) is waiting for approval",
        shown=Stage.AWAITING_APPROVAL,
        requeue_after=_next_look(draft),
    )
    return Held(held)


def has_capacity(draft: Draft, weight: int) -> Answer:
    """Hold until the candidate has the ready replicas that the weight needs."""
    if draft.memory.capacity is not None:
        return swap_for(draft, weight, draft.memory.capacity)
    facts, candidate = draft.facts, draft.candidate
    need, ready = share_needs(facts, candidate, weight), facts.ready(candidate)
    if ready >= need:
        return Agreed(draft)

    why = why_not_ready(facts, candidate)
    cause = f": {why.message}" if why.reason is not Reason.STARTING else ""
    message = f"{weight}% needs {need} ready replicas, {ready} ready{cause}"
    held = draft.enter(
        draft.memory.stage, Reason.AWAITING_CAPACITY, message, requeue_after=SAFETY_POLL
    )
    return Held(limit_wait(held))


def _hook_stage(draft: Draft) -> HookStage:
    return HookStage.STEP if draft.written_weight else HookStage.BEFORE_TRAFFIC


def _next_look(draft: Draft) -> timedelta | None:
    """Return when to look again while a person holds a weight: it is judged all the same."""
    return draft.analysis_interval if draft.written_weight else None
