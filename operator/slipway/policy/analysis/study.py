"""One look at a rollout: what is to be judged now, and the judgements on it."""

from dataclasses import replace
from datetime import datetime

from slipway.api.modeldeployment import AnalysisMode, ModelDeploymentSpec, Stage
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.port import Inputs, Metric, Plan
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement
from slipway.policy.ladder import next_rung, rungs_of


def plan_of(facts: Facts) -> Plan | None:
    """Return what is to be judged; nothing before every proxy has the step's weight."""
    status, analysis = facts.status, facts.spec.rollout.analysis
    memory = status.rollout
    if memory is None or status.stable is None or status.candidate is None:
        return None
    candidate = status.candidate.revision
    written = facts.written_weight(candidate)
    is_step = (
        (memory.underlying or memory.stage) in {Stage.PROGRESSING, Stage.BAKING}
        and written > 0
        and written == memory.acked_weight
        and memory.step_started_at is not None
        and facts.is_acknowledged
    )
    if not is_step or analysis.mode is AnalysisMode.OFF:
        return None
    return plan_at(
        facts.spec,
        written,
        route=facts.metadata.name,
        candidate=candidate,
        stable=status.stable.revision,
        step=memory.step_started_at or "",
        number=max(1, memory.step),
    )


def plan_at(
    spec: ModelDeploymentSpec,
    weight: int,
    *,
    route: str,
    candidate: str,
    stable: str,
    step: str,
    number: int,
) -> Plan:
    """Return what is judged at a weight, with the promises that the spec asks for."""
    rollout, analysis = spec.rollout, spec.rollout.analysis
    return Plan(
        route=route,
        candidate=candidate,
        stable=stable,
        step=step,
        number=number,
        weight=weight,
        next_weight=max(next_rung(rungs_of(rollout), weight).weight, weight),
        mode=analysis.mode,
        min_samples=analysis.min_samples,
        tolerance=analysis.tolerance,
        max_harm=analysis.max_harm,
        false_rollback=analysis.false_rollback,
        warm_up_seconds=analysis.warm_up_seconds,
        threshold=analysis.threshold,
        timeout_seconds=spec.traffic.timeout_seconds,
    )


def judgements_of(
    facts: Facts, inputs: Inputs, now: datetime, metrics: tuple[Metric, ...] = ()
) -> tuple[Judgement, ...]:
    """Judge the present step on what was found."""
    plan = plan_of(facts)
    rollout = facts.status.rollout
    if plan is None or rollout is None:
        return ()
    memories = {entry.name: entry.state for entry in rollout.analysis if entry.state is not None}
    return judge(memories, inputs, replace(plan, metrics=metrics), now)
