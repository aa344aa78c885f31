"""THE state machine: `decide(facts, now)` says what should be true after this pass.

    Idle ─new input─► Packaging ─► Starting ─► Checking ─► Progressing(step) ─► Baking ─► Promoted
    evidence, abort, another input ─► RollingBack: weight 0 acknowledged ─► drained ─► over

Pure and total: nothing is remembered between passes but what `status` says, so a restarted operator
decides the same. A weight counts only when every proxy has acknowledged it, a step is judged only
on requests since then, and what is missing holds: it never promotes and never blames.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Outcome, Stage
from slipway.api.times import from_wire
from slipway.policy.container_evidence import container_evidence
from slipway.policy.decision import Decision, Event
from slipway.policy.facts import Facts
from slipway.policy.rollout import packaging
from slipway.policy.rollout.actions import consume
from slipway.policy.rollout.active_clock import tick
from slipway.policy.rollout.capacity import Roles, desired_replicas, floors
from slipway.policy.rollout.deadline import PROXIES, waiting_since
from slipway.policy.rollout.earlier_revision import goes_back
from slipway.policy.rollout.idle import checking, idle, starting
from slipway.policy.rollout.memory import recall
from slipway.policy.rollout.progressing import baking, next_weight, progressing, promote
from slipway.policy.rollout.rolling_back import refuse, rolling_back, withdraw
from slipway.policy.rollout.transition import IN_TRAFFIC, is_paused

DRAIN_POLL = timedelta(seconds=1)
MOST_BACKENDS = 3
"""Of a route; a candidate waits while older revisions still drain."""


def decide(facts: Facts, now: datetime) -> Decision:
    """Return what should be true after this pass, and when to look again."""
    decision = consume(recall(facts), facts, now)
    decision = _move(decision, facts, now)
    if decision.candidate is not None:
        decision = packaging.beside(decision, facts, now)
    return _settle(decision, facts, now)


def remember(facts: Facts, now: datetime) -> Decision:
    """Return what was found, and what a person asked for since: nothing else happened.

    What they want holds though no object could be written: a pause stops the clock, an abort is
    carried out as soon as anything can be.
    """
    found = recall(facts)
    d = consume(found, facts, now)
    if facts.traffic is None and d.memory.skipped_weight != found.memory.skipped_weight:
        return found  # nobody has looked at the evidence that a skip would pass over
    if not is_paused(d, facts):
        return d
    return replace(d, memory=tick(d.memory, now, stopped=True))


def _move(d: Decision, facts: Facts, now: datetime) -> Decision:
    candidate = facts.revisions.get(d.candidate or "")
    if candidate is None:
        return idle(replace(d, candidate=None), facts, now)
    if d.memory.stage is Stage.ROLLING_BACK:
        return rolling_back(d, facts, now)
    if d.memory.outcome is not None:
        return withdraw(d, d.memory.outcome, d.memory.cause, facts, now)
    if _was_promoted(d, facts):
        return promote(d, facts, now)
    is_other = candidate.snapshot.input != facts.input and not goes_back(d)
    if is_other and not _may_finish(d, facts):
        return withdraw(d, Outcome.SUPERSEDED, "the spec asks for another input", facts, now)
    evidence = container_evidence(facts, candidate.name, d.stable, now)
    if evidence is not None:
        cause = f"{evidence.reason}: {evidence.message}"
        return refuse(d, Outcome.ROLLED_BACK, cause, facts, now, metric="resources")
    match d.memory.stage:
        case Stage.CHECKING:
            return checking(d, facts, now)
        case Stage.PROGRESSING:
            return progressing(d, facts, now)
        case Stage.BAKING:
            return baking(d, facts, now)
        case _:
            return starting(d, facts, now)


def _may_finish(d: Decision, facts: Facts) -> bool:
    """A bake ends before another input gets its turn, unless the spec is back at stable."""
    stable = facts.revisions.get(d.stable or "")
    back = stable is not None and stable.snapshot.input == facts.input
    return d.memory.stage is Stage.BAKING and not back


def _was_promoted(d: Decision, facts: Facts) -> bool:
    """A pass before this one noted the promotion and was killed before it wrote the status."""
    known = facts.revisions[d.candidate or ""]
    started = from_wire(d.memory.started_at)
    return (
        known.outcome is Outcome.PROMOTED
        and known.outcome_at is not None
        and started is not None
        and known.outcome_at > started
        and d.memory.stage in IN_TRAFFIC
    )


def _settle(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Complete a decision: the clock, every revision's replicas, the route's backends."""
    d = _shown_paused(d, facts)
    stopped = d.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL} or is_paused(d, facts)
    memory = tick(d.memory, now, stopped=stopped).model_copy(
        update={
            "steps": len(facts.spec.rollout.steps),
            "message": d.message,
            "waits_since": waiting_since(d, now),
        }
    )
    roles = Roles(d.stable, d.candidate, next_weight(d, facts, now))
    replicas = desired_replicas(facts, roles, now)
    d = _scaled(d, facts, replicas)
    weights = _backends(d, replicas)
    asked = facts.spec.traffic.candidate_header is not None
    is_pinned = asked and d.candidate in weights and memory.stage in IN_TRAFFIC
    found = dict(facts.route.weights) if facts.route else {}
    removes = any(
        number == 0 and name in facts.workloads and facts.workloads[name].replicas > 0
        for name, number in replicas.items()
    )
    look = d.requeue_after
    if any(number and name not in {d.stable, d.candidate} for name, number in replicas.items()):
        look = min(look or DRAIN_POLL, DRAIN_POLL)
    return replace(
        d,
        memory=memory,
        replicas=replicas,
        floors=floors(facts, roles),
        weights=weights,
        header_revision=d.candidate if is_pinned else None,
        needs_live_read=d.needs_live_read or removes or weights != found,
        requeue_after=look,
    )


def _shown_paused(d: Decision, facts: Facts) -> Decision:
    """Say at once that it is paused, and not only where the step would have ended.

    In a step the pause stops what would end it, the clock or the verdict, so it holds there too. A
    weight that is on its way, and what needs a person, say so themselves.
    """
    rests = d.stage in IN_TRAFFIC and d.stalled is None and not d.needs_live_read
    if not rests or not is_paused(d, facts) or d.reason == PROXIES or goes_back(d):
        return d
    return replace(d, stage=Stage.PAUSED, reason="Paused", message=f"paused; {d.message}"[:1024])


def _scaled(d: Decision, facts: Facts, replicas: dict[str, int]) -> Decision:
    """Tell that the load asks for another number of replicas."""
    sizing, workload = facts.sizing, facts.workloads.get(d.stable or "")
    number = replicas.get(d.stable or "", 0)
    if sizing is None or workload is None or workload.replicas == number:
        return d
    why = f"{sizing.signal} {sizing.value:g}" if sizing.value is not None else "bounds of the spec"
    message = f"revision {d.stable}: {workload.replicas} → {number} replicas ({why})"
    return replace(d, events=(*d.events, Event("Scaled", message)))


def _backends(d: Decision, replicas: dict[str, int]) -> dict[str, int]:
    """Return the route's weights: they sum to 100, or nothing serves yet.

    A revision without weight stays in the route while it may still answer somebody. Without a
    candidate stable has all of it, whoever changed the route.
    """
    if d.stable is None:
        return {name: weight for name, weight in d.weights.items() if weight}
    shares = d.weights if d.candidate is not None else dict.fromkeys(d.weights, 0)
    weights = {
        name: weight for name, weight in shares.items() if weight > 0 or replicas.get(name, 0) > 0
    }
    has_room = len(weights) < MOST_BACKENDS
    if d.candidate is not None and d.memory.stage in IN_TRAFFIC and has_room:
        weights.setdefault(d.candidate, 0)
    others = sum(weight for name, weight in weights.items() if name != d.stable)
    return weights | {d.stable: 100 - others}
