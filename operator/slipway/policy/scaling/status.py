"""What status says of scaling: how many, and why; the same until something was decided anew."""

from datetime import datetime

from slipway.api.conditions import ConditionType
from slipway.api.modeldeployment import (
    RevisionStatus,
    Scaling,
    ScalingEngine,
    ScalingStatus,
    ScalingTarget,
)
from slipway.api.times import to_wire
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.sizing import Sizing

UNITS = {
    "concurrency": "{value:g} requests in flight, {target:g} per replica",
    "queue": "requests wait {value:g} ms in the queue, {target:g} ms are wanted",
}
NO_ROOM = (
    "spec.scaling.maxReplicas is not set: it is minReplicas then, and nothing scales; set it, or "
    "leave out engine and target"
)
LIMITED = {"TooFewReplicas": "minReplicas", "TooManyReplicas": "maxReplicas"}


def scaling_of(
    name: str, decision: Decision, facts: Facts, old: RevisionStatus | None, now: datetime
) -> ScalingStatus | None:
    """Return what is said of one live revision; None: no engine scales it.

    Numbers are those of the moment when the replicas were decided, so that a load that goes up and
    down within what they carry writes nothing.
    """
    known = old.scaling if old is not None and old.revision == name else None
    if facts.spec.scaling.engine is ScalingEngine.HPA:
        new = _by_autoscaler(name, decision, facts)
    elif facts.sizing is not None:
        new = _by_load(name, facts.sizing, decision)
    else:
        return known if facts.spec.scaling.is_builtin else None
    if new is None:
        return None
    if known is not None and _says_the_same(known, new):
        new = known
    else:
        new = new.model_copy(update={"at": to_wire(now)})
    return new.model_copy(update={"current": facts.ready(name)})


def _says_the_same(old: ScalingStatus, new: ScalingStatus) -> bool:
    if old.desired != new.desired:
        return False
    if not new.signal:
        return new.bound_by == old.bound_by or new.bound_by is None
    if (old.signal in UNITS) != (new.signal in UNITS):
        return False  # another engine decides
    if old.signal == new.signal and old.target != new.target:
        return False
    told = {"maxReplicas", "SignalsMissing", "rollout", "stabilization", "NotReady"}
    return bool(old.signal) and {old.bound_by} & told == {new.bound_by} & told


def _by_load(name: str, sizing: Sizing, decision: Decision) -> ScalingStatus:
    desired = decision.replicas.get(name, 0)
    bound_by = sizing.bound_by if sizing.bound_by != "SignalsMissing" or sizing.missing else None
    if desired > sizing.replicas or name == decision.candidate:
        bound_by = "rollout"
    message = "the load is not known yet"
    if sizing.signal:
        message = UNITS[sizing.signal].format(value=sizing.value, target=sizing.target)
    return ScalingStatus(
        desired=desired,
        signal=sizing.signal,
        value=sizing.value,
        target=sizing.target,
        bound_by=bound_by,
        message=f"{message}{_held(bound_by)}",
    )


def _held(bound_by: str | None) -> str:
    words = {
        "stabilization": "held until the load was low for the whole window",
        "SignalsMissing": "held because signals are missing",
        "NotReady": "held because replicas do not answer",
        "rollout": "held for the rollout",
        "maxReplicas": "more would need a higher maxReplicas",
    }
    return f"; {words[bound_by]}" if bound_by in words else ""


def _by_autoscaler(name: str, decision: Decision, facts: Facts) -> ScalingStatus | None:
    found, scaling = facts.autoscalers.get(name), facts.spec.scaling
    if found is None:
        return None
    limit = LIMITED.get(found.limited or "")
    if limit == "minReplicas" and decision.floors.get(name, 0) > scaling.min_replicas:
        limit = "rollout"
    workload = facts.workloads.get(name)
    return ScalingStatus(
        desired=found.desired or (workload.replicas if workload is not None else 0),
        signal=scaling.target.measured.value.lower() if found.value is not None else "",
        value=found.value,
        target=scaling.target.utilization,
        bound_by=limit,
        message=f"decided by HorizontalPodAutoscaler {found.meta.name}{_held(limit)}",
    )


def scaling_claim(facts: Facts, revisions: tuple[str | None, ...]) -> tuple[bool, str, str] | None:
    """Return whether replicas follow the load, with reason and message; None: nothing to say."""
    if lacks_room(facts.spec.scaling):
        return False, "NoMaxReplicas", NO_ROOM
    sizing = facts.sizing
    if sizing is not None:
        if sizing.missing:
            message = f"replicas are held, and only added: {sizing.missing}"
            return False, "SignalsMissing", message
        if sizing.bound_by == "SignalsMissing" and (said := _said_before(facts)) is not None:
            return False, "SignalsMissing", said
        return True, "Measured", "replicas follow the measured load"
    problems = [
        found.problem
        for name in revisions
        if (found := facts.autoscalers.get(name or "")) is not None and found.problem
    ]
    if problems:
        return False, *problems[0]
    if facts.autoscalers:
        return True, "Measured", "a HorizontalPodAutoscaler follows the pods' metrics"
    return None


def lacks_room(scaling: Scaling) -> bool:
    """Return whether somebody asked for scaling, and forgot to say how far."""
    asks = scaling.engine in {ScalingEngine.BUILTIN, ScalingEngine.HPA}
    asks = asks or (scaling.engine is ScalingEngine.AUTO and scaling.target != ScalingTarget())
    return asks and scaling.max_replicas is None


def _said_before(facts: Facts) -> str | None:
    """Return what was said of missing signals by a pass before this one, or this process."""
    for entry in facts.status.conditions:
        if entry.type == ConditionType.SCALING_ACTIVE and entry.reason == "SignalsMissing":
            return entry.message
    return None
