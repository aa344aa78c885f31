"""Asks the sources outside about the present step, all at the same time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from slipway.api.modeldeployment import Metric, MetricMode, Stage
from slipway.api.times import from_wire
from slipway.errors import SpecError
from slipway.policy.analysis import port
from slipway.policy.analysis.external import readings
from slipway.policy.analysis.external.answer import Answer, Problem
from slipway.policy.analysis.external.guards import RESOURCES, drifted, resources
from slipway.policy.analysis.external.readings import Arms
from slipway.policy.analysis.study import plan_of
from slipway.policy.facts import Facts, PodFact
from slipway.policy.judgement import Judgement, Role
from slipway.reconcile.ports import FailureSource, MetricSource
from slipway.settings import PrometheusServer

STILL_ASKED = Problem("ProviderSlow", "the answer is still on its way")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where numbers come from, beside the routers."""

    prometheus: MetricSource
    failures: FailureSource
    known: tuple[PrometheusServer, ...] = ()
    """The providers that exist."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the sources said in this look."""

    readings: Mapping[str, port.Reading] = field(default_factory=dict)
    """By metric; what the test merges."""
    beside: tuple[Judgement, ...] = ()
    """Judged on their own."""


async def gather(facts: Facts, sources: Sources, now: datetime) -> Found:
    """Return what there is to know of the present step; nothing where none is judged."""
    plan, arms, rollout = plan_of(facts), readings.arms_of(facts), facts.status.rollout
    if plan is None or arms is None or rollout is None:
        return Found()
    metrics = present(facts)
    answers = await asyncio.gather(*(_ask(metric, arms, facts, sources) for metric in metrics))
    memories = {entry.name: entry.state for entry in rollout.analysis}
    read: dict[str, port.Reading] = {RESOURCES: resources(facts, plan, now)}
    beside = []
    for metric, answer in zip(metrics, answers, strict=True):
        if metric.drift is not None:
            found = answer if isinstance(answer, tuple) else (_problem(answer),) * 2
            beside.append(drifted(metric, found, plan, memories.get(metric.name)))
        elif isinstance(answer, tuple):
            read[metric.name] = readings.reading(metric, answer)
        else:
            read[metric.name] = answer
    return Found(read, tuple(beside))


def present(facts: Facts) -> tuple[Metric, ...]:
    """Return the metrics that count at the present stage."""
    rollout = facts.status.rollout
    stage = (rollout.underlying or rollout.stage) if rollout is not None else Stage.IDLE
    return readings.due(facts.spec.rollout.analysis.metrics, stage)


def planned(facts: Facts) -> tuple[port.Metric, ...]:
    """Return what the test must know of them."""
    return (port.Metric(RESOURCES, Role.ADVISORY), *readings.planned(present(facts)))


def judged(facts: Facts, found: Found, merged: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Return all judgements: what the test merged, what was judged beside it, and in which role.

    What the test says nothing of is NoData: a metric that is asked for never goes unnoticed.
    """
    known = {item.name for item in merged}
    unheard = [
        _unheard(metric.name, metric.role, reading)
        for metric in planned(facts)
        if (reading := found.readings.get(metric.name)) is not None and metric.name not in known
    ]
    metrics = facts.spec.rollout.analysis.metrics
    pausing = {metric.name for metric in metrics if metric.effect is MetricMode.PAUSE}
    return tuple(
        replace(item, role=Role.PAUSE) if item.name in pausing else item
        for item in (*merged, *unheard, *found.beside)
    )


def _unheard(name: str, role: Role, reading: port.Reading) -> Judgement:
    match reading:
        case port.Missing():
            return Judgement(name, "NoData", reading.reason, reading.message, role=role)
        case port.Said():
            return Judgement(name, reading.verdict, reading.reason, reading.message, role=role)
        case _:
            return Judgement(name, "NoData", "NotJudged", "it is read, not judged yet", role=role)


async def _ask(
    metric: Metric, arms: Arms, facts: Facts, sources: Sources
) -> tuple[Answer, ...] | port.Reading:
    if metric.provider is None:
        return await _ask_servers(facts, arms, sources.failures)
    namespace = facts.metadata.namespace
    unknown = readings.unknown_provider(metric.provider, sources.known, namespace)
    if unknown is not None:
        return port.Missing(unknown.reason, unknown.message)
    try:
        questions = readings.questions(metric, arms)
    except SpecError as error:
        return port.Missing("InvalidQuery", str(error))
    answers = await sources.prometheus.ask(metric.provider, questions)
    return answers if answers is not None else (STILL_ASKED,) * len(questions)


async def _ask_servers(facts: Facts, arms: Arms, servers: FailureSource) -> port.Reading:
    began = facts.status.rollout.step_started_at if facts.status.rollout else None
    since = from_wire(began)
    counted = []
    for who, arm in (("candidate", arms.candidate), ("stable", arms.stable)):
        pods = [pod for pod in facts.pods.get(arm.revision, ()) if pod.ready and pod.address]
        found = await asyncio.gather(
            *(servers.read(pod.address or "", facts.md.model_name) for pod in pods)
        )
        counts: dict[str, port.Count] = {}
        for pod, count in zip(pods, found, strict=True):
            if isinstance(count, Problem):
                return readings.missing(count, f"Triton of {who}, pod {pod.meta.name}")
            counts[_source(pod)] = replace(count, is_new=since is not None and pod.created > since)
        if not counts:
            return port.Missing("NoServer", f"Triton of {who}: no pod is ready")
        counted.append(counts)
    return port.Counted(counted[0], counted[1])


def _source(pod: PodFact) -> str:
    """Name a run of a server: a restart begins to count anew."""
    return f"{pod.meta.uid[:8]}.{pod.exits}"


def _problem(reading: port.Reading) -> Problem:
    if isinstance(reading, port.Missing):
        return Problem(reading.reason, reading.message)
    return STILL_ASKED
