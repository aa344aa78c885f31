"""Asks the sources outside the routers about one study, all at the same time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from slipway.api.modeldeployment import Metric
from slipway.api.reasons import Reason, Why
from slipway.errors import SpecError
from slipway.policy.analysis.external.query import build_queries
from slipway.policy.analysis.external.readings import name_source, read_answers
from slipway.policy.analysis.external.validation import provider_problem
from slipway.policy.analysis.inputs import Count, Counted, Reading
from slipway.policy.analysis.metrics import memory_rise
from slipway.policy.analysis.study import Study
from slipway.policy.facts import PodFact
from slipway.reconcile.guard import Guard
from slipway.reconcile.ports import FailureSource, MetricSource
from slipway.reconcile.read_memory import MemoryReader
from slipway.settings import PrometheusServer

STILL_ASKED = Why(Reason.PROVIDER_SLOW, "the answer is not there yet")


@dataclass(frozen=True, slots=True)
class MetricSources:
    """Where numbers come from, beside the routers."""

    prometheus: MetricSource
    failures: FailureSource
    memory: MemoryReader
    guard: Guard
    known: tuple[PrometheusServer, ...] = ()
    """The providers that exist."""


async def ask_sources(study: Study | None, sources: MetricSources) -> Mapping[str, Reading]:
    """Return what the sources say of the metrics that are due, by metric; nothing without a study.

    It never raises and never takes long: a slow answer is taken by a later pass.
    """
    if study is None:
        return {}
    names = [metric.name for metric in study.metrics]
    questions = [_ask_guarded(metric, study, sources) for metric in study.metrics]
    if study.memory_limit is not None:
        names.append(memory_rise.NAME)
        questions.append(_ask_memory(study, sources))
    return dict(zip(names, await asyncio.gather(*questions), strict=True))


async def _ask_memory(study: Study, sources: MetricSources) -> Reading:
    arm = study.arms.candidate
    what = f"read the memory of the pods of {arm.namespace}/{arm.name}"
    return await sources.guard.ask(what, lambda: sources.memory.read(study))


async def _ask_guarded(metric: Metric, study: Study, sources: MetricSources) -> Reading:
    arm = study.arms.candidate
    return await sources.guard.ask(
        f"read the metric {metric.name} of {arm.namespace}/{arm.name}",
        lambda: _ask_about(metric, study, sources),
    )


async def _ask_about(metric: Metric, study: Study, sources: MetricSources) -> Reading:
    if metric.provider is None:
        return await _ask_servers(study, sources.failures)

    namespace = study.arms.candidate.namespace
    unknown = provider_problem(metric.provider, sources.known, namespace)
    if unknown is not None:
        return unknown
    try:
        queries = build_queries(metric, study.arms)
    except SpecError as error:
        return Why(Reason.INVALID_QUERY, str(error))

    answers = await sources.prometheus.ask(metric.provider, queries)
    return read_answers(metric, answers if answers is not None else (STILL_ASKED,) * len(queries))


async def _ask_servers(study: Study, servers: FailureSource) -> Reading:
    """Return the requests that Triton counts as failed, by run of a server."""
    candidate = await _ask_pods(study, study.plan.candidate, servers)
    if isinstance(candidate, Why):
        return name_source(candidate, "Triton of the candidate")
    stable = await _ask_pods(study, study.plan.stable, servers)
    if isinstance(stable, Why):
        return name_source(stable, "Triton of stable")
    return Counted(candidate, stable)


async def _ask_pods(
    study: Study, revision: str, servers: FailureSource
) -> Mapping[str, Count] | Why:
    facts = study.facts
    pods = [pod for pod in facts.pods.get(revision, ()) if pod.ready and pod.address]
    if not pods:
        return Why(Reason.NO_SERVER, "no pod is ready")
    answers = await asyncio.gather(
        *(servers.read_failures(pod.address or "", facts.md.model_name) for pod in pods)
    )

    counts: dict[str, Count] = {}
    for pod, count in zip(pods, answers, strict=True):
        if isinstance(count, Why):
            return name_source(count, f"pod {pod.meta.name}")
        counts[_server_run(pod)] = count
    return counts


def _server_run(pod: PodFact) -> str:
    """Name a run of a server: a restart resets its counters."""
    return f"{pod.meta.uid[:8]}.{pod.exits}"
