"""Waits that no verdict ends: for replicas, and for the proxies to take a weight.

What they wait for ends them, before the deadline or after it. At the deadline a wait that has
lasted for longer than such things take is what the user chose for a verdict that does not come.
That is nothing against the version: it is paused, or tried again later, and never rejected. Nor is
it promoted: what lacks the replicas or the route cannot get the traffic.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import OnInconclusive, Outcome, Stage
from slipway.api.times import from_wire, to_wire
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.rollout.rolling_back import withdraw
from slipway.policy.rollout.transition import is_late

CAPACITY = "AwaitingCapacity"
PROXIES = "AwaitingAcknowledgement"
ACKNOWLEDGED_WITHIN = timedelta(seconds=60)
"""A proxy that is silent for 30 s is replaced, and its successor starts."""


def waiting_since(d: Decision, now: datetime) -> str | None:
    """Return since when the rollout waits for replicas or proxies; None: it does not."""
    if d.reason not in {CAPACITY, PROXIES}:
        return None
    return d.memory.waits_since or to_wire(now)


def with_deadline(d: Decision, facts: Facts, now: datetime) -> Decision:
    """Return a decision that waits, or what becomes of it when it has waited for too long."""
    since = from_wire(d.memory.waits_since)
    if since is None or now - since < _usual(d, facts) or not is_late(d, facts, now):
        return d
    rollout = facts.spec.rollout
    cause = f"no advance within {rollout.deadline_seconds} s of active time: {d.message}"[:1024]
    goes = rollout.analysis.on_inconclusive is OnInconclusive.ROLL_BACK
    if goes and _serves_beside(d, facts, now):
        return withdraw(d, Outcome.FAILED_TO_START, cause, facts, now)
    return replace(d, stage=Stage.PAUSED, stalled="DeadlineExceeded", message=cause)


def _serves_beside(d: Decision, facts: Facts, now: datetime) -> bool:
    """Return whether the traffic has somewhere to go back to, and nobody asked for this version."""
    return d.stable is not None and not d.memory.unjudged and not facts.is_down(d.stable, now)


def _usual(d: Decision, facts: Facts) -> timedelta:
    """Return how long such a wait may well take."""
    if d.reason == PROXIES:
        return ACKNOWLEDGED_WITHIN
    return timedelta(seconds=facts.revisions[d.candidate or ""].snapshot.start_seconds)
