"""How long rollouts, the detection of faults, and roll backs took; pure.

All of it is read from two statuses: the one that a pass found, and the one that it wrote in its
place. What is new in the second was brought about by this pass and by no other, so whoever wrote it
counts it, and a successor finds nothing new in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from slipway.api.modeldeployment import (
    LastRollback,
    ModelDeploymentStatus,
    Outcome,
    RolloutStatus,
    Stage,
)
from slipway.api.times import from_wire


class Span(StrEnum):
    """What lasted."""

    ROLLOUT = "rollout"
    """From `startedAt` to the end of the candidate."""
    DETECTION = "detection"
    """From the begin of the step in which a fault was found to the decision to roll back."""
    ROLLBACK = "rollback"
    """From that decision until every proxy had given the traffic back."""


class WayBack(StrEnum):
    """Which revision a roll back went to."""

    STABLE = "Stable"
    """The one that served beside the candidate; its replicas are there."""
    EARLIER = "Earlier"
    """One that served before stable; its replicas are started first."""


SUBJECTS: Mapping[Span, tuple[str, ...]] = {
    # packaging that fails is tried again, and no candidate comes of it
    Span.ROLLOUT: tuple(it.value for it in Outcome if it is not Outcome.PACKAGING_FAILED),
    Span.DETECTION: (Stage.PROGRESSING.value, Stage.BAKING.value),
    Span.ROLLBACK: tuple(it.value for it in WayBack),
}
"""All that a span can be of: outcome, stage, or which revision it went to."""


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something took that has just ended."""

    span: Span
    subject: str
    """One of the `SUBJECTS` of its span."""
    seconds: float
    """At least 0: clocks may be set back, and those of nodes differ."""


def measure_durations(
    before: ModelDeploymentStatus, after: ModelDeploymentStatus, *, written_weight: int
) -> Iterator[Duration]:
    """Yield what ended with the pass that found one status and wrote the other.

    `written_weight` is what the router had been asked to give the candidate, in percent. What a
    lost status knew the begin of is left out.
    """
    yield from _measure_rollouts(before, after)

    last = after.last_rollback
    if last is None:
        return
    if not _is_same(before.last_rollback, last):
        yield from _measure_detection(before, last, written_weight)
    known = before.last_rollback
    was_restored = _is_same(known, last) and known is not None and known.traffic_restored_at
    if last.traffic_restored_at is not None and not was_restored:
        yield from _measure_rollback(before, last)


def _measure_rollouts(
    before: ModelDeploymentStatus, after: ModelDeploymentStatus
) -> Iterator[Duration]:
    began = after.rollout.started_at if after.rollout is not None else None
    for entry in after.history:
        if entry not in before.history:
            yield from _span(Span.ROLLOUT, entry.outcome, began, entry.at)


def _measure_detection(
    before: ModelDeploymentStatus, last: LastRollback, written_weight: int
) -> Iterator[Duration]:
    """Yield the time to a decision that evidence led to, while users were answered."""
    rollout, candidate = before.rollout, before.candidate
    if rollout is None or candidate is None or candidate.revision != last.from_:
        return  # a way back to an earlier revision, which somebody asked for
    if last.metric is None or not (written_weight or rollout.acked_weight):
        return

    stage = rollout.underlying or rollout.stage
    yield from _span(
        Span.DETECTION, stage, _find_begin_of_step(rollout, written_weight), last.decided_at
    )


def _find_begin_of_step(rollout: RolloutStatus, written_weight: int) -> str | None:
    """Return when the candidate got its present weight.

    One that some proxies may have already, and not all of them have acknowledged, began when it was
    written: since then the rollout has been waiting for them.
    """
    if written_weight > rollout.acked_weight and rollout.waits_since is not None:
        return rollout.waits_since
    return rollout.alarm_step_started_at or rollout.step_started_at


def _measure_rollback(before: ModelDeploymentStatus, last: LastRollback) -> Iterator[Duration]:
    stable = before.stable.revision if before.stable is not None else None
    way = WayBack.STABLE if last.to == stable else WayBack.EARLIER
    yield from _span(Span.ROLLBACK, way, last.decided_at, last.traffic_restored_at)


def _is_same(one: LastRollback | None, other: LastRollback) -> bool:
    return one is not None and (one.from_, one.decided_at) == (other.from_, other.decided_at)


def _span(span: Span, subject: str, began: str | None, ended: str | None) -> Iterator[Duration]:
    began_at, ended_at = from_wire(began), from_wire(ended)
    if began_at is not None and ended_at is not None and subject in SUBJECTS[span]:
        yield Duration(span, subject, max(0.0, (ended_at - began_at).total_seconds()))
