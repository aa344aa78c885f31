"""The conditions of a ModelDeployment: what each claims, and why.

`Ready`, `Reconciling` and `Stalled` follow kstatus: of the three, one holds at any time, and Helm,
Flux and Argo CD go by them (decision 0015).
"""

from collections.abc import Iterator
from datetime import datetime

from slipway.api.conditions import Condition, ConditionStatus, ConditionType
from slipway.api.modeldeployment import Capacity, CapacityStatus, Stage
from slipway.api.reasons import Reason, Why
from slipway.api.times import to_wire
from slipway.policy.credentials import claim_access, claim_tls
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.gateway_claim import claim_gateway
from slipway.policy.proxies import name_all_proxies, name_late_proxies
from slipway.policy.room import find_shortage
from slipway.policy.scaling.sleep import describe_sleep, runs_nothing
from slipway.policy.scaling.status import scaling_claim


def claim_conditions(
    decision: Decision, facts: Facts, trouble: Why | None, now: datetime
) -> Iterator[Condition]:
    """Yield every condition after this pass; `trouble` is why a write failed."""
    at = to_wire(now)

    def claim(kind: ConditionType, holds: bool, reason: str, message: str) -> Condition:
        return Condition(
            type=kind,
            status=ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
            reason=reason,
            message=message,
            observed_generation=facts.metadata.generation,
            last_transition_time=at,
        )

    def claim_why(kind: ConditionType, holds: bool, why: Why) -> Condition:
        return claim(kind, holds, why.reason, why.message)

    why = trouble or decision.why or Why(Reason.RECONCILING, "")
    is_promoted = decision.stage is Stage.IDLE and decision.reason == Reason.PROMOTED
    is_done = is_promoted and trouble is None
    stall = _find_stall(decision, facts, trouble)

    yield claim_why(ConditionType.AVAILABLE, *_is_available(decision, facts))
    is_asleep = is_done and runs_nothing(decision, facts)
    yield claim_why(ConditionType.READY, is_done, _why_asleep(facts) if is_asleep else why)
    if not is_done and stall is None:  # one of the three holds at any time
        yield claim_why(ConditionType.RECONCILING, True, why)
    if stall is not None:
        yield claim_why(ConditionType.STALLED, True, stall)

    yield claim_why(ConditionType.ARTIFACT_READY, *_is_artifact_ready(decision, facts))
    yield claim_why(ConditionType.ROUTE_PROGRAMMED, *_is_route_programmed(decision, facts))
    yield claim_why(ConditionType.CAPACITY_READY, *_is_capacity_ready(decision, facts))
    tls = claim_tls(facts)
    if tls is not None:
        yield claim_why(ConditionType.TLS_READY, *tls)
    access = claim_access(facts)
    if access is not None:
        yield claim_why(ConditionType.ACCESS_READY, *access)
    gateway = claim_gateway(facts)
    if gateway is not None:
        yield claim_why(ConditionType.GATEWAY_READY, *gateway)
    scaling = scaling_claim(decision, facts)
    if scaling is not None:
        yield claim(ConditionType.SCALING_ACTIVE, *scaling)


def _is_available(decision: Decision, facts: Facts) -> tuple[bool, Why]:
    serving = next((name for name, weight in decision.weights.items() if weight), None)
    ready = facts.ready(serving)
    recreate = decision.memory.recreate
    if serving is None and recreate is not None and recreate.gap_started_at is not None:
        message = f"strategy Recreate: no request has been answered since {recreate.gap_started_at}"
        return False, Why(Reason.RECREATING, message)
    if serving is None:
        return False, Why(Reason.NOTHING_SERVES, "no revision serves yet")
    if decision.asleep and not ready:
        return True, _why_asleep(facts) if runs_nothing(decision, facts) else _WHY_WAKING
    message = f"revision {serving} has {ready} ready replica{'' if ready == 1 else 's'}"
    return ready > 0, Why(Reason.SERVING if ready else Reason.NOTHING_SERVES, message)


_WHY_WAKING = Why(Reason.WAKING, "waiting for the first replica; requests are held")


def _why_asleep(facts: Facts) -> Why:
    return Why(Reason.ASLEEP, describe_sleep(facts.spec.scaling))


def _find_stall(decision: Decision, facts: Facts, trouble: Why | None) -> Why | None:
    """Return why a person or a new commit is needed.

    A pass that passing trouble ended before it could decide does not lift what waits for a person.
    """
    if decision.stalled is not None:
        return Why(decision.stalled, decision.message)
    if trouble is None or not trouble.reason.is_passing:
        return trouble

    status = facts.status
    if decision.why is not None or decision.last_action != status.last_action:
        return None  # this pass decided, or a person did
    for entry in status.conditions:
        reason = Reason.parse(entry.reason, Reason.RECONCILING)
        is_stall = entry.type == ConditionType.STALLED and reason.needs_person
        if is_stall and entry.observed_generation == facts.metadata.generation:
            return Why(reason, entry.message)
    return None


def _is_route_programmed(decision: Decision, facts: Facts) -> tuple[bool, Why]:
    """Weights that this pass has just written are not acknowledged, whatever was read before."""
    route = facts.route
    before = (
        (dict(route.weights), route.candidate, route.shadow, route.asleep)
        if route is not None
        else ({}, None, None, False)
    )
    shadow = decision.shadow.revision if decision.shadow is not None else None
    new = (dict(decision.weights), decision.header_revision, shadow, decision.asleep)
    is_new = before != new
    if facts.is_acknowledged and not is_new:
        return True, Why(Reason.ACKNOWLEDGED, "every proxy runs the newest weights")
    proxies = name_all_proxies(facts) if is_new else name_late_proxies(facts)
    return False, Why(Reason.AWAITING_PROXIES, f"waiting for {proxies}")


def _is_artifact_ready(decision: Decision, facts: Facts) -> tuple[bool, Why]:
    wanted = facts.wanted
    if wanted is not None:
        snapshot = wanted.snapshot
        message = f"version {snapshot.version} resolved to {snapshot.model_digest}"
        return True, Why(Reason.PACKAGED, message)
    # A pass that could not decide has no reason of its own.
    has_failed = decision.memory.stage is Stage.FAILED and decision.why is not None
    reason = decision.why.reason if has_failed and decision.why else Reason.PACKAGING
    return False, Why(reason, decision.message)


def _is_capacity_ready(decision: Decision, facts: Facts) -> tuple[bool, Why]:
    least = facts.spec.scaling.least_awake
    live = [name for name in (decision.stable, decision.candidate) if name is not None]
    wanted = {name: decision.replicas.get(name, least) for name in live}
    if not wanted:
        return True, Why(Reason.REPLICAS_READY, "no revision should run yet")

    shared = decision.memory.capacity
    short = [
        f"{name}: {facts.ready(name)} of {number} ready"
        for name, number in wanted.items()
        if facts.ready(name) < number
    ]
    if shared is not None and shared.gap_started_at is not None:
        short.insert(0, f"nothing answers since {shared.gap_started_at}")
    if short:
        lacks = (find_shortage(facts, name) for name in live)
        shortage = "".join(f"; {text}" for text in lacks if text is not None)
        is_surge = facts.spec.rollout.capacity is Capacity.SURGE and decision.stable is not None
        if shortage and is_surge and decision.candidate is not None:
            shortage += "; rollout.capacity Auto or Swap needs no room beside stable's"
        swap = _describe_swap(shared, is_said=bool(shortage))
        return False, Why(Reason.AWAITING_REPLICAS, "; ".join(short) + shortage + swap)
    numbers = " and ".join(str(number) for number in wanted.values())
    message = f"all replicas of every live revision are ready: {numbers}{_describe_swap(shared)}"
    return True, Why(Reason.REPLICAS_READY, message)


def _describe_swap(shared: CapacityStatus | None, *, is_said: bool = False) -> str:
    """Return why places are shared, where the scheduler or a quota said so, and what stays.

    `is_said`: that there is no room is said already, of the replicas that wait now.
    """
    if shared is None:
        return ""
    cause = f"; swapping, because {shared.missing}" if shared.missing and not is_said else ""
    return f"{cause}; at least {shared.floor} of {shared.places} stay ready"
