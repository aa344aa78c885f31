"""How many replicas a share of the traffic needs, and when replicas may go."""

import math
from datetime import datetime, timedelta

from slipway.policy.facts import Facts


def needed(weight: int, replicas: int) -> int:
    """Return the ready replicas that `weight` percent need, where `replicas` carry all of it."""
    return math.ceil(replicas * weight / 100)


def is_drained(facts: Facts, revision: str, now: datetime) -> bool:
    """Return whether no request of a client is with the revision any more.

    Weight 0 must be acknowledged by every proxy. Then either all of them say that nothing is in
    flight, or the drain time has passed since the last one acknowledged.
    """
    if facts.route is None or revision not in facts.route.weights:
        return True
    since = facts.acknowledged_at
    if since is None or facts.highest_running(revision) > 0:
        return False
    if now - since >= drain_time(facts, revision):
        return True
    traffic = facts.traffic
    return traffic is not None and not traffic.silent and not traffic.in_flight.get(revision)


def drain_time(facts: Facts, revision: str) -> timedelta:
    """Return how long a revision's running requests may take."""
    known = facts.revisions.get(revision)
    return timedelta(seconds=known.snapshot.drain_seconds if known else 30)


def desired_replicas(
    facts: Facts, stable: str | None, candidate: str | None, now: datetime
) -> dict[str, int]:
    """Return the replicas of every revision that has or needs pods.

    Stable and candidate have the full number; what is neither keeps what it has until it is
    drained.
    """
    full = facts.object.spec.scaling.min_replicas
    desired = {name: full for name in (stable, candidate) if name is not None}
    for name, workload in facts.workloads.items():
        if name not in desired:
            desired[name] = 0 if is_drained(facts, name, now) else workload.replicas
    return desired
