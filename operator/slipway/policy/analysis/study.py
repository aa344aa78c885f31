"""A study: one look at a rollout, from what is to be judged to the judgements.

    study = study_of(facts)                        what is compared, and which metrics are due
    readings = await ask_sources(study, sources)   what the sources outside say
    judgements = study.judge(ticks, readings, now)

Asking and judging share the study, so nothing is worked out twice in a look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.counters import Counters
from slipway.api.modeldeployment import (
    AnalysisMode,
    Metric,
    MetricMode,
    MetricStage,
    ModelDeploymentSpec,
    RolloutStatus,
    Schedule,
    StableRecord,
    Stage,
)
from slipway.api.reasons import Why
from slipway.policy.analysis.external.containers import RESOURCES, read_containers
from slipway.policy.analysis.external.query import Arm, Arms
from slipway.policy.analysis.inputs import Binned, LookInputs, MemoryUse, Reading
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.metrics import memory_rise
from slipway.policy.analysis.metrics.by_reading import UNREAD
from slipway.policy.analysis.metrics.prediction_drift import judge_drift
from slipway.policy.analysis.plan import MetricPlan, Plan
from slipway.policy.canonical_input import whole_number
from slipway.policy.container_evidence import own_memory_limit
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, Role
from slipway.policy.ladder import find_bake, find_next_rung, list_rungs
from slipway.policy.shadow.budget import evidence_to_pass, share_left
from slipway.policy.weights import ALL

ROLES = {
    MetricMode.ENFORCE: Role.REQUIRED,
    MetricMode.PAUSE: Role.REPORT_ONLY,
    MetricMode.REPORT_ONLY: Role.REPORT_ONLY,
}
"""In the test that merges verdicts; a metric that pauses does so on its own."""


@dataclass(frozen=True, slots=True)
class Study:
    """What is judged in this look; made once, before anything is read."""

    facts: Facts
    plan: Plan
    """With the metrics that the test merges: all but drift."""
    arms: Arms
    metrics: tuple[Metric, ...]
    """Of the spec, those that count at this stage."""
    states: Mapping[str, str]
    """By metric, what the last stored look remembers."""
    memory_limit: int | None = None
    """Of the candidate's server in bytes, where the memory of its pods is judged; else None."""

    def judge(
        self,
        ticks: Sequence[Counters | None],
        readings: Mapping[str, Reading],
        now: datetime,
    ) -> tuple[Judgement, ...]:
        """Return what every metric says: those that are merged first, then drift and memory.

        `ticks` are the counters of every router pod that must be heard, `readings` what the sources
        said, by metric.
        """
        containers = read_containers(self.facts, self.plan.candidate, self.plan.stable, now)
        inputs = LookInputs(tuple(ticks), {RESOURCES: containers, **readings}, self._pod_names())

        # Drift is not merged with the others: it is no evidence of a fault.
        merged = judge(self.states, inputs, self.plan, now)
        memory = self._judge_memory(readings)
        return (*self._with_pauses(merged), *self._judge_drift(readings), *memory)

    def _pod_names(self) -> dict[str, str]:
        pods = self.facts.pods.get(self.plan.candidate, ())
        return {pod.address: pod.meta.name for pod in pods if pod.address is not None}

    def _with_pauses(self, merged: Sequence[Judgement]) -> list[Judgement]:
        pausing = {metric.name for metric in self.metrics if metric.effect is MetricMode.PAUSE}
        return [replace(item, role=Role.PAUSE) if item.name in pausing else item for item in merged]

    def _judge_drift(self, readings: Mapping[str, Reading]) -> list[Judgement]:
        judgements = []
        for metric in self.metrics:
            if metric.drift is not None:
                reading = readings.get(metric.name)
                found = reading if isinstance(reading, Binned | Why) else UNREAD
                state = self.states.get(metric.name)
                judgements.append(judge_drift(metric, found, self.plan.step, state))
        return judgements

    def _judge_memory(self, readings: Mapping[str, Reading]) -> Sequence[Judgement]:
        """It is not merged either: a forecast is no evidence of a fault."""
        if self.memory_limit is None:
            return ()
        found = readings.get(memory_rise.NAME)
        said = memory_rise.judge_memory_rise(
            found if isinstance(found, MemoryUse | Why) else memory_rise.NEVER_READ,
            limit=self.memory_limit,
            weight=self.plan.weight,
            state=self.states.get(memory_rise.NAME),
            since=self.plan.step,
        )
        return () if said is None else (said,)


def study_of(facts: Facts) -> Study | None:
    """Return what is to be judged; None before every proxy runs the step's weight."""
    status, analysis = facts.status, facts.spec.rollout.analysis
    rollout = status.rollout
    if rollout is None or status.stable is None or status.candidate is None:
        return None
    if analysis.mode is AnalysisMode.OFF or not _is_step_in_force(facts, rollout):
        return None

    stage = rollout.underlying or rollout.stage
    record = _find_record(facts, rollout)
    metrics = metrics_due(analysis.metrics, stage)
    plan = plan_at(
        facts.spec,
        facts.written_weight(status.candidate.revision),
        route=facts.metadata.name,
        candidate=status.candidate.revision,
        stable=status.stable.revision,
        step=rollout.step_started_at or "",
        number=max(1, rollout.step),
        schedule=rollout.schedule,
        places=rollout.capacity.places if rollout.capacity is not None else None,
    )

    name, namespace = facts.metadata.name, facts.metadata.namespace
    candidate, stable = (
        Arm(name, namespace, entry.revision, entry.version)
        for entry in (status.candidate, status.stable)
    )
    return Study(
        facts=facts,
        plan=replace(
            plan,
            metrics=plan_metrics(metrics, is_alone=record is not None),
            planned_metrics=_count_enforced(analysis.metrics),
            false_rollback=share_left(rollout.shadow) * plan.false_rollback,
            pass_at=evidence_to_pass(rollout.shadow),
            recorded=record,
        ),
        arms=Arms(candidate, stable),
        metrics=metrics,
        states={item.name: item.state for item in rollout.analysis if item.state is not None},
        memory_limit=_memory_limit(facts, stage, status.candidate.revision),
    )


def _find_record(facts: Facts, rollout: RolloutStatus) -> StableRecord | None:
    """Return what stable was before a switch that has left it nothing."""
    is_auto = facts.spec.rollout.analysis.mode is AnalysisMode.AUTO
    has_all = facts.written_weight(facts.candidate) >= ALL
    return rollout.recorded if is_auto and has_all else None


def _memory_limit(facts: Facts, stage: Stage, candidate: str) -> int | None:
    """Return the limit that a pod must not be on its way to; None where that is not judged."""
    analysis = facts.spec.rollout.analysis
    is_taken = any(metric.name == memory_rise.NAME for metric in analysis.metrics)
    if stage is not Stage.BAKING or analysis.mode is not AnalysisMode.AUTO or is_taken:
        return None
    limit = own_memory_limit(facts, candidate)
    return whole_number(limit) if limit is not None else None


def plan_at(
    spec: ModelDeploymentSpec,
    weight: int,
    *,
    route: str,
    candidate: str,
    stable: str,
    step: str,
    number: int,
    schedule: Schedule | None = None,
    places: int | None = None,
) -> Plan:
    """Return what is judged at a weight, with the promises that the spec asks for."""
    rollout, analysis = spec.rollout, spec.rollout.analysis
    rungs = list_rungs(rollout, schedule, places)
    following = find_next_rung(rungs, weight)
    if following.is_bake:
        following = rungs[-1]  # the bake needs no Pass of its own to get there

    return Plan(
        route=route,
        candidate=candidate,
        stable=stable,
        step=step,
        number=number,
        weight=weight,
        is_bake=weight >= find_bake(rungs).weight,
        next_weight=max(following.weight, weight),
        mode=analysis.mode,
        min_samples=analysis.min_samples,
        tolerance=analysis.tolerance,
        max_harm=analysis.max_harm,
        false_rollback=analysis.false_rollback,
        warm_up_seconds=analysis.warm_up_seconds,
        threshold=analysis.threshold,
        interval_seconds=analysis.interval_seconds,
        timeout_seconds=spec.traffic.timeout_seconds,
    )


def metrics_due(metrics: Sequence[Metric], stage: Stage) -> tuple[Metric, ...]:
    """Return the metrics that count at this stage."""
    wanted = MetricStage.BAKE if stage is Stage.BAKING else MetricStage.STEPS
    return tuple(metric for metric in metrics if metric.stage in {wanted, MetricStage.ALWAYS})


def plan_metrics(metrics: Sequence[Metric], *, is_alone: bool = False) -> tuple[MetricPlan, ...]:
    """Return the metrics as the test knows them: the containers, and all but drift.

    Where the candidate has all of the traffic, nobody waits for those that compare.
    """
    merged = (metric for metric in metrics if metric.drift is None)
    return (
        MetricPlan(RESOURCES, Role.ADVISORY),
        *(
            MetricPlan(
                item.name,
                Role.REPORT_ONLY if is_alone and item.max is None else ROLES[item.effect],
                item.max,
                item.max_increase,
            )
            for item in merged
        ),
    )


def _count_enforced(metrics: Sequence[Metric]) -> int:
    return sum(metric.drift is None and metric.effect is MetricMode.ENFORCE for metric in metrics)


def _is_step_in_force(facts: Facts, rollout: RolloutStatus) -> bool:
    """Return whether every proxy runs the weight at which the step is judged."""
    weight = facts.written_weight(facts.candidate)
    return (
        (rollout.underlying or rollout.stage) in {Stage.PROGRESSING, Stage.BAKING}
        and weight > 0
        and weight == rollout.acked_weight
        and rollout.step_started_at is not None
        and facts.is_acknowledged
    )
