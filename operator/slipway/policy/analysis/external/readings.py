"""From a user's metrics to questions, and from answers to readings.

A reading that is not sound is `Missing` with its reason: it holds, and it never blames anybody.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from slipway.api.modeldeployment import Metric, MetricMode, MetricStage, Stage
from slipway.errors import SpecError
from slipway.policy.analysis import port
from slipway.policy.analysis.external.answer import Answer, Problem, number, series_of
from slipway.policy.analysis.external.query import Arm, fill
from slipway.policy.facts import Facts
from slipway.policy.judgement import Role
from slipway.settings import PrometheusServer

MOST_SOURCES = 16
"""Series of one counter; what is known of each has to fit into a memory of 2 KiB."""
SLACK = 5
"""Events by which `bad` may be ahead of `total`, since they are read one after the other."""
ROLES = {
    MetricMode.ENFORCE: Role.REQUIRED,
    MetricMode.PAUSE: Role.REPORT_ONLY,
    MetricMode.REPORT_ONLY: Role.REPORT_ONLY,
}
"""To the test that merges verdicts; what pauses does so on its own."""
DISTINGUISHING = ("{{revision}}", "{{pods}}", "{{version}}")


@dataclass(frozen=True, slots=True)
class Arms:
    """The two revisions that are compared."""

    candidate: Arm
    stable: Arm


def arms_of(facts: Facts) -> Arms | None:
    """Return what is compared; None: there is nothing to compare."""
    status, meta = facts.status, facts.metadata
    if status.candidate is None or status.stable is None:
        return None
    candidate, stable = (
        Arm(meta.name, meta.namespace, entry.revision, entry.version)
        for entry in (status.candidate, status.stable)
    )
    return Arms(candidate, stable)


def due(metrics: Sequence[Metric], stage: Stage) -> tuple[Metric, ...]:
    """Return the metrics that count at this stage."""
    wanted = MetricStage.BAKE if stage is Stage.BAKING else MetricStage.STEPS
    return tuple(metric for metric in metrics if metric.stage in {wanted, MetricStage.ALWAYS})


def planned(metrics: Sequence[Metric]) -> tuple[port.Metric, ...]:
    """Return the metrics as the test knows them; drift has a test of its own."""
    return tuple(
        port.Metric(metric.name, ROLES[metric.effect], metric.max, metric.max_increase)
        for metric in metrics
        if metric.drift is None
    )


def questions(metric: Metric, arms: Arms) -> tuple[str, ...]:
    """Return what a Prometheus server is asked: first about the candidate, then about stable.

    Raises:
        SpecError: a query has a placeholder that does not exist.

    """
    path = f"spec.rollout.analysis.metrics[{metric.name}]"
    both = (arms.candidate, arms.stable)
    return tuple(fill(path, text, arm) for arm in both for _, text in _queries(metric))


def reading(metric: Metric, answers: Sequence[Answer]) -> port.Reading:
    """Return what the answers to `questions` mean."""
    source = f"Prometheus {metric.provider}"
    if metric.prometheus is not None and metric.prometheus.bad is not None:
        candidate, stable = (counted(*answers[at : at + 2]) for at in (0, 2))
        if isinstance(candidate, Problem):
            return missing(candidate, f"{source}, about the candidate")
        if isinstance(stable, Problem):
            return missing(stable, f"{source}, about stable")
        return port.Counted(candidate, stable)
    value, baseline = (number(answer) for answer in answers)
    if isinstance(value, Problem):
        return missing(value, f"{source}, about the candidate")
    if isinstance(baseline, Problem):
        if metric.max_increase is not None:
            return missing(baseline, f"{source}, about stable")
        return port.Valued(value)
    return port.Valued(value, baseline)


def counted(bad: Answer, total: Answer) -> Mapping[str, port.Count] | Problem:
    """Return pairs of counters by source; both must know the same sources."""
    totals, bads = (series_of(answer, MOST_SOURCES) for answer in (total, bad))
    if isinstance(totals, Problem):
        return totals
    if isinstance(bads, Problem):
        return bads
    if bads.keys() != totals.keys():
        text = "bad and total find other series, expected the same: add `or 0 * <total>` to bad"
        return Problem("SeriesMissing", text)
    found = {}
    for labels, all_ in totals.items():
        events = bads[labels]
        if events > all_ + max(SLACK, 0.01 * all_):
            return Problem("BadExceedsTotal", "bad counts more than total does")
        found[_short(labels)] = port.Count(round(all_), min(round(events), round(all_)))
    return found


def missing(problem: Problem, source: str) -> port.Missing:
    """Return the reading that holds, with its reason."""
    return port.Missing(problem.reason, f"{source}: {problem.message}")


def problem_of(
    facts_metrics: Sequence[Metric], known: Sequence[PrometheusServer], namespace: str
) -> str:
    """Return what is wrong with the metrics for good; empty: nothing."""
    return "; ".join(_problems(facts_metrics, known, namespace))


def unknown_provider(
    provider: str, known: Sequence[PrometheusServer], namespace: str
) -> Problem | None:
    """Return the problem where this namespace has no provider of that name; it names those."""
    names = sorted(item.name for item in known if item.serves(namespace))
    if provider in names:
        return None
    there = f"one of {', '.join(names)}" if names else "none: the operator has none configured"
    return Problem("ProviderUnknown", f"found the provider {provider!r}, expected {there}")


def _problems(
    metrics: Sequence[Metric], known: Sequence[PrometheusServer], namespace: str
) -> Iterator[str]:
    for metric in metrics:
        path = f"spec.rollout.analysis.metrics[{metric.name}]"
        if metric.provider is None:
            continue
        unknown = unknown_provider(metric.provider, known, namespace)
        if unknown is not None:
            yield f"{path}: {unknown.message}"
        arm = Arm("n", "n", "00000000", "0")
        for field, text in _queries(metric):
            try:
                fill(f"{path}.{field}", text, arm)
            except SpecError as error:
                yield str(error)
            if metric.max is None and not any(mark in text for mark in DISTINGUISHING):
                wanted = ", ".join(DISTINGUISHING)
                yield f"{path}.{field}: it asks the same about both revisions; use one of {wanted}"


def _queries(metric: Metric) -> tuple[tuple[str, str], ...]:
    if metric.drift is not None:
        return (("drift.query", metric.drift.query),)
    asked = metric.prometheus
    if asked is None:
        return ()
    fields = (("bad", asked.bad), ("total", asked.total), ("query", asked.query))
    return tuple((f"prometheus.{field}", text) for field, text in fields if text is not None)


def _short(labels: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:6]
