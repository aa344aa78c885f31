"""When a model falls asleep, and what wakes it: pure, from what the routers say.

The order is that of every step that takes replicas away: first every router holds the requests
that find no replica, then the last replica goes. Back, the first replica is ready before the
routers hold no more. All of it is read from the cluster: an operator that restarts in between goes
on, or, where it does not know since when nobody asked, keeps the model awake and counts anew.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Scaling, ScalingEngine
from slipway.api.modeldeployment.scaling import DEFAULT_HOLD_SECONDS, DEFAULT_IDLE_SECONDS
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts, WorkloadFact

COUNTED_AFTER = timedelta(seconds=2)
"""A reading that was begun so long after the last router held requests has seen all that came
before: counters are shared for most of a second."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """What sleep asks of the route and of the replicas."""

    asleep: bool
    """Requests that find no replica are held."""
    removes: bool = False
    """No replica runs."""


AWAKE = Sleep(asleep=False)
WAKING = Sleep(asleep=True)
FALLING_ASLEEP = Sleep(asleep=True)
ASLEEP = Sleep(asleep=True, removes=True)


def decide_sleep(facts: Facts, stable: str | None, now: datetime, *, is_needed: bool) -> Sleep:
    """Return whether what serves sleeps; `is_needed`: a rollout needs it awake."""
    workload, route = facts.workloads.get(stable or ""), facts.route
    if workload is None or route is None:
        return AWAKE

    scaling = facts.spec.scaling
    may_sleep = scaling.may_sleep and not is_needed and not is_asked(facts)
    if workload.replicas == 0:
        if _is_left_to_the_user(scaling) or not route.asleep:
            return AWAKE
        return ASLEEP if may_sleep else WAKING
    if not workload.ready or not workload.settled:
        return WAKING if route.asleep else AWAKE  # what was ready before it slept says nothing

    if not may_sleep or not _is_idle(facts, now):
        return AWAKE
    return ASLEEP if is_held_everywhere(facts) and _is_counted_since(facts) else FALLING_ASLEEP


def is_asleep(facts: Facts) -> bool:
    """Return whether nothing runs of what serves, and the routers hold requests."""
    workload = _stable_workload(facts)
    return is_held(facts) and workload is not None and workload.replicas == 0


def is_waking(facts: Facts) -> bool:
    """Return whether what serves was asleep, and has no ready replica yet."""
    workload = _stable_workload(facts)
    is_started = workload is not None and workload.replicas > 0 and not workload.ready
    return is_held(facts) and is_started


def is_held_everywhere(facts: Facts) -> bool:
    """Return whether every router holds the requests that find no replica, and none has come."""
    if facts.route is None or not facts.route.asleep or not facts.is_acknowledged:
        return False
    alive = {pod.meta.uid for pod in facts.proxies}
    entries = [proxy for proxy in facts.route.proxies if proxy.uid in alive]
    return all(proxy.holds and not proxy.is_asked for proxy in entries)


def is_asked(facts: Facts) -> bool:
    """Return whether a request came to a router that holds them."""
    alive = {pod.meta.uid for pod in facts.proxies}
    proxies = facts.route.proxies if facts.route is not None else ()
    return any(proxy.is_asked for proxy in proxies if proxy.uid in alive)


def runs_nothing(decision: Decision, facts: Facts) -> bool:
    """Return whether what serves is asleep after this pass: no replica of it is to run."""
    workload = facts.workloads.get(decision.stable or "")
    present = workload.replicas if workload is not None else 1
    return decision.asleep and not decision.replicas.get(decision.stable or "", present)


def hold_seconds(scaling: Scaling) -> int:
    """Return for how long a request is held at most."""
    return scaling.hold_seconds or DEFAULT_HOLD_SECONDS


def describe_sleep(scaling: Scaling) -> str:
    """Return what is said of a model that is asleep."""
    return f"asleep: no request for {_in_words(_idle_time(scaling))}; the next request wakes it"


def _in_words(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    for unit, name in ((3600, "hour"), (60, "minute")):
        if seconds % unit == 0:
            number = seconds // unit
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds} seconds"


def _stable_workload(facts: Facts) -> WorkloadFact | None:
    return facts.workloads.get(facts.stable or "")


def is_held(facts: Facts) -> bool:
    """Return whether the routers are asked to hold requests that find no replica."""
    return facts.route is not None and facts.route.asleep


def _is_left_to_the_user(scaling: Scaling) -> bool:
    return scaling.engine is ScalingEngine.NONE and scaling.replicas is None


def _is_idle(facts: Facts, now: datetime) -> bool:
    since = facts.sizing.idle_since if facts.sizing is not None else None
    return since is not None and now - since >= _idle_time(facts.spec.scaling)


def _is_counted_since(facts: Facts) -> bool:
    """Return whether the routers were read after the last of them held requests."""
    read_at = facts.sizing.at if facts.sizing is not None else None
    held_at = facts.acknowledged_at
    return read_at is not None and held_at is not None and read_at - held_at >= COUNTED_AFTER


def _idle_time(scaling: Scaling) -> timedelta:
    return timedelta(seconds=scaling.idle_seconds or DEFAULT_IDLE_SECONDS)
