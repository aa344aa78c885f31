"""Judgements that have a test of their own: drift, and what the containers say."""

from collections.abc import Sequence
from datetime import datetime

from slipway.api.modeldeployment import Metric, MetricMode
from slipway.policy.analysis import port
from slipway.policy.analysis.external.answer import Answer, Problem, counters_by
from slipway.policy.container_evidence import container_evidence
from slipway.policy.facts import Facts
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics import drift

RESOURCES = "resources"


def drifted(
    metric: Metric, answers: Sequence[Answer], plan: port.Plan, state: str | None
) -> Judgement:
    """Judge the shares of classes or bins; `answers` are about the candidate and stable."""
    role = Role.PAUSE if metric.effect is MetricMode.PAUSE else Role.REPORT_ONLY
    label = metric.drift.label if metric.drift is not None else ""
    bins = [counters_by(answer, label, drift.MOST_BINS) for answer in answers]
    for found, who in zip(bins, ("the candidate", "stable"), strict=True):
        if isinstance(found, Problem):
            text = f"Prometheus {metric.provider}, about {who}: {found.message}"
            return Judgement(metric.name, "NoData", found.reason, text, state=state, role=role)
    candidate, stable = (found for found in bins if not isinstance(found, Problem))
    shift = drift.look(state, plan.step, candidate, stable)
    verdict, reason = _verdict(shift)
    return Judgement(
        metric.name,
        verdict,
        reason,
        _words(shift),
        candidate=shift.index,
        limit=shift.limit,
        samples=shift.samples,
        baseline_samples=shift.baseline_samples,
        state=shift.memory.dump(),
        role=role,
        since=plan.step,
    )


def _verdict(shift: drift.Shift) -> tuple[str, str]:
    if shift.index is None:
        return "Inconclusive", "TooFewPredictions"
    return ("Fail", "PredictionsDrift") if shift.is_large else ("Pass", "NoDrift")


def _words(shift: drift.Shift) -> str:
    of = f"{shift.samples} predictions beside {shift.baseline_samples} on stable"
    if shift.index is None:
        least = min(shift.samples, shift.baseline_samples)
        return f"needs {drift.FIRST_SAMPLE - least} more of the one that has fewer: {of}"
    return f"stability index {shift.index:.2f}, limit {shift.limit:.2f}, of {of}"


def resources(facts: Facts, plan: port.Plan, now: datetime) -> port.Said:
    """Say how the candidate's containers do under traffic."""
    found = container_evidence(facts, plan.candidate, plan.stable, now)
    if found is not None:
        return port.Said("Fail", found.reason, found.message)
    pods = [pod for pod in facts.pods.get(plan.candidate, ()) if not pod.meta.deleting]
    ends = sum(pod.exits for pod in pods)
    if not ends:
        text = f"no container of {len(pods)} pods of the candidate has ended"
        return port.Said("Pass", "NoRestarts", text)
    last = next((pod.last_exit for pod in pods if pod.last_exit is not None), None)
    how = f", last with code {last.code} ({last.reason})" if last is not None else ""
    text = f"containers of the candidate ended {ends} times{how}; no evidence against it yet"
    return port.Said("Pass", "Restarted", text)
