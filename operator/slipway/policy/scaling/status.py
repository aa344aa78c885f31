"""The status of scaling: how many replicas and why; unchanged until the decision changes."""

from datetime import datetime

from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import (
    RevisionStatus,
    Scaling,
    ScalingEngine,
    ScalingStatus,
    ScalingTarget,
)
from slipway.api.reasons import Reason
from slipway.api.times import to_wire
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.scaling.sleep import describe_sleep, runs_nothing
from slipway.policy.sizing import BoundBy, Sizing

MESSAGES = {
    "concurrency": "{value:g} requests in flight, {target:g} per replica",
    "queue": "queue time {value:g} ms, target {target:g} ms",
}
"""By signal of the builtin engine."""
HELD = {
    BoundBy.STABILIZATION: "held until the load has been low for the whole window",
    BoundBy.SIGNALS_MISSING: "held because signals are missing",
    BoundBy.NOT_READY: "held because replicas do not answer",
    BoundBy.ROLLOUT: "held for the rollout",
    BoundBy.MAX_REPLICAS: "more would need a higher maxReplicas",
}
"""Why the number is not that of the load; minReplicas explains itself."""
NO_ROOM = (
    "spec.scaling.maxReplicas is not set, so it equals minReplicas and nothing scales; set it, or "
    "leave out engine and target"
)
LIMITED = {"TooFewReplicas": BoundBy.MIN_REPLICAS, "TooManyReplicas": BoundBy.MAX_REPLICAS}
"""By reason of an autoscaler's condition ScalingLimited."""


def scaling_of(
    name: str, decision: Decision, facts: Facts, old: RevisionStatus | None, now: datetime
) -> ScalingStatus | None:
    """Return the scaling of one live revision; None: no engine scales it.

    Numbers are those of the moment when the replicas were decided, so that a load that goes up and
    down within what they carry writes nothing.
    """
    known = old.scaling if old is not None and old.revision == name else None
    new: ScalingStatus | None
    if runs_nothing(decision, facts) and name == decision.stable:
        new = ScalingStatus(desired=0, message=describe_sleep(facts.spec.scaling))
    elif facts.spec.scaling.is_autoscaled:
        new = _scaling_by_autoscaler(name, decision, facts)
    elif facts.sizing is not None:
        new = _scaling_by_load(name, facts.sizing, decision)
    else:
        return known if facts.spec.scaling.is_builtin else None
    if new is None:
        return None

    ready = facts.ready(name)
    if known is not None and _says_nothing_new(known, new):
        return _stamp_scaling(known, known.at, ready)
    return _stamp_scaling(new, to_wire(now), ready)


def _stamp_scaling(scaling: ScalingStatus, at: str | None, ready: int) -> ScalingStatus:
    """Return the scaling with the moment that it was decided at, and the replicas ready now."""
    return ScalingStatus(
        desired=scaling.desired,
        current=ready,
        signal=scaling.signal,
        value=scaling.value,
        target=scaling.target,
        bound_by=scaling.bound_by,
        message=scaling.message,
        at=at,
    )


def _says_nothing_new(old: ScalingStatus, new: ScalingStatus) -> bool:
    if old.desired != new.desired:
        return False
    if not new.signal:
        return new.bound_by == old.bound_by or new.bound_by is None
    if (old.signal in MESSAGES) != (new.signal in MESSAGES):
        return False  # another engine decides
    if old.signal == new.signal and old.target != new.target:
        return False
    return bool(old.signal) and {old.bound_by} & HELD.keys() == {new.bound_by} & HELD.keys()


def _scaling_by_load(name: str, sizing: Sizing, decision: Decision) -> ScalingStatus:
    desired = decision.replicas.get(name, 0)
    bound_by = sizing.bound_by
    if bound_by is BoundBy.SIGNALS_MISSING and not sizing.missing:
        bound_by = None  # not for long enough to be reported
    if desired > sizing.replicas or name == decision.candidate:
        bound_by = BoundBy.ROLLOUT

    message = "load not known yet"
    if sizing.signal:
        message = MESSAGES[sizing.signal].format(value=sizing.value, target=sizing.target)
    return ScalingStatus(
        desired=desired,
        signal=sizing.signal,
        value=sizing.value,
        target=sizing.target,
        bound_by=bound_by,
        message=f"{message}{_held_because(bound_by)}",
    )


def _held_because(bound_by: BoundBy | None) -> str:
    return f"; {HELD[bound_by]}" if bound_by in HELD else ""


def _scaling_by_autoscaler(name: str, decision: Decision, facts: Facts) -> ScalingStatus | None:
    found, scaling = facts.autoscalers.get(name), facts.spec.scaling
    if found is None:
        return None

    # The rollout raises the autoscaler's minimum: then it is not the user's minReplicas.
    bound_by = LIMITED.get(found.limited or "")
    is_raised = decision.floors.get(name, 0) > scaling.min_replicas
    if bound_by is BoundBy.MIN_REPLICAS and is_raised:
        bound_by = BoundBy.ROLLOUT

    workload = facts.workloads.get(name)
    return ScalingStatus(
        desired=found.desired or (workload.replicas if workload is not None else 0),
        signal=scaling.target.measured.value.lower() if found.value is not None else "",
        value=found.value,
        target=scaling.target.utilization if not found.is_kedas else None,
        bound_by=bound_by,
        message=f"decided by {found.kind} {found.meta.name}{_held_because(bound_by)}",
    )


def scaling_claim(decision: Decision, facts: Facts) -> tuple[bool, str, str] | None:
    """Return whether replicas follow the load, with reason and message; None: nothing to say.

    The reason may be one that the HorizontalPodAutoscaler gave, which is not in `Reason`.
    """
    if lacks_room(facts.spec.scaling):
        return False, Reason.NO_MAX_REPLICAS, NO_ROOM
    if facts.keda_problem is not None:
        return False, facts.keda_problem.reason, facts.keda_problem.message
    if runs_nothing(decision, facts):
        return True, Reason.ASLEEP, describe_sleep(facts.spec.scaling)
    if facts.sizing is not None:
        return _builtin_claim(facts, facts.sizing)

    revisions = (decision.stable, decision.candidate)
    found = [item for name in revisions if (item := facts.autoscalers.get(name or "")) is not None]
    problem = next((item.problem for item in found if item.problem is not None), None)
    if problem is not None:
        reason, message = problem
        return False, reason, message
    if any(item.is_kedas for item in found):
        return True, Reason.MEASURED, "KEDA follows the triggers"
    if facts.autoscalers:
        return True, Reason.MEASURED, "a HorizontalPodAutoscaler follows the pods' metrics"
    return None


def _builtin_claim(facts: Facts, sizing: Sizing) -> tuple[bool, str, str]:
    missing = f"replicas are kept, and only added: {sizing.missing}" if sizing.missing else None
    if missing is None and sizing.bound_by is BoundBy.SIGNALS_MISSING:
        # Too short to begin with it, and no reason to take it back.
        missing = _missing_as_reported(facts)
    if missing is not None:
        return False, Reason.SIGNALS_MISSING, missing
    return True, Reason.MEASURED, "replicas follow the measured load"


def _missing_as_reported(facts: Facts) -> str | None:
    """Return what an earlier pass, perhaps of another process, said of missing signals."""
    for entry in facts.status.conditions:
        is_scaling = entry.type == ConditionType.SCALING_ACTIVE
        if is_scaling and entry.reason == Reason.SIGNALS_MISSING:
            return entry.message
    return None


def lacks_room(scaling: Scaling) -> bool:
    """Return whether scaling is asked for without a bound to scale up to."""
    asks = scaling.is_autoscaled or scaling.engine is ScalingEngine.BUILTIN
    asks = asks or (scaling.engine is ScalingEngine.AUTO and scaling.target != ScalingTarget())
    return asks and scaling.max_replicas is None and not scaling.may_sleep
