"""From a decision to the status that people and tools read; the same where nothing changed."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from slipway.api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions
from slipway.api.modeldeployment import (
    AnalysisStatus,
    Endpoints,
    ModelDeploymentStatus,
    Protocol,
    RevisionStatus,
    ScalingEngine,
    Stage,
)
from slipway.api.names import (
    CLIENT_GRPC_PORT,
    CLIENT_HTTP_PORT,
    COMPONENT_SERVER,
    common_labels,
)
from slipway.api.reasons import Reason, Why
from slipway.api.times import from_wire, to_wire
from slipway.policy.decision import Decision
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement
from slipway.policy.scaling.status import scaling_claim, scaling_of

Claim = Callable[[ConditionType, bool, str, str], Condition]
SLOWEST = timedelta(seconds=30)
"""Numbers alone are written at most this often."""
COLLECTING = frozenset({"Undecided", "TooFewRequests", "UnderSuspicion"})
"""Reasons of a metric that collects evidence."""
COUNTING = frozenset({Stage.PROGRESSING, Stage.BAKING, Stage.PAUSED})
"""Stages whose messages carry counts, which change at every look."""

COUNTED = frozenset(
    {ConditionType.RECONCILING, ConditionType.READY, ConditionType.ROUTE_PROGRAMMED}
)
"""Conditions whose messages do; of the proxies it is one after the other that acknowledges."""
PASSING = frozenset({"ClusterUnavailable", "WebhookUnavailable", "Forbidden"})
"""Reasons of trouble that ends without a change of this object: no tool may give it up."""
DECIDED = frozenset(
    {"RevisionRejected", "Held", "AnalysisFailed", "DeadlineExceeded", "InvalidSpec"}
)
"""Reasons that wait for a person, whatever else is in the way meanwhile."""


def desired_status(
    decision: Decision, facts: Facts, trouble: tuple[str, str] | None, now: datetime
) -> ModelDeploymentStatus:
    """Return the whole status after this pass.

    `trouble` is a reason and a message of a write that was refused: it stalls the object, unless it
    passes by itself.
    """
    old = facts.status
    paused_or_awaits = decision.stage is not decision.memory.stage
    analysis = _analysis(decision, facts, now)
    rollout = decision.memory.model_copy(
        update={
            "stage": decision.stage,
            "underlying": decision.memory.stage if paused_or_awaits else None,
            "analysis": analysis,
        }
    )
    conditions = merge_conditions(old.conditions, _conditions(decision, facts, trouble, now))
    return ModelDeploymentStatus(
        conditions=conditions,
        observed_generation=facts.metadata.generation,
        stable=_revision(decision.stable, decision, facts, old, now),
        candidate=_revision(decision.candidate, decision, facts, old, now),
        rollout=rollout,
        last_rollback=decision.last_rollback,
        hold=decision.hold,
        rejected=list(decision.rejected),
        history=list(decision.history),
        last_action=decision.last_action,
        refused_action=decision.refused_action,
        endpoints=_endpoints(decision, facts),
    )


def is_due(old: ModelDeploymentStatus, new: ModelDeploymentStatus, now: datetime) -> bool:
    """Return whether the new status must be written now.

    What people decide on is written at once, and so is the first look at a step, because what
    counts is counted from there; later counts and the test's memory wait their turn.
    """
    if old == new:
        return False
    if _without_numbers(old) != _without_numbers(new):
        return True
    newest, looked = _last_check(old), _last_check(new)
    began = from_wire(new.rollout.step_started_at) if new.rollout else None
    if newest is None or now - newest >= SLOWEST:
        return True
    return began is not None and looked is not None and newest < began <= looked


def _last_check(status: ModelDeploymentStatus) -> datetime | None:
    checks = [
        from_wire(entry.last_check) for entry in (status.rollout.analysis if status.rollout else [])
    ]
    return max((moment for moment in checks if moment is not None), default=None)


def _without_numbers(status: ModelDeploymentStatus) -> ModelDeploymentStatus:
    rollout = status.rollout
    counts = rollout is not None and rollout.stage in COUNTING
    conditions = [
        entry.model_copy(update={"message": ""}) if counts and entry.type in COUNTED else entry
        for entry in status.conditions
    ]
    if rollout is not None:
        analysis = [_told_at_once(entry) for entry in rollout.analysis]
        message = "" if counts else rollout.message
        rollout = rollout.model_copy(update={"analysis": analysis, "message": message})
    return status.model_copy(update={"conditions": conditions, "rollout": rollout})


def _told_at_once(entry: AnalysisStatus) -> AnalysisStatus:
    """Return what of a metric is written at once.

    Metrics pass one after the other, and what they lead to together is a weight, which is written
    at once: that one of several has enough requests by now can wait.
    """
    if entry.verdict == "Pass" or entry.reason in COLLECTING:
        return AnalysisStatus(name=entry.name, verdict="Pass")
    return AnalysisStatus(name=entry.name, verdict=entry.verdict, reason=entry.reason)


def _analysis(decision: Decision, facts: Facts, now: datetime) -> list[AnalysisStatus]:
    entries = {entry.name: entry for entry in decision.memory.analysis}
    entries |= {item.name: _judged(item, now) for item in facts.judgements}
    return list(entries.values())


def _judged(item: Judgement, now: datetime) -> AnalysisStatus:
    return AnalysisStatus(
        name=item.name,
        verdict=item.verdict,
        reason=item.reason,
        message=item.message[:1024],
        candidate=item.candidate,
        baseline=item.baseline,
        limit=item.limit,
        samples=item.samples,
        baseline_samples=item.baseline_samples,
        last_check=to_wire(now),
        state=item.state,
        role=item.role.value,
        since=item.since,
        looks=list(item.looks),
    )


def _revision(
    name: str | None,
    decision: Decision,
    facts: Facts,
    before: ModelDeploymentStatus,
    now: datetime,
) -> RevisionStatus | None:
    known = facts.revisions.get(name or "")
    if known is None:
        return None
    told = [entry for entry in (before.stable, before.candidate) if entry is not None]
    was = next((entry for entry in told if entry.revision == known.name), None)
    old = before.candidate if name == decision.candidate else before.stable
    same = old is not None and old.revision == known.name
    acknowledged = facts.written_weight(known.name) if facts.is_acknowledged else None
    weight = acknowledged if acknowledged is not None else (old.weight if old and same else 0)
    return RevisionStatus(
        revision=known.name,
        version=known.snapshot.version,
        digest=known.snapshot.model_digest,
        image=known.snapshot.image,
        weight=weight,
        ready_replicas=facts.ready(known.name),
        scaling=scaling_of(known.name, decision, facts, was, now),
        selector=_selector(facts),
        since=old.since if old and same else to_wire(now),
    )


def _selector(facts: Facts) -> str | None:
    """Return what the scale subresource needs, where somebody else scales.

    It covers every live revision: in a rollout, stable's pods alone would look idle to whoever
    scales by their mean, and the number is that of each.
    """
    if facts.spec.scaling.engine is not ScalingEngine.NONE:
        return None
    labels = common_labels(facts.metadata.name, COMPONENT_SERVER)
    return ",".join(f"{label}={value}" for label, value in sorted(labels.items()))


def _endpoints(decision: Decision, facts: Facts) -> Endpoints:
    meta = facts.metadata
    host = f"{meta.name}.{meta.namespace}.svc"
    server = facts.spec.server
    protocols = (server.protocols if server else None) or list(Protocol)
    header = facts.spec.traffic.candidate_header
    return Endpoints(
        http=f"http://{host}:{CLIENT_HTTP_PORT}/v2/models/{facts.md.model_name}",
        grpc=f"{host}:{CLIENT_GRPC_PORT}" if Protocol.GRPC in protocols else None,
        candidate=f"header {header.name}: {header.value}"
        if header and decision.header_revision
        else None,
    )


def _conditions(
    decision: Decision, facts: Facts, trouble: tuple[str, str] | None, now: datetime
) -> Iterator[Condition]:
    def claim(kind: ConditionType, holds: bool, reason: str, message: str) -> Condition:
        return Condition(
            type=kind,
            status=ConditionStatus.TRUE if holds else ConditionStatus.FALSE,
            reason=reason,
            message=message,
            observed_generation=facts.metadata.generation,
            last_transition_time=to_wire(now),
        )

    reason, message = trouble or (decision.reason or "Reconciling", decision.message)
    done = decision.stage is Stage.IDLE and decision.reason == "Promoted" and trouble is None
    serving = next((name for name, weight in decision.weights.items() if weight), None)
    ready = facts.ready(serving)
    yield claim(
        ConditionType.AVAILABLE,
        ready > 0,
        "Serving" if ready else "NothingServes",
        f"revision {serving} has {ready} ready replicas" if serving else "no revision serves yet",
    )
    yield claim(ConditionType.READY, done, reason, message)
    stall = _stall(decision, facts, trouble)
    if not done and stall is None:  # one of the three holds at any time: kstatus goes by them
        yield claim(ConditionType.RECONCILING, True, reason, message)
    if stall is not None:
        yield claim(ConditionType.STALLED, True, *stall)
    yield _artifact(decision, facts, claim)
    yield claim(ConditionType.ROUTE_PROGRAMMED, *_programmed(decision, facts))
    yield _capacity(decision, facts, claim)
    scaling = scaling_claim(facts, (decision.stable, decision.candidate))
    if scaling is not None:
        yield claim(ConditionType.SCALING_ACTIVE, *scaling)


def _stall(
    decision: Decision, facts: Facts, trouble: tuple[str, str] | None
) -> tuple[str, str] | None:
    """Return why a person or a new commit is needed: a reason and a message.

    A pass that passing trouble ended before it could decide does not lift what waits for a person.
    """
    if decision.stalled is not None:
        return decision.stalled, decision.message
    if trouble is None or trouble[0] not in PASSING:
        return trouble
    was = facts.status
    if decision.reason or decision.last_action != was.last_action:
        return None  # this pass decided, or a person did
    generation = facts.metadata.generation
    for entry in was.conditions:
        is_it = entry.type == ConditionType.STALLED and entry.reason in DECIDED
        if is_it and entry.observed_generation == generation:
            return entry.reason, entry.message
    return None


def _programmed(decision: Decision, facts: Facts) -> tuple[bool, str, str]:
    """Weights that this pass has just written are not acknowledged, whatever was read before."""
    route = facts.route
    was = (dict(route.weights), route.candidate) if route is not None else ({}, None)
    is_new = was != (dict(decision.weights), decision.header_revision)
    if facts.is_acknowledged and not is_new:
        return True, "Acknowledged", "every proxy runs the newest weights"
    return False, "AwaitingProxies", f"not yet: {facts.awaited_anew if is_new else facts.awaited}"


def _artifact(decision: Decision, facts: Facts, claim: Claim) -> Condition:
    wanted = facts.wanted
    if wanted is not None:
        text = f"version {wanted.snapshot.version} is {wanted.snapshot.model_digest}"
        return claim(ConditionType.ARTIFACT_READY, True, "Packaged", text)
    failed = decision.memory.stage is Stage.FAILED
    # a pass that could not decide has no reason of its own
    reason = (decision.reason if failed else "") or "Packaging"
    return claim(ConditionType.ARTIFACT_READY, False, reason, decision.message)


def _capacity(decision: Decision, facts: Facts, claim: Claim) -> Condition:
    least = facts.spec.scaling.min_replicas
    wanted = {
        name: decision.replicas.get(name, least)
        for name in (decision.stable, decision.candidate)
        if name is not None
    }
    short = [
        f"{name}: {facts.ready(name)} of {number} ready"
        for name, number in wanted.items()
        if facts.ready(name) < number
    ]
    numbers = " and ".join(str(number) for number in wanted.values())
    full = f"all replicas of every live revision are ready: {numbers}" if numbers else ""
    return claim(
        ConditionType.CAPACITY_READY,
        not short,
        "ReplicasReady" if not short else "AwaitingReplicas",
        "; ".join(short) or full or "no revision is to run yet",
    )


def invalid_status(problem: str, generation: int, now: datetime) -> ModelDeploymentStatus:
    """Return the status of an object that its own schema rejects: Stalled, and nothing else."""
    why = Why(Reason.INVALID_SPEC, problem)
    stalled = Condition(
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason=why.reason,
        message=why.message,
        observed_generation=generation,
        last_transition_time=to_wire(now),
    )
    return ModelDeploymentStatus(conditions=[stalled], observed_generation=generation)
