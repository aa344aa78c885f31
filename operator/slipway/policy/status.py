"""From a decision to the status that people and tools read; the same where nothing changed."""

from collections.abc import Iterable
from datetime import datetime

from slipway.api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions
from slipway.api.modeldeployment import (
    STATE_LENGTH,
    AnalysisStatus,
    Endpoints,
    ModelDeploymentStatus,
    Protocol,
    RevisionStatus,
    ScalingEngine,
)
from slipway.api.names import (
    CLIENT_GRPC_PORT,
    CLIENT_HTTP_PORT,
    COMPONENT_SERVER,
    common_labels,
    preview_name,
)
from slipway.api.reasons import Reason, Why, shortened
from slipway.api.times import to_wire
from slipway.policy.condition_claims import claim_conditions
from slipway.policy.decision import Decision
from slipway.policy.download import is_fetching
from slipway.policy.facts import Facts
from slipway.policy.gateway_claim import describe_gateway
from slipway.policy.judgement import UNJUDGED, Judgement, texts_of
from slipway.policy.ladder import list_steps
from slipway.policy.preview import find_previewed
from slipway.policy.rollout_memory import to_status
from slipway.policy.scaling.status import scaling_of


def desired_status(
    decision: Decision, facts: Facts, trouble: Why | None, now: datetime
) -> ModelDeploymentStatus:
    """Return the whole status after this pass, but for what this look's tests remember.

    Most looks are not stored, so `store_memories` encodes that where one is. `trouble` is why a
    write failed: it stalls the object, unless it passes by itself.
    """
    old = facts.status
    rollout = to_status(
        decision.memory,
        stage=decision.stage,
        steps=len(list_steps(facts.spec.rollout, decision.memory.schedule, _places_of(decision))),
        message=decision.message,
        analysis=_merge_analysis(decision, facts, now),
    )
    if is_fetching(decision.memory.stage):
        rollout = rollout.model_copy(update={"download": facts.download})
    claims = claim_conditions(decision, facts, trouble, now)
    return ModelDeploymentStatus(
        conditions=merge_conditions(old.conditions, claims),
        observed_generation=facts.metadata.generation,
        stable=_describe_revision(decision.stable, decision, facts, now),
        candidate=_describe_revision(decision.candidate, decision, facts, now),
        rollout=rollout,
        after_promotion=decision.after_promotion,
        last_rollback=decision.last_rollback,
        hold=decision.hold,
        source=decision.source,
        rejected=list(decision.rejected),
        history=list(decision.history),
        last_action=decision.last_action,
        refused_action=decision.refused_action,
        endpoints=_describe_endpoints(decision, facts),
        gateway=describe_gateway(facts),
    )


def _places_of(decision: Decision) -> int | None:
    capacity = decision.memory.capacity
    return capacity.places if capacity is not None else None


def store_memories(
    status: ModelDeploymentStatus, judgements: Iterable[Judgement]
) -> ModelDeploymentStatus:
    """Return the status with what the tests of this look remember, as it is written."""
    if status.rollout is None:
        return status

    texts = texts_of(judgements)
    fitting = {name: text for name, text in texts.items() if len(text) <= STATE_LENGTH}
    analysis = [
        entry.model_copy(update={"state": fitting[entry.name]}) if entry.name in fitting else entry
        for entry in status.rollout.analysis
    ]
    rollout = status.rollout.model_copy(update={"analysis": analysis})
    return status.model_copy(update={"rollout": rollout})


def invalid_condition(problem: str, generation: int, now: datetime) -> Condition:
    """Return what is said of an object that cannot be read: the rest of its status stays."""
    return Condition(
        type=ConditionType.STALLED,
        status=ConditionStatus.TRUE,
        reason=Reason.INVALID_SPEC,
        message=shortened(problem),
        observed_generation=generation,
        last_transition_time=to_wire(now),
    )


def _merge_analysis(decision: Decision, facts: Facts, now: datetime) -> list[AnalysisStatus]:
    """Return what this look found, and what earlier ones did of metrics that are not due now."""
    entries = {entry.name: entry for entry in decision.memory.analysis}
    if facts.judgements:
        entries.pop(UNJUDGED, None)  # it stood for metrics that can be judged again
    entries |= {item.name: _describe_judgement(item, now) for item in facts.judgements}
    return list(entries.values())


def _describe_judgement(item: Judgement, now: datetime) -> AnalysisStatus:
    return AnalysisStatus(
        name=item.name,
        verdict=item.verdict,
        reason=item.reason,
        message=shortened(item.message),
        candidate=item.candidate,
        baseline=item.baseline,
        limit=item.limit,
        samples=item.samples,
        baseline_samples=item.baseline_samples,
        last_check=to_wire(now),
        role=item.role.value,
        since=item.since,
        looks=list(item.looks),
    )


def _describe_revision(
    name: str | None, decision: Decision, facts: Facts, now: datetime
) -> RevisionStatus | None:
    known = facts.revisions.get(name or "")
    told = [entry for entry in (facts.status.stable, facts.status.candidate) if entry is not None]
    before = next((entry for entry in told if entry.revision == name), None)
    if known is None:
        return before  # somebody deleted its ControllerRevision; what was said of it still holds

    # A promoted candidate serves since now, and its replicas were decided before.
    place = facts.status.candidate if name == decision.candidate else facts.status.stable
    same = place if place is not None and place.revision == known.name else None

    weight = same.weight if same else 0
    if facts.is_acknowledged:
        weight = facts.written_weight(known.name)
    return RevisionStatus(
        revision=known.name,
        version=known.snapshot.version,
        digest=known.snapshot.model_digest,
        image=known.snapshot.image,
        signed=known.snapshot.signed,
        optimized=known.snapshot.optimized,
        warnings=known.snapshot.warnings,
        weight=weight,
        ready_replicas=facts.ready(known.name),
        scaling=scaling_of(known.name, decision, facts, before, now),
        selector=_select_pods(facts),
        since=same.since if same else to_wire(now),
    )


def _select_pods(facts: Facts) -> str | None:
    """Return what the scale subresource needs, where somebody else scales.

    It covers every live revision: in a rollout, stable's pods alone would look idle to an
    autoscaler that goes by their mean, and the number is that of each.
    """
    if facts.spec.scaling.engine is not ScalingEngine.NONE:
        return None
    labels = common_labels(facts.metadata.name, COMPONENT_SERVER)
    return ",".join(f"{label}={value}" for label, value in sorted(labels.items()))


def _describe_preview(decision: Decision, facts: Facts) -> str | None:
    if find_previewed(decision, facts) is None:
        return None
    host = f"{preview_name(facts.metadata.name)}.{facts.metadata.namespace}.svc"
    return f"http://{host}:{CLIENT_HTTP_PORT}/v2/models/{facts.md.model_name}"


def _describe_endpoints(decision: Decision, facts: Facts) -> Endpoints:
    host = f"{facts.metadata.name}.{facts.metadata.namespace}.svc"
    server, header = facts.spec.server, facts.spec.traffic.candidate_header
    protocols = (server.protocols if server else None) or list(Protocol)
    is_reachable = header is not None and decision.header_revision is not None
    tls = facts.route.tls if facts.route is not None else None
    return Endpoints(
        http=f"{'https' if tls else 'http'}://{host}:{CLIENT_HTTP_PORT}/v2/models/{facts.md.model_name}",
        grpc=f"{host}:{CLIENT_GRPC_PORT}" if Protocol.GRPC in protocols else None,
        candidate=f"header {header.name}: {header.value}" if header and is_reachable else None,
        preview=_describe_preview(decision, facts),
    )
