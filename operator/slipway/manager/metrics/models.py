"""Metrics of each ModelDeployment, from what the cache has of it.

Only the leader exposes them, so that a sum over replicas counts no object twice. Those of a deleted
object are gone at the next scrape. There are some thirty series per object, however old it is:
labels name what exists now, and of a rollout only what is under way.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from slipway.api import kinds
from slipway.api.conditions import ConditionStatus, ConditionType
from slipway.api.modeldeployment import ModelDeployment, RolloutStatus, Stage
from slipway.api.reasons import Reason
from slipway.engine.cache import Cache, Ref
from slipway.manager.metrics import Frozen
from slipway.manager.metrics.lines import Gauge, format_labels, write_exposition
from slipway.policy.facts import WorkloadFact
from slipway.reconcile.projections import InvalidModelDeployment

PERCENT = 100.0


class Families:
    """The metrics, without samples at first."""

    def __init__(self) -> None:
        # the object
        self.info = _make_gauge(
            "modeldeployment_info", "Always 1.", "role", "revision", "version", "image"
        )
        self.stage = _make_gauge("modeldeployment_stage", "1 for the present stage.", "stage")
        self.condition = _make_gauge(
            "modeldeployment_condition", "1: True, 0: False; absent: Unknown.", "type", "reason"
        )
        self.generation = _make_gauge(
            "modeldeployment_generation_behind", "Generations that are not reconciled yet."
        )

        # its rollout
        self.steps = _make_gauge("rollout_steps", "Steps of the rollout under way.")
        self.step = _make_gauge(
            "rollout_step", "Step whose weight every proxy runs; 0: before the first."
        )
        self.started = _make_gauge("rollout_started_timestamp_seconds", "When the rollout began.")
        self.rolled_back = _make_gauge(
            "last_rollback_timestamp_seconds", "When the last rollback began."
        )
        self.worsened = _make_gauge(
            "worse_after_promotion_timestamp_seconds",
            "When the version that serves was found worse than in its rollout.",
        )

        # the answers to copies of requests
        self.shadow = _make_gauge(
            "rollout_shadow_state", "1 for what became of the comparison of answers.", "state"
        )
        self.pairs = _make_gauge("rollout_shadow_pairs", "Requests that both were asked.")
        self.dropped = _make_gauge("rollout_shadow_copies_dropped", "Copies that made no pair.")

        # its revisions
        self.weight = _make_gauge(
            "revision_weight_ratio", "Share of the requests, as every proxy runs it.", "revision"
        )
        self.desired = _make_gauge("revision_replicas_desired", "Replicas asked for.", "revision")
        self.ready = _make_gauge("revision_replicas_ready", "Replicas that are ready.", "revision")

        # its analysis
        self.verdict = _make_gauge("analysis_verdict", "1 for the verdict.", "metric", "verdict")
        self.candidate = _make_gauge("analysis_candidate", "The candidate's value.", "metric")
        self.baseline = _make_gauge("analysis_baseline", "Stable's value.", "metric")
        self.limit = _make_gauge("analysis_limit", "Above it the candidate fails.", "metric")
        self.samples = _make_gauge(
            "analysis_samples", "Samples of the candidate in this step.", "metric"
        )

    def all(self) -> Iterable[Gauge]:
        """Return them."""
        return vars(self).values()


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One object, and the Deployments of its revisions."""

    ref: Ref
    model: ModelDeployment | InvalidModelDeployment
    workloads: Sequence[WorkloadFact]


class ModelMetrics:
    """Fits `slipway.manager.metrics.SnapshotSource`."""

    def __init__(self, cache: Cache, leads: Callable[[], bool]) -> None:
        self._cache = cache
        self._leads = leads

    def freeze(self) -> Frozen:
        """Copy what the cache has of each object."""
        found = tuple(self._known_models()) if self._leads() else ()
        return functools.partial(_write_samples, found)

    def _known_models(self) -> Iterator[KnownModel]:
        for entry in self._cache.entries(kinds.MODEL_DEPLOYMENT):
            model = entry.value
            if isinstance(model, ModelDeployment | InvalidModelDeployment):
                yield KnownModel(
                    entry.ref, model, self._cache.owned_by(entry.ref.uid, WorkloadFact)
                )


def _write_samples(models: Iterable[KnownModel]) -> bytes:
    families = Families()
    for each in models:
        of = format_labels(namespace=each.ref.namespace, name=each.ref.name)
        if isinstance(each.model, InvalidModelDeployment):
            _add_invalid(families, of)
        else:
            _add_state(families, each.model, of)
            _add_rollout(families, each.model, of)
        for workload in each.workloads:
            families.desired.add(of, workload.revision, value=workload.replicas)
            families.ready.add(of, workload.revision, value=workload.ready)
    return write_exposition(families.all())


def _add_invalid(to: Families, of: str) -> None:
    """Expose of an invalid object what its status says."""
    to.stage.add(of, Stage.IDLE, value=1)
    to.condition.add(of, ConditionType.STALLED, Reason.INVALID_SPEC, value=1)


def _add_state(to: Families, found: ModelDeployment, of: str) -> None:
    status = found.status
    for role, revision in (("stable", status.stable), ("candidate", status.candidate)):
        if revision is not None and (role == "stable" or revision != status.stable):
            labels = (role, revision.revision, revision.version, revision.image or "")
            to.info.add(of, *labels, value=1)
            to.weight.add(of, revision.revision, value=revision.weight / PERCENT)

    for condition in status.conditions:
        if condition.status is not ConditionStatus.UNKNOWN:
            is_true = condition.status is ConditionStatus.TRUE
            to.condition.add(of, condition.type, condition.reason, value=is_true)

    behind = found.metadata.generation - status.observed_generation
    to.generation.add(of, value=behind)
    if status.last_rollback is not None:
        _add_moment(to.rolled_back, of, status.last_rollback.decided_at)
    watched = status.after_promotion
    if watched is not None and status.stable is not None:
        is_serving = watched.revision == status.stable.revision
        _add_moment(to.worsened, of, watched.found_at if is_serving else None)


def _add_rollout(to: Families, found: ModelDeployment, of: str) -> None:
    rollout = found.status.rollout
    to.stage.add(of, rollout.stage if rollout else Stage.IDLE, value=1)
    if rollout is None or found.status.candidate is None:
        return  # the rollout in the status is over
    to.steps.add(of, value=rollout.steps)
    to.step.add(of, value=rollout.step)
    _add_moment(to.started, of, rollout.started_at)
    if rollout.shadow is not None:
        to.shadow.add(of, rollout.shadow.state, value=1)
        to.pairs.add(of, value=rollout.shadow.pairs)
        to.dropped.add(of, value=rollout.shadow.dropped)
    _add_analysis(to, rollout, of)


def _add_analysis(to: Families, rollout: RolloutStatus, of: str) -> None:
    for metric in rollout.analysis:
        to.verdict.add(of, metric.name, metric.verdict, value=1)
        to.samples.add(of, metric.name, value=metric.samples)
        for family, value in (
            (to.candidate, metric.candidate),
            (to.baseline, metric.baseline),
            (to.limit, metric.limit),
        ):
            if value is not None:
                family.add(of, metric.name, value=value)


def _add_moment(to: Gauge, of: str, moment: str | None) -> None:
    """Add a time, unless the status has something else there: people can write to it."""
    if moment is None:
        return
    try:
        to.add(of, value=datetime.fromisoformat(moment).timestamp())
    except (ValueError, OverflowError):
        return


def _make_gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"slipway_{name}", text, *labels)
