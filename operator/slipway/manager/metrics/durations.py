"""Histograms of how long rollouts, the detection of faults, and roll backs took."""

import functools
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest

from slipway.manager.metrics import Frozen
from slipway.policy.durations import SUBJECTS, Duration, Span

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
ROLLOUT_BUCKETS = (
    *(30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 2 * DAY, 7 * DAY),
)
DETECTION_BUCKETS = (
    *(1.0, 5.0, 15.0, 30.0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE),
    *(HOUR, 4 * HOUR, DAY),
)
ROLLBACK_BUCKETS = (
    *(0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE),
)


class DurationMetrics:
    """Fits `slipway.reconcile.ports.DurationObserver` and `slipway.manager.metrics.SnapshotSource`.

    What this process has seen end: like counters, the histograms begin at 0 with each.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histograms: Mapping[Span, Histogram] = {
            Span.ROLLOUT: self._make_histogram(
                "rollout",
                "From the begin of a rollout to its end, without packaging.",
                "outcome",
                ROLLOUT_BUCKETS,
            ),
            Span.DETECTION: self._make_histogram(
                "detection",
                "From the begin of the step that shows a fault to the decision to roll back.",
                "stage",
                DETECTION_BUCKETS,
            ),
            Span.ROLLBACK: self._make_histogram(
                "rollback",
                "From the decision to roll back until every proxy has given the traffic back.",
                "to",
                ROLLBACK_BUCKETS,
            ),
        }
        for span, subjects in SUBJECTS.items():
            for subject in subjects:
                self._histograms[span].labels(subject)  # what begins at 1 has no increase

    def observe_duration(self, duration: Duration) -> None:
        """Count something that has just ended."""
        self._histograms[duration.span].labels(duration.subject).observe(duration.seconds)

    def freeze(self) -> Frozen:
        """Return what writes out the histograms."""
        return functools.partial(generate_latest, self._registry)

    def _make_histogram(
        self, name: str, text: str, label: str, buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(
            f"slipway_{name}_seconds", text, [label], registry=self._registry, buckets=buckets
        )
