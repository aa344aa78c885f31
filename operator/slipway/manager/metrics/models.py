"""Metrics of each ModelDeployment, from what the cache knows of it.

Only the leader shows them, so that a sum over replicas counts no object twice. A deleted object's
are gone with the next look. There are some thirty series per object, however long it lives:
labels name what is there now.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from slipway.api import kinds
from slipway.api.conditions import ConditionStatus
from slipway.api.modeldeployment import ModelDeployment
from slipway.engine.cache import Cache
from slipway.manager.metrics import Frozen
from slipway.policy.facts import WorkloadFact

OBJECT = ("namespace", "name")
PERCENT = 100.0


class Families:
    """The metrics, empty at first."""

    def __init__(self) -> None:
        self.info = _family(
            "modeldeployment_info", "Always 1.", "role", "revision", "version", "image"
        )
        self.stage = _family("modeldeployment_stage", "1 for the stage it is in.", "stage")
        self.condition = _family(
            "modeldeployment_condition", "1: True, 0: False; absent: Unknown.", "type", "reason"
        )
        self.generation = _family(
            "modeldeployment_generation_behind", "Generations not yet taken up."
        )
        self.steps = _family("rollout_steps", "Steps of the rollout under way.")
        self.step = _family("rollout_step", "Step whose weight every proxy has; 0: before.")
        self.started = _family("rollout_started_timestamp_seconds", "When the rollout began.")
        self.rolled_back = _family("last_rollback_timestamp_seconds", "When it last rolled back.")
        self.weight = _family(
            "revision_weight_ratio", "Share of the requests, as every proxy has it.", "revision"
        )
        self.desired = _family("revision_replicas_desired", "Replicas asked for.", "revision")
        self.ready = _family("revision_replicas_ready", "Replicas that are ready.", "revision")
        self.verdict = _family("analysis_verdict", "1 for the verdict.", "metric", "verdict")
        self.candidate = _family("analysis_candidate", "The candidate's value.", "metric")
        self.baseline = _family("analysis_baseline", "Stable's value.", "metric")
        self.limit = _family("analysis_limit", "Above it the candidate fails.", "metric")
        self.samples = _family("analysis_samples", "Of the candidate, in this step.", "metric")

    def all(self) -> Iterator[Metric]:
        """Return them."""
        return iter(vars(self).values())


@dataclass(frozen=True, slots=True)
class Known:
    """One object, and the Deployments of its revisions."""

    model: ModelDeployment
    workloads: Sequence[WorkloadFact]


class ModelMetrics:
    """Fits `slipway.manager.metrics.Source`."""

    def __init__(self, cache: Cache, leads: Callable[[], bool]) -> None:
        self._cache = cache
        self._leads = leads

    def freeze(self) -> Frozen:
        """Take note of the objects that there are."""
        found = tuple(self._known()) if self._leads() else ()
        return functools.partial(_metrics, found)

    def _known(self) -> Iterator[Known]:
        for entry in self._cache.entries(kinds.MODEL_DEPLOYMENT):
            model = entry.value
            if isinstance(model, ModelDeployment):
                yield Known(model, self._cache.owned(model.metadata.uid, WorkloadFact))


def _metrics(known: Iterable[Known]) -> Iterator[Metric]:
    families = Families()
    for each in known:
        of = [each.model.metadata.namespace, each.model.metadata.name]
        _add_state(families, each.model, of)
        _add_rollout(families, each.model, of)
        for workload in each.workloads:
            families.desired.add_metric([*of, workload.revision], workload.replicas)
            families.ready.add_metric([*of, workload.revision], workload.ready)
    return families.all()


def _add_state(to: Families, found: ModelDeployment, of: Sequence[str]) -> None:
    status = found.status
    for role, revision in (("stable", status.stable), ("candidate", status.candidate)):
        if revision is not None and (role == "stable" or revision != status.stable):
            labels = [role, revision.revision, revision.version, revision.image or ""]
            to.info.add_metric([*of, *labels], 1)
            to.weight.add_metric([*of, revision.revision], revision.weight / PERCENT)
    for condition in status.conditions:
        if condition.status is not ConditionStatus.UNKNOWN:
            is_true = condition.status is ConditionStatus.TRUE
            to.condition.add_metric([*of, condition.type, condition.reason], is_true)
    behind = found.metadata.generation - status.observed_generation
    to.generation.add_metric(of, behind)
    if status.last_rollback is not None:
        to.rolled_back.add_metric(of, _seconds(status.last_rollback.decided_at))


def _add_rollout(to: Families, found: ModelDeployment, of: Sequence[str]) -> None:
    rollout = found.status.rollout
    to.stage.add_metric([*of, rollout.stage if rollout else "Idle"], 1)
    if rollout is None:
        return
    to.steps.add_metric(of, rollout.steps)
    to.step.add_metric(of, rollout.step)
    if rollout.started_at is not None:
        to.started.add_metric(of, _seconds(rollout.started_at))
    for metric in rollout.analysis:
        here = [*of, metric.name]
        to.verdict.add_metric([*here, metric.verdict], 1)
        to.samples.add_metric(here, metric.samples)
        for family, value in (
            (to.candidate, metric.candidate),
            (to.baseline, metric.baseline),
            (to.limit, metric.limit),
        ):
            if value is not None:
                family.add_metric(here, value)


def _family(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"slipway_{name}", text, labels=[*OBJECT, *labels])


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
