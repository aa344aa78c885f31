"""How many replicas a share of the traffic needs, and when replicas may go."""

import math
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Capacity, CapacityStatus, Scaling, ScalingEngine
from slipway.policy.facts import Facts
from slipway.policy.rollout.handover import (
    hold_until_measured,
    is_held_by_keda,
    may_raise,
    may_raise_again,
)
from slipway.policy.rollout.places import candidate_needs, swap_replicas
from slipway.policy.rollout.roles import Roles
from slipway.policy.room import count_placed
from slipway.policy.scaling.sleep import is_held

TELLING_WEIGHT = 10
"""Percent of the traffic from which a revision's own load tells what more of it will need."""


def replicas_for_share(weight: int, replicas: int) -> int:
    """Return the ready replicas that `weight` percent need, where `replicas` carry all of it."""
    return math.ceil(replicas * weight / 100)


def is_drained(facts: Facts, revision: str, now: datetime) -> bool:
    """Return whether no request of a client is with the revision any more.

    Weight 0 must be acknowledged by every proxy. Then either all of them say that nothing is in
    flight, or the drain time has passed since this operator saw that the last one acknowledged.
    """
    if facts.highest_weight_running(revision) > 0:
        return False  # also where a person took it out of the route, and proxies do not know yet
    if facts.route is None or revision not in facts.route.weights:
        return True
    if not facts.is_acknowledged:
        return False
    since = facts.acknowledged_at
    if since is not None and now - since >= drain_time(facts, revision):
        return True
    traffic = facts.traffic
    return traffic is not None and not traffic.silent and not traffic.in_flight.get(revision)


def drain_time(facts: Facts, revision: str) -> timedelta:
    """Return how long a revision's running requests may take."""
    known = facts.revisions.get(revision)
    return timedelta(seconds=known.snapshot.drain_seconds if known else 30)


def full_capacity(facts: Facts) -> int:
    """Return the replicas that carry all of the traffic, by what is known of it.

    While a candidate has traffic, stable's present number is the least: it carried everything
    before, and the candidate's requests are missing in what stable is measured with.
    """
    if facts.shared is not None:
        return facts.shared.replicas
    scaling = facts.spec.scaling
    stable = facts.workloads.get(facts.stable or "")
    present = scaling.least_awake
    if stable is not None:
        present = max(1, stable.replicas, _count_stopped(facts))
    held = present if has_rival(facts) else 0
    if scaling.engine is ScalingEngine.NONE:
        return max(scaling.replicas or present, held)
    if scaling.is_autoscaled:
        return max(scaling.least_awake, present)
    if not scaling.is_builtin:
        return scaling.least_awake
    measured = facts.sizing.replicas if facts.sizing is not None else present
    return min(scaling.most, max(scaling.least_awake, measured, held))


def _count_stopped(facts: Facts) -> int:
    """Return the replicas that stable had until it stopped for its candidate; 0: it did not."""
    rollout = facts.status.rollout
    recreate = rollout.recreate if rollout is not None and facts.candidate is not None else None
    return recreate.replicas if recreate is not None else 0


def has_rival(facts: Facts) -> bool:
    """Return whether another revision than stable has traffic, as far as anybody knows."""
    return facts.route is not None and any(
        facts.highest_weight_running(name) for name in facts.route.weights if name != facts.stable
    )


def waits_for_waking(facts: Facts, candidate: str | None, *, is_stable_down: bool) -> bool:
    """Return whether a candidate is not started yet, because what serves has to wake first.

    Where there is one place, whoever is first gets it, and requests are held for who serves. A
    Swap shares places only with a replica that answers.
    """
    if candidate is None or candidate in facts.workloads or is_stable_down:
        return False
    rollout, stable = facts.spec.rollout, facts.stable
    if stable is None or not is_held(facts) or rollout.recreates:
        return False
    is_swap = rollout.capacity is Capacity.SWAP
    return not (facts.ready(stable) if is_swap else count_placed(facts, stable))


def replica_floors(facts: Facts, roles: Roles) -> dict[str, int]:
    """Return the replicas below which the rollout needs no engine's opinion.

    Where two revisions share their places no engine has one.
    """
    if roles.capacity is not None:
        return {}
    least = facts.spec.scaling.least_awake
    found = {}
    if roles.stable is not None:
        found[roles.stable] = full_capacity(facts) if has_rival(facts) else least
    if roles.candidate is not None:
        found[roles.candidate] = start_needs(facts, roles.candidate, roles.next_weight)
    if facts.spec.scaling.engine is ScalingEngine.KEDA:
        return {name: hold_until_measured(facts, name, floor) for name, floor in found.items()}
    return found


def share_needs(facts: Facts, revision: str, weight: int) -> int:
    """Return the replicas that a share of the traffic needs of a revision.

    By stable's measure before it has any, and by its own as well once it has: a slower model has
    more in flight of the same requests.
    """
    need = replicas_for_share(weight, full_capacity(facts))
    written = facts.written_weight(revision)
    sizing = facts.sizing
    if sizing is not None and facts.is_acknowledged and written >= TELLING_WEIGHT:
        own = sizing.loads.get(revision, 0.0) * max(weight, written) / written
        need = max(need, min(sizing.replicas_for(own), facts.spec.scaling.most))
    return need


def start_needs(
    facts: Facts, revision: str, weight: int, capacity: CapacityStatus | None = None
) -> int:
    """Return the replicas that a candidate has before it gets a share.

    Where an engine follows the load, or it shares its places, those that the share needs; else all.
    """
    if capacity is not None:
        return candidate_needs(capacity, weight)
    scaling = facts.spec.scaling
    if scaling.is_builtin or scaling.is_autoscaled:
        return max(scaling.least_awake, share_needs(facts, revision, weight))
    return full_capacity(facts)


def desired_replicas(facts: Facts, roles: Roles, now: datetime) -> dict[str, int]:
    """Return the replicas of every revision that has or needs pods.

    What is neither stable nor candidate keeps what it has until it is drained.
    """
    if roles.capacity is not None:
        live = swap_replicas(facts, roles, roles.capacity)
    else:
        live = _live_replicas(facts, roles)
    if waits_for_waking(facts, roles.candidate, is_stable_down=roles.is_stable_down):
        live.pop(roles.candidate or "", None)
    left: dict[str, int] = {}
    for name, workload in facts.workloads.items():
        if name not in live:
            is_over = is_drained(facts, name, now) and not may_raise_again(facts, name, now)
            left[name] = 0 if is_over else workload.replicas
    return live | left


def _live_replicas(facts: Facts, roles: Roles) -> dict[str, int]:
    least = replica_floors(facts, roles)
    return {name: _replicas_of(facts, name, roles, least[name]) for name in least}


def _replicas_of(facts: Facts, name: str, roles: Roles, floor: int) -> int:
    scaling = facts.spec.scaling
    workload = facts.workloads.get(name)
    present = workload.replicas if workload is not None else 0
    if is_foreign(scaling):
        # somebody else writes the number, which may be 0 for who serves; ours is only the first one
        is_left = scaling.engine is ScalingEngine.NONE
        if is_left and name == roles.stable and workload is not None:
            return present
        is_new = is_left and _waits_for_traffic(facts, name, roles)
        is_ours = is_new or may_raise(facts, name, floor)
        return max(present, floor) if is_ours or not present else present
    if is_held_by_keda(facts, name) and present:
        return max(present, floor)
    if not scaling.is_builtin:
        return full_capacity(facts)
    if name in facts.autoscalers and present:
        return present
    if name == roles.candidate:
        return max(floor, min(present, scaling.most))
    measured = facts.sizing.replicas if facts.sizing is not None else present
    return max(floor, min(measured, scaling.most))


def _waits_for_traffic(facts: Facts, name: str, roles: Roles) -> bool:
    is_next = name == roles.candidate and roles.next_weight > 0
    return is_next and not facts.highest_weight_running(name)


def is_foreign(scaling: Scaling) -> bool:
    """Return whether somebody else writes the replicas of Deployments."""
    is_left = scaling.engine is ScalingEngine.NONE and scaling.replicas is None
    return is_left or scaling.is_autoscaled
