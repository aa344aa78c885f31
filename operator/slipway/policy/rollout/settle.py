"""Completing a decision: the clock, every revision's replicas, the backends of the route."""

from collections.abc import Mapping
from datetime import timedelta

from slipway.api.modeldeployment import Stage
from slipway.api.reasons import Reason, Why, shortened
from slipway.policy.only_server import find_lost_server
from slipway.policy.rollout.active_clock import tick
from slipway.policy.rollout.after_promotion import LOOK_EVERY, watched_level
from slipway.policy.rollout.capacity import desired_replicas, has_rival, replica_floors
from slipway.policy.rollout.climb import next_weight
from slipway.policy.rollout.deadline import waiting_since
from slipway.policy.rollout.draft import (
    DRAIN_POLL,
    IN_TRAFFIC,
    ROUTED,
    SAFETY_POLL,
    STABLE_DOWN_AFTER,
    Draft,
)
from slipway.policy.rollout.gap import empty_weights, has_given_way, keep_apart
from slipway.policy.rollout.roles import Roles
from slipway.policy.rollout.scheduling import is_schedule_open
from slipway.policy.rollout.swapping import find_hold
from slipway.policy.scaling.sleep import decide_sleep
from slipway.records import replace

TOLD_LENGTH = 512
"""Characters of what is told before the command that answers it, so that no cut takes that away."""
MOST_BACKENDS = 3
"""Of a route; a candidate waits while older revisions still drain."""


def settle(draft: Draft) -> Draft:
    """Return the whole decision: what the stages leave open follows from what they decided."""
    draft = _tell_who_approves(_show_pause(draft))
    decision, facts = draft.decision, draft.facts
    is_stopped = decision.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL} or draft.is_paused
    memory = tick(draft.memory, draft.now, stopped=is_stopped)
    memory = replace(memory, waits_since=waiting_since(decision, draft.now))

    # Replicas first: whoever keeps pods stays in the route, since a request may still be with them.
    roles = Roles(
        draft.stable,
        decision.candidate,
        next_weight(draft),
        capacity=draft.memory.capacity,
        may_drain=find_hold(draft) is None,
        is_stable_down=draft.is_stable_down,
    )
    replicas = desired_replicas(facts, roles, draft.now)
    floors = replica_floors(facts, roles)
    sleep = decide_sleep(facts, draft.stable, draft.now, is_needed=_needs_stable(draft))
    if sleep.removes and draft.stable is not None:
        replicas[draft.stable] = floors[draft.stable] = 0
    if not has_given_way(draft):
        draft = _tell_scaling(draft, replicas)

    apart = keep_apart(draft, replicas)
    floors = {it: floor for it, floor in floors.items() if apart.get(it, 1) or not replicas.get(it)}
    replicas = apart
    weights: dict[str, int] = {}
    if not empty_weights(draft):
        weights = _keep_only_server(draft, _complete_weights(draft, replicas))

    found = dict(facts.route.weights) if facts.route else {}
    moves = weights != found or _removes_replicas(draft, replicas)
    settled = replace(
        draft.decision,
        memory=memory,
        asleep=sleep.asleep,
        replicas=replicas,
        floors=floors,
        weights=weights,
        header_revision=_find_header_revision(draft, weights),
        needs_live_read=decision.needs_live_read or moves,
        requeue_after=_next_look(draft, replicas),
    )
    return draft.having(settled)


def _needs_stable(draft: Draft) -> bool:
    """Return whether a rollout needs what serves: as long as anybody else has pods or traffic.

    After a Swap it first gets back the places that it gave away.
    """
    shares = draft.memory.capacity is not None
    return draft.decision.candidate is not None or shares or has_rival(draft.facts)


def _show_pause(draft: Draft) -> Draft:
    """Say at once that it is paused, and not only where the step would have ended.

    In a step the pause stops what would end it, the clock or the verdict, so it holds there too. A
    weight that is on its way, and what needs a person, say so themselves.
    """
    decision = draft.decision
    rests = decision.stage in ROUTED and decision.stalled is None and not decision.needs_live_read
    says_so = decision.reason == Reason.AWAITING_ACKNOWLEDGEMENT
    if not rests or not draft.is_paused or says_so or draft.goes_back:
        return draft
    why = Why(Reason.PAUSED, f"paused; {decision.message}")
    return draft.having(replace(decision, stage=Stage.PAUSED, why=why))


def _tell_who_approves(draft: Draft) -> Draft:
    """Tell that a person has to approve, and how, in the pass in which the wait begins."""
    decision, metadata = draft.decision, draft.facts.metadata
    rollout = draft.facts.status.rollout
    is_told = rollout is not None and rollout.stage is Stage.AWAITING_APPROVAL
    if decision.stage is not Stage.AWAITING_APPROVAL or is_told:
        return draft
    command = f"kubectl slipway approve {metadata.name} -n {metadata.namespace}"
    message = f"{shortened(decision.message, TOLD_LENGTH)}; to approve: {command}"
    return draft.tell(Reason.AWAITING_APPROVAL, message)


def _tell_scaling(draft: Draft, replicas: Mapping[str, int]) -> Draft:
    """Tell that the load asks for another number of replicas."""
    sizing, workload = draft.facts.sizing, draft.facts.workloads.get(draft.stable or "")
    number = replicas.get(draft.stable or "", 0)
    is_swap = draft.memory.capacity is not None
    if sizing is None or workload is None or workload.replicas == number or is_swap:
        return draft
    signal = f"{sizing.signal} {sizing.value:g}" if sizing.value is not None else None
    cause = signal or "bounds of the spec"
    text = f"revision {draft.stable}: {workload.replicas} → {number} replicas ({cause})"
    return draft.tell(Reason.SCALED, text)


def _complete_weights(draft: Draft, replicas: Mapping[str, int]) -> dict[str, int]:
    """Return the route's weights: they sum to 100, or nothing serves yet.

    A revision without weight stays in the route while it may still answer somebody. Who is neither
    stable nor candidate has weight only while nobody else can take it; whoever changed the route.
    """
    decision, stable = draft.decision, draft.stable
    if stable is None:
        return {name: weight for name, weight in decision.weights.items() if weight}

    shares = dict(decision.weights)
    for name in shares:
        is_left_over = name not in {stable, decision.candidate}
        if is_left_over and (draft.can_go_back or not draft.facts.ready(name)):
            shares[name] = 0
    weights = {
        name: weight for name, weight in shares.items() if weight > 0 or replicas.get(name, 0) > 0
    }
    has_room = len(weights) < MOST_BACKENDS
    if decision.candidate is not None and draft.memory.stage in ROUTED and has_room:
        weights.setdefault(decision.candidate, 0)

    others = sum(weight for name, weight in weights.items() if name != stable)
    return weights | {stable: 100 - others}


def _keep_only_server(draft: Draft, weights: dict[str, int]) -> dict[str, int]:
    """Return the weights, or those that are written where the only server would lose its own."""
    if find_lost_server(draft.facts, weights) is None or draft.facts.route is None:
        return weights
    return dict(draft.facts.route.weights)


def _find_header_revision(draft: Draft, weights: Mapping[str, int]) -> str | None:
    candidate = draft.decision.candidate
    is_asked_for = draft.spec.traffic.candidate_header is not None
    is_reachable = candidate in weights and draft.memory.stage in IN_TRAFFIC
    return candidate if is_asked_for and is_reachable else None


def _removes_replicas(draft: Draft, replicas: Mapping[str, int]) -> bool:
    workloads = draft.facts.workloads
    return any(
        number == 0 and name in workloads and workloads[name].replicas > 0
        for name, number in replicas.items()
    )


def _next_look(draft: Draft, replicas: Mapping[str, int]) -> timedelta | None:
    """Return when to look again; sooner while stable is down or a revision is being drained."""
    requeue_after = draft.decision.requeue_after
    if _is_watched(draft):
        requeue_after = min(requeue_after or LOOK_EVERY, LOOK_EVERY)
    if draft.memory.capacity is not None:
        requeue_after = min(requeue_after or DRAIN_POLL, DRAIN_POLL)
    if is_schedule_open(draft):
        requeue_after = min(requeue_after or SAFETY_POLL, SAFETY_POLL)
    since = draft.memory.stable_down_since
    if since is not None and draft.candidate and not draft.is_stable_down:
        left = since + STABLE_DOWN_AFTER - draft.now
        requeue_after = min(requeue_after or left, left)
    live = {draft.stable, draft.decision.candidate}
    if any(number and name not in live for name, number in replicas.items()):
        return min(requeue_after or DRAIN_POLL, DRAIN_POLL)
    return requeue_after


def _is_watched(draft: Draft) -> bool:
    """Return whether stable is watched, or was promoted just now and will be."""
    before, level = draft.facts.status.after_promotion, draft.decision.after_promotion
    return watched_level(draft.facts, draft.now) is not None or level != before
