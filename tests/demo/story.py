"""The story of one version: the statuses that were seen, from `kubectl apply` to its end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from slipway.api.modeldeployment import (
    AnalysisStatus,
    HistoryEntry,
    ModelDeploymentStatus,
    Outcome,
    RevisionStatus,
    Stage,
)
from slipway.api.verdict import Verdict

GOLDEN_SET = "golden-set"
"""Its name among the metrics."""
WHOLE = 100
DECIDED = frozenset({Verdict.PASS, Verdict.FAIL})
"""Verdicts; all others are ways of not knowing yet."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something stayed the same; Unix times in seconds."""

    value: str | int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """Requests that a decision was made on."""

    candidate: int = 0
    stable: int = 0


@dataclass(slots=True)
class Story:
    """One version from `kubectl apply` to its end; `observe` takes every status in turn."""

    version: str
    applied: float
    """Unix time in seconds."""
    known: int = 0
    """Entries of this version that the history had before."""
    image: str = ""
    seen_revision: str = ""
    samples: SampleCounts = SampleCounts()
    """Those that it was promoted on; until then, of the last verdict that said yes or no."""
    pairs: int = 0
    """Copies of requests that it answered so far, beside stable's answers."""
    status: ModelDeploymentStatus | None = None
    _stages: list[tuple[float, Stage]] = field(default_factory=list)
    _weights: list[tuple[float, int]] = field(default_factory=list)

    def observe(self, now: float, status: ModelDeploymentStatus) -> None:
        """Take in what the object says at `now`."""
        self.status = status
        stage = status.rollout.stage if status.rollout else Stage.IDLE
        if not self._stages or self._stages[-1][1] is not stage:
            self._stages.append((now, stage))

        mine = self.running
        weight = mine.weight if mine else 0
        if not self._weights or self._weights[-1][1] != weight:
            self._weights.append((now, weight))
        if mine is not None:
            self.seen_revision = mine.revision
            self.image = mine.image or self.image

            shadow = status.rollout.shadow if status.rollout else None
            self.pairs = shadow.pairs if shadow else self.pairs

        # Last, because it asks whether any weight was seen.
        self._note_samples(status)

    def _note_samples(self, status: ModelDeploymentStatus) -> None:
        """Note what a verdict rests on; the status of the promotion has the bake's last count."""
        candidate = status.candidate
        is_candidate = candidate is not None and candidate.version == self.version
        is_decided = any(entry.verdict in DECIDED for entry in self.analysis)
        ended = self._last_entry

        is_promoted = ended is not None and ended.outcome is Outcome.PROMOTED
        is_judged = is_promoted or (is_candidate and is_decided)
        if self.had_traffic and is_judged and self.samples_now.candidate:
            self.samples = self.samples_now

    @property
    def running(self) -> RevisionStatus | None:
        """The revision of this version, while it has pods."""
        status = self.status
        places = (status.candidate, status.stable) if status else ()
        return next((place for place in places if place and place.version == self.version), None)

    @property
    def samples_now(self) -> SampleCounts:
        """Requests of this step so far."""
        return SampleCounts(
            max((entry.samples for entry in self.analysis), default=0),
            max((entry.baseline_samples for entry in self.analysis), default=0),
        )

    @property
    def had_traffic(self) -> bool:
        """Whether clients ever reached it."""
        return any(weight for _, weight in self._weights)

    @property
    def analysis(self) -> list[AnalysisStatus]:
        """The metrics of live traffic at this step; the golden set is none of them."""
        rollout = self.status.rollout if self.status else None
        if rollout is None:
            return []
        entries = [entry for entry in rollout.analysis if entry.name != GOLDEN_SET]
        return [entry for entry in entries if is_of_step(entry, rollout.step_started_at)]

    @property
    def golden_set(self) -> AnalysisStatus | None:
        """What the golden set said of the revision under way."""
        entries = self.status.rollout.analysis if self.status and self.status.rollout else []
        return next((entry for entry in entries if entry.name == GOLDEN_SET), None)

    @property
    def end(self) -> HistoryEntry | None:
        """How it ended, once it has and nothing of it is under way any more."""
        status = self.status
        if status is None or status.candidate is not None:
            return None
        if status.rollout is not None and status.rollout.stage is not Stage.IDLE:
            return None

        is_whole = self.running is None or self.running.weight == WHOLE
        return self._last_entry if is_whole else None

    @property
    def _last_entry(self) -> HistoryEntry | None:
        """The history's word on this version; None while it has only words from before."""
        history = self.status.history if self.status else []
        entries = [entry for entry in history if entry.version == self.version]
        return entries[-1] if len(entries) > self.known else None

    @property
    def revision(self) -> str:
        """Its revision; empty when none was made."""
        return (self.end.revision if self.end else None) or self.seen_revision

    def stage_seconds(self, until: float) -> dict[str, float]:
        """Return the seconds spent in every stage but Idle."""
        seconds: dict[str, float] = {}
        for span in spans_between(self._stages, until):
            if span.value != Stage.IDLE:
                seconds[str(span.value)] = seconds.get(str(span.value), 0.0) + span.end - span.start
        return seconds

    def weight_spans(self, until: float) -> list[Span]:
        """Return the acknowledged weights, each with the time in which it was in force."""
        return spans_between(self._weights, until)

    @property
    def decision_to_zero_seconds(self) -> float | None:
        """Time from the decision to roll back to weight 0 at all proxies; None without one."""
        back = self.status.last_rollback if self.status else None
        if back is None or back.from_ != self.revision or back.traffic_restored_at is None:
            return None
        if not self.had_traffic:
            return None

        decided = datetime.fromisoformat(back.decided_at)
        return (datetime.fromisoformat(back.traffic_restored_at) - decided).total_seconds()


def is_of_step(entry: AnalysisStatus, step_started_at: str | None) -> bool:
    """Tell whether a metric was judged since the step began; older ones stay for a while."""
    if entry.last_check is None or step_started_at is None:
        return True
    return datetime.fromisoformat(entry.last_check) > datetime.fromisoformat(step_started_at)


def spans_between(changes: Sequence[tuple[float, str | int]], until: float) -> list[Span]:
    """Return the time between the changes, and after the last one up to `until`."""
    ends = [start for start, _ in changes[1:]] + [until]
    return [Span(value, start, end) for (start, value), end in zip(changes, ends, strict=True)]
