"""The rules under test: ours, and the HorizontalPodAutoscaler's, each with its own rhythm."""

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from slipway.policy.scaling.recommend import ScalerMemory, ScalingBounds, recommend_replicas
from slipway.policy.scaling.signals import LoadSample

from tests.bench.scaling.fleet import CONCURRENCY, LEAST, MOST, Fleet

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SLIPWAY_BOUNDS = ScalingBounds(
    least=LEAST,
    most=MOST,
    concurrency=CONCURRENCY,
    queue_millis=None,
    down=timedelta(seconds=300),
)


@dataclass(slots=True)
class Slipway:
    """Ours: a look every second, at a phase of its own."""

    phase: float
    bounds: ScalingBounds = SLIPWAY_BOUNDS
    memory: ScalerMemory = field(default_factory=ScalerMemory)
    due: float = 0.0
    finished: int = 0
    took: float = 0.0

    def look(self, now: float, fleet: Fleet) -> int:
        """Return the replicas asked for."""
        if now < self.due + self.phase:
            return fleet.replicas
        self.due += 1.0
        finished, self.finished = fleet.finished - self.finished, fleet.finished
        took, self.took = fleet.took - self.took, fleet.took

        new = LoadSample(
            at=EPOCH + timedelta(seconds=now),
            load=float(fleet.in_flight),
            finished=finished,
            took_seconds=took,
        )

        sizing, self.memory = recommend_replicas(
            self.memory, new, self.bounds, current=fleet.replicas, ready=fleet.ready
        )
        return sizing.replicas


@dataclass(slots=True)
class Autoscaler:
    """HorizontalPodAutoscaler, autoscaling/v2 with its defaults, on the same gauge per pod.

    As kube-controller-manager does it: sync every 15 s; tolerance 10%; pods that are not ready
    count as idle when it would go up; up by at most 100% or four pods per 15 s; down to the
    highest recommendation of 300 s. Metrics are scraped every 15 s at a phase of their own.
    """

    phase: float
    scrape_phase: float
    average: float = 0.0
    sync_due: float = 0.0
    scrape_due: float = 0.0
    seen: list[float] = field(default_factory=list)
    """The gauge per pod since the last scrape: the metric is its mean."""
    recommended: deque[tuple[float, int]] = field(default_factory=deque)
    changes: deque[tuple[float, int]] = field(default_factory=deque)
    """Replicas before each change upwards."""

    def look(self, now: float, fleet: Fleet) -> int:
        """Return the replicas asked for."""
        self.seen.append(fleet.in_flight / max(1, fleet.ready))
        if now >= self.scrape_due + self.scrape_phase:
            self.scrape_due += 15.0
            self.average = sum(self.seen) / len(self.seen)
            self.seen.clear()
        if now < self.sync_due + self.phase:
            return fleet.replicas
        self.sync_due += 15.0
        return self._sync(now, fleet.replicas, fleet.ready)

    def _sync(self, now: float, replicas: int, ready: int) -> int:
        wanted = self._proposed(replicas, ready)
        self.recommended.append((now, wanted))
        while self.recommended[0][0] <= now - 300:
            self.recommended.popleft()
        wanted = (
            min(replicas, max(number for _, number in self.recommended))
            if (wanted < replicas)
            else self._limited(now, wanted, replicas)
        )
        return max(LEAST, min(MOST, wanted))

    def _proposed(self, replicas: int, ready: int) -> int:
        ratio = self.average / CONCURRENCY
        if abs(ratio - 1) <= 0.1 or ready == 0:
            return replicas
        if ratio < 1 or ready == replicas:
            return math.ceil(ratio * ready - 1e-9)
        with_idle = ratio * ready / replicas
        if with_idle <= 1 or abs(with_idle - 1) <= 0.1:
            return replicas
        return max(replicas, math.ceil(with_idle * replicas - 1e-9))

    def _limited(self, now: float, wanted: int, replicas: int) -> int:
        while self.changes and self.changes[0][0] <= now - 15:
            self.changes.popleft()
        start = self.changes[0][1] if self.changes else replicas
        allowed = min(wanted, max(2 * start, start + 4))
        if allowed > replicas:
            self.changes.append((now, replicas))
        return allowed
