"""The invariants that are checked on every decision before it is written (docs/invariants.md).

A violation is a bug of ours: nothing of the decision is written, and the object says so.
"""

from collections.abc import Iterator
from datetime import datetime

from slipway.api.modeldeployment import Outcome
from slipway.api.verdict import Verdict
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.judgement import deciding_judgement
from slipway.policy.only_server import find_lost_server
from slipway.policy.rollout.capacity import full_capacity, is_drained, replicas_for_share
from slipway.policy.rollout.evidence_record import passed_shadow
from slipway.policy.rollout.gap import is_gone
from slipway.policy.rollout.places import standing_places
from slipway.policy.room import count_pods
from slipway.policy.scaling.sleep import is_held_everywhere
from slipway.policy.swap import carriers_of


def find_violations(decision: Decision, facts: Facts, now: datetime) -> list[str]:
    """Return every promise that the decision would break, in words; empty is good."""
    return [
        *_weights_sum(decision),
        *_raised_weight_has_capacity(decision, facts),
        *_capacity_stays_under_weight(decision, facts),
        *_swap_keeps_floor(decision, facts),
        *_swap_keeps_places(decision, facts),
        *_removed_only_when_drained(decision, facts, now),
        *_rejected_gets_nothing(decision, facts),
        *_promotion_has_evidence(decision, facts),
        *_only_server_keeps_traffic(decision, facts),
        *_one_runs_at_a_time(decision, facts),
    ]


def _weights_sum(decision: Decision) -> Iterator[str]:
    weights = decision.weights
    if weights and sum(weights.values()) != 100:  # noqa: PLR2004 -- percent
        yield f"I1: weights sum to {sum(weights.values())}: {dict(weights)}"
    if any(not 0 <= weight <= 100 for weight in weights.values()):  # noqa: PLR2004
        yield f"I1: a weight is outside 0..100: {dict(weights)}"


def _raised_weight_has_capacity(decision: Decision, facts: Facts) -> Iterator[str]:
    full = full_capacity(facts)
    for name, weight in decision.weights.items():
        raised = weight > facts.written_weight(name)
        if (
            raised
            and name != decision.stable
            and facts.ready(name) < _carriers_of(weight, full, facts)
        ):
            yield f"I1: {name} would get {weight}% with {facts.ready(name)} ready replicas"


def _capacity_stays_under_weight(decision: Decision, facts: Facts) -> Iterator[str]:
    full = full_capacity(facts)
    for name, replicas in decision.replicas.items():
        known = facts.workloads.get(name)
        if known is None or replicas >= known.replicas:
            continue
        is_gap = facts.shared is not None and facts.shared.places == 1
        answers_nobody = facts.shared is not None and not known.ready
        if is_gap or answers_nobody:
            continue  # an accepted gap, or a replica that is down
        share = 0 if _falls_asleep(name, decision, facts) else facts.highest_weight_running(name)
        if share and replicas < _carriers_of(share, full, facts):
            yield f"I2: {name} would keep {replicas} replicas under {share}%"


def _carriers_of(weight: int, full: int, facts: Facts) -> int:
    """Return the replicas that carry a weight; where places are shared, with one of them empty."""
    if facts.shared is None:
        return replicas_for_share(weight, full)
    return carriers_of(weight, standing_places(facts, facts.shared, facts.stable or ""))


def _swap_keeps_floor(decision: Decision, facts: Facts) -> Iterator[str]:
    """I2: where places are shared, no more than one replica less is ready by our hand."""
    shared, stable = facts.shared, facts.stable
    if shared is None or stable is None or decision.memory.capacity is None:
        return
    ready = {name: workload.ready for name, workload in facts.workloads.items()}
    used = {name for name in ready if facts.highest_weight_running(name)} | {stable}
    goes = sum(
        max(0, ready[name] - decision.replicas.get(name, ready[name]))
        for name in used & ready.keys()
    )
    left = sum(ready.values()) - goes
    floor = standing_places(facts, shared, stable) - 1
    if goes and left < floor:
        yield f"I2: {left} replicas would stay ready of {shared.places} places, at least {floor}"


def _swap_keeps_places(decision: Decision, facts: Facts) -> Iterator[str]:
    """I2: a replica is asked for when there is a place for it, which nobody holds any more."""
    shared = decision.memory.capacity
    if shared is None:
        return
    for name, wanted in decision.replicas.items():
        known = facts.workloads.get(name)
        grows = wanted > (known.replicas if known is not None else 0)
        held = sum(
            count_pods(facts, other)
            for other in facts.workloads
            if other != name and facts.ready(other)
        )
        if grows and wanted + held > shared.places:
            yield f"I2: {name} would get {wanted} of {shared.places} places, {held} are held"


def _removed_only_when_drained(decision: Decision, facts: Facts, now: datetime) -> Iterator[str]:
    for name, replicas in decision.replicas.items():
        known = facts.workloads.get(name)
        removes = known is not None and replicas == 0 < known.replicas
        if facts.shared is not None and name == decision.stable:
            continue  # its only place was given away, as the spec accepts
        falls_asleep = _falls_asleep(name, decision, facts)
        if removes and not falls_asleep and not is_drained(facts, name, now):
            yield f"I3: {name} would lose its pods before it is drained"


def _falls_asleep(name: str, decision: Decision, facts: Facts) -> bool:
    """Return whether who serves may lose all pods: every router holds, and no request has come."""
    return name == decision.stable and decision.asleep and is_held_everywhere(facts)


def _rejected_gets_nothing(decision: Decision, facts: Facts) -> Iterator[str]:
    refused = {entry.revision for entry in decision.rejected}
    for name in refused & set(decision.weights):
        if decision.weights[name] > facts.written_weight(name):
            yield f"I4: {name} was rejected and would get {decision.weights[name]}%"


def _promotion_has_evidence(decision: Decision, facts: Facts) -> Iterator[str]:
    """I8: a promotion beside a stable revision rests on samples, or says who skipped them."""
    promoted = [end for end in decision.outcomes if end.outcome is Outcome.PROMOTED]
    if not promoted or facts.status.stable is None:
        return

    revision, rollout = promoted[0].revision, facts.status.rollout
    if revision == facts.status.stable.revision:
        return  # its own ControllerRevision lost the outcome, and gets it again
    was_judged = rollout is not None and (
        rollout.judged_weight > 0 or passed_shadow(rollout.shadow)
    )
    passes = deciding_judgement(facts.judgements).verdict is Verdict.PASS
    known = facts.revisions.get(revision)
    is_recorded = known is not None and known.outcome is Outcome.PROMOTED  # before a crash
    if decision.history[-1].unjudged is None and not (was_judged or passes or is_recorded):
        yield f"I8: {revision} would be promoted without a judged weight"


def _only_server_keeps_traffic(decision: Decision, facts: Facts) -> Iterator[str]:
    """I11: whatever status says, who answers users loses them only to somebody who can."""
    recreate = decision.memory.recreate
    if recreate is not None and recreate.gap_started_at is not None and not decision.weights:
        return  # strategy Recreate: it was announced, and is measured
    lost = find_lost_server(facts, decision.weights)
    if lost is not None:
        yield f"I11: {lost} is the only server and would lose its traffic"


def _one_runs_at_a_time(decision: Decision, facts: Facts) -> Iterator[str]:
    """I12: with strategy Recreate a revision starts only when no pod of another one is left."""
    if not facts.spec.rollout.recreates:
        return
    for name, replicas in decision.replicas.items():
        known = facts.workloads.get(name)
        starts = replicas > 0 and (known is None or known.replicas == 0)
        others = [it for it in {*facts.workloads, *facts.pods} if it != name]
        running = [it for it in others if not is_gone(facts, it)]
        if starts and running:
            yield f"I12: {name} would start beside {', '.join(running)}"
