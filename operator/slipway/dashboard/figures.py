"""What this program has seen of a rollout since it began: figures over time, and decisions.

The status holds the newest figures alone, written at once when a verdict changes and every half
minute otherwise. Nothing is written to the cluster for a chart, so a chart begins when the page
does; the last values that the operator keeps of each metric stand before it, at estimated times.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from slipway.cli.objects import LastAction, Metric, ModelDeployment
from slipway.cli.views.styles import style_end, style_stage, style_word
from slipway.dashboard.models import MetricSeries, Moment
from slipway.dashboard.tones import tone_of

STORED_EVERY = timedelta(seconds=30)
"""Between two values that the operator keeps, unless a verdict changes."""
MOST_POINTS = 2_000
MOST_MOMENTS = 200
JUDGED = frozenset({"Pass", "Fail"})


@dataclass(frozen=True, slots=True)
class Point:
    """A metric at one moment."""

    at: datetime
    candidate: float | None
    stable: float | None = None
    limit: float | None = None
    samples: int | None = None
    stable_samples: int | None = None


@dataclass(slots=True)
class MetricTrack:
    """The points of one metric, the newest last."""

    points: list[Point]
    estimated: int
    """So many of the first were read when the page began."""

    def add(self, point: Point) -> None:
        """Take a point in, unless it is the last one again."""
        if self.points and self.points[-1].at >= point.at:
            return
        self.points.append(point)
        surplus = len(self.points) - MOST_POINTS
        if surplus > 0:
            del self.points[:surplus]
            self.estimated = max(0, self.estimated - surplus)

    def series(self) -> MetricSeries:
        """Return the lists that a chart draws."""
        return MetricSeries(
            at=[point.at.timestamp() for point in self.points],
            candidate=[point.candidate for point in self.points],
            stable=[point.stable for point in self.points],
            limit=[point.limit for point in self.points],
            samples=[point.samples for point in self.points],
            stable_samples=[point.stable_samples for point in self.points],
            estimated=self.estimated,
        )


NOTHING = MetricTrack([], 0)


@dataclass(slots=True)
class RolloutTrack:
    """One ModelDeployment: the figures of its rollout, and what was decided."""

    since: datetime
    """From when on this program has looked."""
    last: ModelDeployment | None = None
    metrics: dict[str, MetricTrack] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)

    def record(self, md: ModelDeployment, now: datetime) -> None:
        """Take in what the status says."""
        before = self.last
        if before is None or before.rollout.started_at != md.rollout.started_at:
            self.metrics, self.moments = {}, seed_moments(md)
        else:
            self.moments += compare_moments(before, md, now)
            del self.moments[:-MOST_MOMENTS]

        for metric in md.rollout.metrics:
            if metric.last_check is None:
                continue
            track = self.metrics.get(metric.name)
            if track is None:
                track = self.metrics[metric.name] = begin_track(metric)
            track.add(_point_of(metric, metric.last_check))
        self.last = md

    def series(self, name: str) -> MetricSeries:
        """Return the points of a metric."""
        return self.metrics.get(name, NOTHING).series()


def begin_track(metric: Metric) -> MetricTrack:
    """Return the values that the operator keeps, but for the newest, half a minute apart."""
    if metric.last_check is None:
        return MetricTrack([], 0)
    kept = metric.looks[:-1]
    points = [
        Point(metric.last_check - STORED_EVERY * (len(kept) - number), value)
        for number, value in enumerate(kept)
    ]
    points = [point for point in points if metric.since is None or point.at >= metric.since]
    return MetricTrack(points, len(points))


def _point_of(metric: Metric, at: datetime) -> Point:
    return Point(
        at, metric.candidate, metric.stable, metric.limit, metric.samples, metric.stable_samples
    )


def seed_moments(md: ModelDeployment) -> list[Moment]:
    """Return what the status itself remembers of this rollout, the oldest first."""
    rollout, found = md.rollout, []
    if rollout.started_at is not None:
        found.append(Moment(at=rollout.started_at, kind="stage", text="rollout began"))
    if rollout.step_started_at is not None and md.candidate is not None:
        found.append(_weight_moment(md, rollout.step_started_at))

    last = md.last_action
    is_of_this = rollout.started_at is None or (
        last is not None and last.at is not None and last.at >= rollout.started_at
    )
    if last is not None and last.at is not None and is_of_this:
        found.append(_action_moment(last, last.at))
    return sorted(found, key=lambda moment: moment.at)


def compare_moments(before: ModelDeployment, md: ModelDeployment, now: datetime) -> list[Moment]:
    """Return what was decided between two states of the same rollout."""
    found = []
    if before.rollout.acked_weight != md.rollout.acked_weight:
        found.append(_weight_moment(md, md.rollout.step_started_at or now))

    stage = style_stage(md)
    if style_stage(before).text != stage.text:
        found.append(Moment(at=now, kind="stage", text=stage.text, tone=tone_of(stage)))
    found += _judged_since(before, md, now)

    last = md.last_action
    if last is not None and last != before.last_action:
        found.append(_action_moment(last, last.at or now))
    for entry in md.history[-1:]:
        if entry not in before.history:
            outcome = style_end(md, entry)
            text = f"version {entry.version}: {outcome.text}"
            found.append(Moment(at=entry.at or now, kind="end", text=text, tone=tone_of(outcome)))
    return found


def _weight_moment(md: ModelDeployment, at: datetime) -> Moment:
    text = f"{md.rollout.acked_weight}% at every proxy"
    return Moment(at=at, kind="weight", text=text, tone="accent")


def _action_moment(last: LastAction, at: datetime) -> Moment:
    text = f"{last.verb} by {last.by}: {last.answer}"
    return Moment(at=at, kind="action", text=text, tone="accent")


def _judged_since(before: ModelDeployment, md: ModelDeployment, now: datetime) -> list[Moment]:
    known = {metric.name: metric.verdict for metric in before.rollout.metrics}
    return [
        Moment(
            at=metric.last_check or now,
            kind="verdict",
            text=f"{metric.name}: {metric.verdict}",
            tone=tone_of(style_word(metric.verdict)),
        )
        for metric in md.rollout.metrics
        if metric.verdict in JUDGED and known.get(metric.name) not in {None, metric.verdict}
    ]
