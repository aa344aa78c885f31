"""How many replicas the load needs: pure, from samples of the load, bounds and the time.

Up within seconds: a short window (panic) sees a step, a long one (stable) sees a trend. Down only
on evidence: the highest recommendation of the whole stabilization window counts, a gap in what is
measured restarts that window, and a process that has just started knows nothing yet. An outage is
no evidence: where replicas that should answer do not, few requests say little.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Scaling
from slipway.policy.scaling.demand import Pace, estimate_demand, learn_pace
from slipway.policy.scaling.signals import LoadSample
from slipway.policy.sizing import DEFAULT_CONCURRENCY, BoundBy, Sizing, replicas_for_load

PANIC = timedelta(seconds=6)
PANIC_SAMPLES = 3
"""The last ones of that window: one alone may be a blip, and on a busy machine they come late."""
SLOW_SAMPLES = 2
"""Where the load is looked at less often, so many within `GAP` do, if they are …"""
APART = timedelta(seconds=2)
"""… so far from each other: as far as `PANIC_SAMPLES` at one per second."""
STABLE = timedelta(seconds=60)
TREND = timedelta(seconds=14)
"""Less of that window is no trend."""
SHARE = timedelta(seconds=10)
"""Over which each revision's own load is averaged: shorter than a step of a rollout."""
QUEUE = timedelta(seconds=10)
PANIC_FACTOR = 1.5
"""The short window counts where it asks for so many times the present replicas …"""
PANIC_NOISE = 2.0
"""… and where it is above what they should have by so many standard deviations …"""
PANIC_LASTS = timedelta(seconds=6)
"""… and for so long after that, so that a step is followed to its end."""
QUEUE_FACTOR = 2.0
"""Queue time says that there are too few, not how few: at most doubled."""
QUEUE_KEEPS = 0.5
"""Share of the target wait above which no replica goes."""
DOWN_EVERY = timedelta(seconds=15)
"""At most one step down within so long: a few large ones instead of many small ones."""
GAP = timedelta(seconds=10)
"""Longer between two samples: what is remembered says nothing any more."""
TOO_SLOW = f"readings are too slow: more than {GAP.total_seconds():g} s apart"
SAID_AFTER = timedelta(seconds=10)
"""A signal that is missing freezes at once, and is reported after so long."""
HELD_AFTER = timedelta(seconds=30)
"""Replicas that are held, or are no more, are reported when it has been so for so long."""


@dataclass(frozen=True, slots=True)
class ScalingBounds:
    """What the user wants."""

    least: int
    most: int
    concurrency: float
    """Requests in flight per replica."""
    queue_millis: float | None
    down: timedelta
    """The stabilization window."""


def bounds_of(scaling: Scaling) -> ScalingBounds:
    """Return the bounds of a spec, with what is absent filled in."""
    return ScalingBounds(
        least=scaling.least_awake,
        most=scaling.most,
        concurrency=scaling.target.concurrency or DEFAULT_CONCURRENCY,
        queue_millis=scaling.target.queue_millis,
        down=timedelta(seconds=scaling.down_seconds),
    )


UNKNOWN_PACE = Pace()


@dataclass(frozen=True, slots=True)
class ScalerMemory:
    """What one sample leaves for the next; lost with the process, and then replicas are held."""

    samples: tuple[LoadSample, ...] = ()
    """Of the stable window; what they call load is the demand."""
    recent: tuple[LoadSample, ...] = ()
    """The last few as they were measured."""
    pace: Pace = UNKNOWN_PACE
    recommendations: tuple[tuple[datetime, int], ...] = ()
    """Of the stabilization window, those that no later one exceeds; unbounded."""
    since: datetime | None = None
    """Of the first sample."""
    missing_since: datetime | None = None
    present: int = 0
    """Replicas asked for at the last sample."""
    down_at: datetime | None = None
    """Of the last step down."""
    panic_at: datetime | None = None
    """When the short window last asked for much more than there was."""
    says_held: bool = False
    """It is reported that more replicas are kept than the load needs …"""
    turned_at: datetime | None = None
    """… and since when that is no more so, or so already."""
    idle_since: datetime | None = None
    """Since when no request has come, and none was under way; None: one was, or who knows."""


@dataclass(frozen=True, slots=True)
class _Proposal:
    """What one signal asks for."""

    replicas: int
    signal: str
    value: float
    target: float


def recommend_replicas(
    memory: ScalerMemory,
    new: LoadSample,
    bounds: ScalingBounds,
    *,
    current: int,
    ready: int,
    unschedulable: int = 0,
) -> tuple[Sizing, ScalerMemory]:
    """Return the replicas that the load needs, and what to remember.

    `current` replicas are asked for now, `ready` of them answer, and `unschedulable` ones wait for
    a node: those alone hold nothing up. What was never measured changes nothing: without any sample
    the current number stays, within the bounds.
    """
    now = new.at
    if memory.samples and now - memory.samples[-1].at > GAP:
        memory = ScalerMemory(missing_since=memory.missing_since)
        new = replace(new, missing=new.missing or TOO_SLOW)
    memory = _add_sample(memory, new, bounds, is_whole=ready >= current, ready=ready)
    memory = _note_panic(_note_replicas(memory, current, now), bounds, current, now)
    memory = _note_idleness(memory, new, ready)

    proposal = _highest_proposal(memory, bounds, ready, now)
    wanted = proposal.replicas if proposal is not None else current

    # Replicas go only on evidence. What is recommended while there is none counts as the present
    # number, so that the window has to pass once more after it.
    is_missing = memory.missing_since is not None
    is_short = ready == 0 or ready < current - unschedulable
    keeps = is_missing or is_short or _is_queue_close(memory, bounds, now)
    memory = _keep_recommendation(memory, now, max(wanted, current) if keeps else wanted)
    number, bound_by = _within_bounds(memory, now, wanted, bounds, current)

    is_held = bound_by is BoundBy.STABILIZATION
    memory = _note_held(memory, now, is_held=is_held, grows=number > current)
    sizing = Sizing(
        replicas=number,
        signal=proposal.signal if proposal else "",
        value=proposal.value if proposal else None,
        target=proposal.target if proposal else None,
        bound_by=_reported_bound(memory, bound_by, is_missing=is_missing, is_short=is_short),
        missing=new.missing if _is_missing_for_long(memory, now) else "",
        loads=_mean_loads(memory, now),
        concurrency=bounds.concurrency,
        at=now,
        idle_since=memory.idle_since,
    )
    return sizing, memory


def _note_idleness(memory: ScalerMemory, new: LoadSample, ready: int) -> ScalerMemory:
    """Only what was counted at every router counts, and only while somebody could answer."""
    is_idle = new.load == 0 and new.finished == 0 and not new.missing and ready > 0
    return replace(memory, idle_since=(memory.idle_since or new.at) if is_idle else None)


def _note_replicas(memory: ScalerMemory, current: int, now: datetime) -> ScalerMemory:
    down_at = now if current < memory.present else memory.down_at
    return replace(memory, present=current, down_at=down_at)


def _add_sample(
    memory: ScalerMemory, new: LoadSample, bounds: ScalingBounds, *, is_whole: bool, ready: int
) -> ScalerMemory:
    before = memory.recent[-1] if memory.recent else None
    load, pace = estimate_demand(memory.pace, new, before, ready, bounds.concurrency)
    recent = (*(old for old in memory.recent if new.at - old.at < SHARE), new)

    # The windows hold the demand; how long a request takes is learnt from what was measured.
    sample = new if new.load is None else replace(new, load=load)
    missing_since = (memory.missing_since or new.at) if new.missing else None
    return replace(
        memory,
        samples=(*(old for old in memory.samples if new.at - old.at < STABLE), sample),
        recent=recent,
        pace=learn_pace(pace, recent, is_whole=is_whole),
        recommendations=tuple(
            entry for entry in memory.recommendations if new.at - entry[0] <= bounds.down
        ),
        since=memory.since or new.at,
        missing_since=missing_since,
    )


def _note_panic(
    memory: ScalerMemory, bounds: ScalingBounds, current: int, now: datetime
) -> ScalerMemory:
    proposal = _propose_by_short_window(memory, bounds, now)
    if proposal is None or proposal.replicas < PANIC_FACTOR * current:
        return memory

    # A queue is no noise, however small the demand that it is taken for.
    measured = [sample.load for sample in memory.recent if sample.load is not None]
    last = measured[-PANIC_SAMPLES:]
    load = max(proposal.value, sum(last) / max(1, len(last)))
    noise = PANIC_NOISE * math.sqrt(load / PANIC_SAMPLES)
    if load - noise <= current * bounds.concurrency:
        return memory
    return replace(memory, panic_at=now)


def _highest_proposal(
    memory: ScalerMemory, bounds: ScalingBounds, ready: int, now: datetime
) -> _Proposal | None:
    """Return what the signal asks for that asks for most; None: nothing is known yet."""
    proposals = [_propose_by_queue_time(memory, bounds, ready, now)]
    if memory.panic_at is not None and now - memory.panic_at < PANIC_LASTS:
        proposals.append(_propose_by_short_window(memory, bounds, now))
    long = _samples_within(memory, STABLE, now)
    if long and long[-1].at - long[0].at >= TREND:
        proposals.append(_propose_by_concurrency(long, bounds))

    known = [proposal for proposal in proposals if proposal is not None]
    return max(known, key=lambda proposal: proposal.replicas, default=None)


def _propose_by_short_window(
    memory: ScalerMemory, bounds: ScalingBounds, now: datetime
) -> _Proposal | None:
    samples = _samples_within(memory, PANIC, now)[-PANIC_SAMPLES:]
    if len(samples) < PANIC_SAMPLES:
        samples = _samples_within(memory, GAP, now)[-SLOW_SAMPLES:]
        if len(samples) < SLOW_SAMPLES or samples[-1].at - samples[0].at < APART:
            return None
    return _propose_by_concurrency(samples, bounds)


def _propose_by_concurrency(samples: Sequence[LoadSample], bounds: ScalingBounds) -> _Proposal:
    load = sum(sample.load or 0.0 for sample in samples) / len(samples)
    replicas = replicas_for_load(load, bounds.concurrency)
    return _Proposal(replicas, "concurrency", round(load, 1), bounds.concurrency)


def _propose_by_queue_time(
    memory: ScalerMemory, bounds: ScalingBounds, ready: int, now: datetime
) -> _Proposal | None:
    wait = _mean_wait_millis(memory, now)
    if bounds.queue_millis is None or wait is None or wait <= bounds.queue_millis:
        return None
    factor = min(QUEUE_FACTOR, wait / bounds.queue_millis)
    return _Proposal(math.ceil(ready * factor), "queue", round(wait, 1), bounds.queue_millis)


def _is_queue_close(memory: ScalerMemory, bounds: ScalingBounds, now: datetime) -> bool:
    """Return whether fewer replicas would bring the queue time to its target."""
    wait = _mean_wait_millis(memory, now)
    target = bounds.queue_millis
    return target is not None and wait is not None and wait > QUEUE_KEEPS * target


def _mean_wait_millis(memory: ScalerMemory, now: datetime) -> float | None:
    lately = [sample for sample in memory.samples if now - sample.at < QUEUE]
    requests = sum(sample.waits for sample in lately)
    return sum(sample.waited_millis for sample in lately) / requests if requests else None


def _samples_within(memory: ScalerMemory, window: timedelta, now: datetime) -> list[LoadSample]:
    return [
        sample for sample in memory.samples if sample.load is not None and now - sample.at < window
    ]


def _keep_recommendation(memory: ScalerMemory, now: datetime, number: int) -> ScalerMemory:
    """Keep a recommendation, and forget the earlier ones that it exceeds."""
    higher = (entry for entry in memory.recommendations if entry[1] > number)
    return replace(memory, recommendations=(*higher, (now, number)))


def _within_bounds(
    memory: ScalerMemory, now: datetime, wanted: int, bounds: ScalingBounds, current: int
) -> tuple[int, BoundBy | None]:
    """Return the number within all bounds, and which of them it met."""
    highest = memory.recommendations[0][1]
    number = _clamp_to_bounds(wanted, bounds)
    present = _clamp_to_bounds(current, bounds)
    bound_by = None
    if number < present:
        is_sure = memory.since is not None and now - memory.since >= bounds.down
        is_sure = is_sure and (memory.down_at is None or now - memory.down_at >= DOWN_EVERY)
        kept = min(present, _clamp_to_bounds(highest, bounds)) if is_sure else present
        if kept > number:
            number, bound_by = kept, BoundBy.STABILIZATION

    # The user's own bounds are named first: those are in the user's hands.
    if highest > bounds.most:
        bound_by = BoundBy.MAX_REPLICAS
    elif wanted < bounds.least == number:
        bound_by = BoundBy.MIN_REPLICAS
    return number, bound_by


def _note_held(memory: ScalerMemory, now: datetime, *, is_held: bool, grows: bool) -> ScalerMemory:
    """Return what is reported of replicas that are held: a load around an edge is no news."""
    if grows:
        return replace(memory, says_held=False, turned_at=None)
    if is_held == memory.says_held:
        return replace(memory, turned_at=None)
    turned_at = memory.turned_at or now
    if now - turned_at < HELD_AFTER:
        return replace(memory, turned_at=turned_at)
    return replace(memory, says_held=is_held, turned_at=None)


def _reported_bound(
    memory: ScalerMemory, bound_by: BoundBy | None, *, is_missing: bool, is_short: bool
) -> BoundBy | None:
    """Return the bound that status names: that of the longest standing, not of this sample."""
    if is_missing:
        return BoundBy.SIGNALS_MISSING
    if bound_by not in {BoundBy.STABILIZATION, None}:
        return bound_by
    if not memory.says_held:
        return None
    return BoundBy.NOT_READY if is_short else BoundBy.STABILIZATION


def _is_missing_for_long(memory: ScalerMemory, now: datetime) -> bool:
    return memory.missing_since is not None and now - memory.missing_since >= SAID_AFTER


def _clamp_to_bounds(number: int, bounds: ScalingBounds) -> int:
    return max(bounds.least, min(bounds.most, number))


def _mean_loads(memory: ScalerMemory, now: datetime) -> dict[str, float]:
    lately = [sample for sample in memory.samples if now - sample.at < SHARE]
    names: Iterable[str] = {name for sample in lately for name in sample.by_revision}
    return {
        name: sum(sample.by_revision.get(name, 0.0) for sample in lately) / len(lately)
        for name in names
    }
