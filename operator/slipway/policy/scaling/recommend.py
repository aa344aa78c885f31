"""How many replicas the load needs: pure, from readings, bounds and the time.

Up within seconds: a short window (panic) sees a step, a long one (stable) sees a trend. Down only
on evidence: the highest recommendation of the whole stabilisation window counts, a gap in what is
measured makes that window begin anew, and a process that has just started knows nothing yet. An
outage is no evidence: where replicas that should answer do not, few requests say little.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from slipway.api.modeldeployment import Scaling
from slipway.policy.scaling.demand import Pace, demand, learn
from slipway.policy.scaling.signals import Reading
from slipway.policy.sizing import DEFAULT_CONCURRENCY, Sizing, replicas_for_load

PANIC = timedelta(seconds=6)
PANIC_READINGS = 3
"""The last ones of that window: one alone may be a blip, and on a busy machine they come late."""
SLOW_READINGS = 2
"""Where looks are slower, so many within `GAP` do, if they are …"""
APART = timedelta(seconds=2)
"""… so far from each other: as far as `PANIC_READINGS` at one per second."""
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
"""Longer between two readings: what is remembered says nothing any more."""
TOO_SLOW = f"readings are too slow: more than {GAP.total_seconds():g} s from one to the next"
SAID_AFTER = timedelta(seconds=10)
"""A signal that is missing freezes at once, and is worth a word after so long."""
HELD_AFTER = timedelta(seconds=30)
"""Replicas that are held, or are no more, are worth a word when it has been so for so long."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the user wants."""

    least: int
    most: int
    concurrency: float
    """Requests in flight per replica."""
    queue_millis: float | None
    down: timedelta


def bounds_of(scaling: Scaling) -> Bounds:
    """Return the bounds of a spec, with what is absent filled in."""
    return Bounds(
        least=scaling.min_replicas,
        most=scaling.most,
        concurrency=scaling.target.concurrency or DEFAULT_CONCURRENCY,
        queue_millis=scaling.target.queue_millis,
        down=timedelta(seconds=scaling.down_seconds),
    )


KNOWS_NOTHING = Pace()


@dataclass(frozen=True, slots=True)
class Memory:
    """What one reading leaves for the next; lost with the process, and then held again."""

    readings: tuple[Reading, ...] = ()
    """Of the stable window; what they call load is the demand."""
    raw: tuple[Reading, ...] = ()
    """The last few as they were read."""
    pace: Pace = KNOWS_NOTHING
    asked: tuple[tuple[datetime, int], ...] = ()
    """Recommendations of the stabilisation window that no later one exceeds, unbounded."""
    since: datetime | None = None
    """Of the first reading."""
    missing_since: datetime | None = None
    present: int = 0
    """Replicas asked for at the last reading."""
    down_at: datetime | None = None
    """Of the last step down."""
    panic_at: datetime | None = None
    """When the short window last asked for much more than there was."""
    says_held: bool = False
    """It is said that more replicas are kept than the load needs …"""
    turned_at: datetime | None = None
    """… and since when that is no more so, or so already."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one signal asks for."""

    replicas: int
    signal: str
    value: float
    target: float


def recommend(
    memory: Memory, new: Reading, bounds: Bounds, *, current: int, ready: int, homeless: int = 0
) -> tuple[Sizing, Memory]:
    """Return the replicas that the load needs, and what to remember.

    `current` replicas are asked for now, `ready` of them answer, and for `homeless` ones there is
    no node: those alone hold nothing up. What was never measured changes nothing: without any
    reading the current number stays, within the bounds.
    """
    if memory.readings and new.at - memory.readings[-1].at > GAP:
        memory = Memory(missing_since=memory.missing_since)
        new = replace(new, missing=new.missing or TOO_SLOW)
    memory = _remember(memory, new, bounds, is_whole=ready >= current, ready=ready)
    memory = _panic(_step(memory, current, new.at), bounds, current, new.at)
    wish = _wish(memory, bounds, ready, new.at)
    raw = wish.replicas if wish is not None else current
    is_missing = memory.missing_since is not None
    is_short = ready == 0 or ready < current - homeless
    keeps = is_missing or is_short or _queue_keeps(memory, bounds, new.at)
    memory = _ask(memory, new.at, max(raw, current) if keeps else raw)
    number, bound_by = _bounded(memory, new.at, raw, bounds, current)
    memory = _hold(memory, new.at, is_held=bound_by == "stabilization", grows=number > current)
    if bound_by in {"stabilization", None}:
        bound_by = "stabilization" if memory.says_held else None
    if is_missing:
        bound_by = "SignalsMissing"
    elif is_short and bound_by == "stabilization":
        bound_by = "NotReady"
    said = memory.missing_since is not None and new.at - memory.missing_since >= SAID_AFTER
    sizing = Sizing(
        replicas=number,
        signal=wish.signal if wish else "",
        value=wish.value if wish else None,
        target=wish.target if wish else None,
        bound_by=bound_by,
        missing=new.missing if said else "",
        loads=_loads(memory, new.at),
        concurrency=bounds.concurrency,
    )
    return sizing, memory


def _step(memory: Memory, current: int, now: datetime) -> Memory:
    down_at = now if current < memory.present else memory.down_at
    return replace(memory, present=current, down_at=down_at)


def _remember(
    memory: Memory, new: Reading, bounds: Bounds, *, is_whole: bool, ready: int
) -> Memory:
    before = memory.raw[-1] if memory.raw else None
    load, pace = demand(memory.pace, new, before, ready, bounds.concurrency)
    raw = (*(old for old in memory.raw if new.at - old.at < SHARE), new)
    told = new if new.load is None else replace(new, load=load)
    missing_since = (memory.missing_since or new.at) if new.missing else None
    return replace(
        memory,
        readings=(*(old for old in memory.readings if new.at - old.at < STABLE), told),
        raw=raw,
        pace=learn(pace, raw, is_whole=is_whole),
        asked=tuple(entry for entry in memory.asked if new.at - entry[0] <= bounds.down),
        since=memory.since or new.at,
        missing_since=missing_since,
    )


def _wish(memory: Memory, bounds: Bounds, ready: int, now: datetime) -> _Wish | None:
    """Return what the signal asks for that asks for most; None: nothing is known yet."""
    wishes = [_queue(memory, bounds, ready, now)]
    if memory.panic_at is not None and now - memory.panic_at < PANIC_LASTS:
        wishes.append(_short(memory, bounds, now))
    long = _told_within(memory, STABLE, now)
    if long and long[-1].at - long[0].at >= TREND:
        wishes.append(_by_concurrency(long, bounds))
    known = [wish for wish in wishes if wish is not None]
    return max(known, key=lambda wish: wish.replicas, default=None)


def _panic(memory: Memory, bounds: Bounds, current: int, now: datetime) -> Memory:
    wish = _short(memory, bounds, now)
    if wish is None or wish.replicas < PANIC_FACTOR * current:
        return memory
    told = [entry.load for entry in memory.raw if entry.load is not None][-PANIC_READINGS:]
    # a queue is no noise, however small the demand that it is taken for
    load = max(wish.value, sum(told) / max(1, len(told)))
    noise = PANIC_NOISE * math.sqrt(load / PANIC_READINGS)
    if load - noise <= current * bounds.concurrency:
        return memory
    return replace(memory, panic_at=now)


def _short(memory: Memory, bounds: Bounds, now: datetime) -> _Wish | None:
    told = _told_within(memory, PANIC, now)[-PANIC_READINGS:]
    if len(told) < PANIC_READINGS:
        told = _told_within(memory, GAP, now)[-SLOW_READINGS:]
        if len(told) < SLOW_READINGS or told[-1].at - told[0].at < APART:
            return None
    return _by_concurrency(told, bounds)


def _by_concurrency(told: Sequence[Reading], bounds: Bounds) -> _Wish:
    load = sum(entry.load or 0.0 for entry in told) / len(told)
    replicas = replicas_for_load(load, bounds.concurrency)
    return _Wish(replicas, "concurrency", round(load, 1), bounds.concurrency)


def _queue(memory: Memory, bounds: Bounds, ready: int, now: datetime) -> _Wish | None:
    wait = _mean_wait(memory, now)
    if bounds.queue_millis is None or wait is None or wait <= bounds.queue_millis:
        return None
    factor = min(QUEUE_FACTOR, wait / bounds.queue_millis)
    return _Wish(math.ceil(ready * factor), "queue", round(wait, 1), bounds.queue_millis)


def _queue_keeps(memory: Memory, bounds: Bounds, now: datetime) -> bool:
    """Whether the queue is so close to its target that fewer replicas would bring it there."""
    wait = _mean_wait(memory, now)
    target = bounds.queue_millis
    return target is not None and wait is not None and wait > QUEUE_KEEPS * target


def _mean_wait(memory: Memory, now: datetime) -> float | None:
    lately = [entry for entry in memory.readings if now - entry.at < QUEUE]
    requests = sum(entry.waits for entry in lately)
    return sum(entry.waited_millis for entry in lately) / requests if requests else None


def _told_within(memory: Memory, window: timedelta, now: datetime) -> list[Reading]:
    return [
        entry for entry in memory.readings if entry.load is not None and now - entry.at < window
    ]


def _ask(memory: Memory, now: datetime, number: int) -> Memory:
    """Keep a recommendation, and forget the earlier ones that it exceeds."""
    higher = (entry for entry in memory.asked if entry[1] > number)
    return replace(memory, asked=(*higher, (now, number)))


def _bounded(
    memory: Memory, now: datetime, raw: int, bounds: Bounds, current: int
) -> tuple[int, str | None]:
    """Return the number within all bounds, and which of them it met."""
    highest = memory.asked[0][1]
    within = _clamp(raw, bounds)
    present = _clamp(current, bounds)
    bound_by = None
    if within < present:
        is_sure = memory.since is not None and now - memory.since >= bounds.down
        is_sure = is_sure and (memory.down_at is None or now - memory.down_at >= DOWN_EVERY)
        kept = min(present, _clamp(highest, bounds)) if is_sure else present
        if kept > within:
            within, bound_by = kept, "stabilization"
    if highest > bounds.most:
        bound_by = "maxReplicas"
    elif raw < bounds.least == within:
        bound_by = "minReplicas"
    return within, bound_by


def _hold(memory: Memory, now: datetime, *, is_held: bool, grows: bool) -> Memory:
    """Return what is said of replicas that are held: a load around an edge is no news."""
    if grows:
        return replace(memory, says_held=False, turned_at=None)
    if is_held == memory.says_held:
        return replace(memory, turned_at=None)
    turned_at = memory.turned_at or now
    if now - turned_at < HELD_AFTER:
        return replace(memory, turned_at=turned_at)
    return replace(memory, says_held=is_held, turned_at=None)


def _clamp(number: int, bounds: Bounds) -> int:
    return max(bounds.least, min(bounds.most, number))


def _loads(memory: Memory, now: datetime) -> dict[str, float]:
    lately = [entry for entry in memory.readings if now - entry.at < SHARE]
    names: Iterable[str] = {name for entry in lately for name in entry.by_revision}
    return {
        name: sum(entry.by_revision.get(name, 0.0) for entry in lately) / len(lately)
        for name in names
    }
