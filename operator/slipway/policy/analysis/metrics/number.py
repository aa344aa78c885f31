"""Metrics from outside the router: what their readings say, by the same tests.

`Counted` is a share, `Summed` a mean, `Said` is taken at its word. `Valued` is a number without
counts: at most once a minute it is one sample, above its limit or not, and the sign test decides;
it passes after three samples in a row within the limit, which is a convention and no promise.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from slipway.api.times import to_wire
from slipway.policy.analysis import wording
from slipway.policy.analysis.memory import Raw, ValueMemory, and_look, load_value
from slipway.policy.analysis.metrics.assessment import Assessed, Group, Look
from slipway.policy.analysis.metrics.mean import Mean, assess_mean
from slipway.policy.analysis.metrics.share import Share, assess_share
from slipway.policy.analysis.port import (
    Count,
    Counted,
    Metric,
    Missing,
    Reading,
    Said,
    Sum,
    Summed,
    Valued,
)
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import Pair, log_mean
from slipway.policy.statistics.mean_windows import SIGN_BETS, Window

SAMPLE_SECONDS = 60.0
WITHIN = 3
MOST_SOURCES = 40
COUNTERS = "c"
"""Key of what was read last; no key of the memories of a share or a mean."""
UNREAD = Missing("MetricsUnavailable", "it was not read")
Numbers = tuple[float, float]
Seen = Mapping[str, Numbers]


def assess_external(metric: Metric, reading: Reading, raw: Raw, look: Look) -> Assessed:
    """Return what a metric says."""
    match reading:
        case Missing():
            made = Assessed(_empty(metric), _kept(raw))
            return made.said("NoData", reading.reason, reading.message)
        case Said():
            return Assessed(_empty(metric), {}).said(
                reading.verdict, reading.reason, reading.message
            )
        case Counted():
            return _counted(metric, reading, raw, look)
        case Summed():
            return _summed(metric, reading, raw, look)
        case Valued():
            return _valued(metric, reading, raw, look)


def _kept(raw: Raw) -> Raw:
    """Return what a metric remembered, for a look that could not read it."""
    return {key: raw[key] for key in raw if key not in {"known", "a"}}


def _empty(metric: Metric) -> Judgement:
    return Judgement(metric.name, "NoData", "", "", role=metric.role, limit=metric.maximum)


def _counted(metric: Metric, reading: Counted, raw: Raw, look: Look) -> Assessed:
    now = _flat(reading.candidate, reading.stable)
    if not _is_sound(now):
        return _unsound(metric, raw)
    (n_c, k_c), (n_s, k_s) = _gained(reading.candidate, reading.stable, now, raw, look)
    tolerance = look.plan.tolerance
    increase = metric.max_increase if metric.max_increase is not None else tolerance.relative
    share = Share(
        metric.name,
        "bad",
        "TooMany",
        Group.REST,
        metric.role,
        relative=1 + increase,
        absolute=tolerance.absolute,
        maximum=metric.maximum,
        shared_at=0.5,
    )
    made = assess_share(share, Pair(int(n_c), int(k_c), int(n_s), int(k_s)), raw, look)
    return replace(made, raw={**made.raw, COUNTERS: now})


def _summed(metric: Metric, reading: Summed, raw: Raw, look: Look) -> Assessed:
    now = _flat(reading.candidate, reading.stable)
    if not _is_sound(now):
        return _unsound(metric, raw)
    (n_c, sum_c), (n_s, sum_s) = _gained(reading.candidate, reading.stable, now, raw, look)

    def limit(stable: float) -> float:
        if metric.maximum is not None:
            return metric.maximum
        increase = metric.max_increase
        return (1 + (look.plan.tolerance.relative if increase is None else increase)) * stable

    mean = Mean(
        metric.name,
        "mean",
        "TooHigh",
        Group.REST,
        metric.role,
        limit,
        lambda total, count: total / count,
    )
    delta = Window(int(n_c), sum_c, int(n_s), sum_s, look.seconds)
    made = assess_mean(mean, delta, raw, look)
    return replace(made, raw={**made.raw, COUNTERS: now})


def _flat(
    candidate: Mapping[str, Count | Sum], stable: Mapping[str, Count | Sum]
) -> dict[str, Numbers]:
    """Return all counters by arm and source."""
    found = {f"c/{name}": _numbers(item) for name, item in sorted(candidate.items())}
    found |= {f"s/{name}": _numbers(item) for name, item in sorted(stable.items())}
    return dict(list(found.items())[:MOST_SOURCES])


def _numbers(item: Count | Sum) -> Numbers:
    return float(item.total), float(item.bad if isinstance(item, Count) else item.sum)


def _is_sound(counters: Seen) -> bool:
    return all(math.isfinite(value) and value >= 0 for pair in counters.values() for value in pair)


def _unsound(metric: Metric, raw: Raw) -> Assessed:
    made = Assessed(_empty(metric), _kept(raw))
    return made.said("NoData", "MetricsUnavailable", "a counter is negative or not a number")


def _gained(
    candidate: Mapping[str, Count | Sum],
    stable: Mapping[str, Count | Sum],
    now: Seen,
    raw: Raw,
    look: Look,
) -> tuple[Numbers, Numbers]:
    """Return what each revision's sources counted since the base; a step begins with nothing."""
    arms: list[Numbers] = []
    before = raw.get(COUNTERS)
    known = before if isinstance(before, dict) and not look.is_new_step else None
    for arm, items in (("c", candidate), ("s", stable)):
        total = second = 0.0
        for name, item in items.items():
            pair = now.get(f"{arm}/{name}")
            if pair is None or known is None:
                continue
            gained = _less(pair, known.get(f"{arm}/{name}"), is_new=item.is_new)
            total, second = total + gained[0], second + gained[1]
        arms.append((total, second))
    return arms[0], arms[1]


def _less(now: Numbers, before: object, *, is_new: bool) -> Numbers:
    if not isinstance(before, list | tuple):
        return now if is_new else (0.0, 0.0)
    if now[0] < before[0]:
        return now
    return now[0] - before[0], max(0.0, now[1] - before[1])


def _valued(metric: Metric, reading: Valued, raw: Raw, look: Look) -> Assessed:
    limit = _value_limit(metric, reading, look)
    values = (reading.candidate, reading.stable or 0.0)
    if not all(map(math.isfinite, values)):
        return _unsound(metric, raw)
    memory = load_value(raw) or ValueMemory(age=SAMPLE_SECONDS, lost=int(bool(raw.get("known"))))
    if look.is_new_step:
        memory = replace(memory, within=0, samples=0)
    made = Assessed(
        replace(
            _empty(metric),
            candidate=reading.candidate,
            baseline=reading.stable,
            limit=limit,
            since=to_wire(look.base.since),
            looks=memory.looks,
        ),
        memory.raw(),
    )
    if limit is None:
        return made.said("NoData", "NoBaseline", "stable has no value to compare with")
    memory = _sampled(memory, reading.candidate, limit, look)
    text = (
        f"{reading.candidate:.4g}"
        + (f" beside {reading.stable:.4g} on stable" if reading.stable is not None else "")
        + f", limit {limit:.4g}, {memory.samples} samples, since {look.base.since:%H:%M:%S}"
        + wording.lost(memory.lost)
    )
    judgement = replace(made.judgement, samples=memory.samples, looks=memory.looks)
    log_e = log_mean(memory.signs)
    made = Assessed(
        judgement, memory.raw(), Group.REST, log_e, fail_reason="AboveLimit", words=text
    )
    if memory.within >= WITHIN:
        return made.said("Pass", "WithinLimit", text)
    missing = f"needs {WITHIN - memory.within} more samples within the limit: {text}"
    return made.said("Inconclusive", "Undecided", missing)


def _value_limit(metric: Metric, reading: Valued, look: Look) -> float | None:
    if metric.maximum is not None:
        return metric.maximum
    if reading.stable is None:
        return None
    increase = metric.max_increase
    return reading.stable * (1 + (look.plan.tolerance.relative if increase is None else increase))


def _sampled(memory: ValueMemory, value: float, limit: float, look: Look) -> ValueMemory:
    age = memory.age + look.seconds
    if age < SAMPLE_SECONDS and memory.samples:
        return replace(memory, age=age)
    sign = 1 if value > limit else -1
    wins = (math.log1p(bet * sign) for bet in SIGN_BETS)
    return replace(
        memory,
        signs=tuple(old + won for old, won in zip(memory.signs, wins, strict=True)),
        within=memory.within + 1 if sign < 0 else 0,
        samples=memory.samples + 1,
        age=0.0,
        looks=and_look(memory.looks, value),
    )
