"""A metric from outside the router, assessed by the kind of its reading.

`Counted` is a share and `Summed` a mean, of what their sources counted since the last stored look;
`Valued` is a number (`number`), `Stated` is taken at its word. `Binned` and `MemoryUse` are not
assessed here: drift and memory are judged on their own (`prediction_drift`, `memory_rise`).
"""

import math
from collections.abc import Mapping

from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import (
    Binned,
    Count,
    Counted,
    MemoryUse,
    Reading,
    Stated,
    Sum,
    Summed,
    Valued,
)
from slipway.policy.analysis.metric_memory import (
    MOST,
    STAMP,
    UNBEGUN,
    KeptMemory,
    StoredState,
    are_sound,
    decode_state,
    load_counters,
    load_mean,
    load_share,
    load_value,
)
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look
from slipway.policy.analysis.metrics.mean import MeanMetric, assess_mean
from slipway.policy.analysis.metrics.number import assess_number, highest_allowed
from slipway.policy.analysis.metrics.share import ShareMetric, assess_share, weigh_evidence
from slipway.policy.analysis.plan import MetricPlan
from slipway.policy.judgement import Judgement, Memory
from slipway.policy.statistics.eprocess import NOTHING, Pair, log_mean
from slipway.policy.statistics.mean_windows import Window
from slipway.records import replace

MOST_SOURCES = 200
"""Of each revision; what is remembered of them fits into `STATE_LENGTH` characters."""
UNREAD = Why(Reason.METRICS_UNAVAILABLE, "this metric was not read")
UNSOUND = Why(Reason.METRICS_UNAVAILABLE, "a value is negative or not a number")
NOT_JUDGED = Why(Reason.NOT_JUDGED, "read, but not judged while the candidate is warming up")

CounterPair = tuple[float, float]
"""All that one source counted, and the bad of it or the sum of it."""
Seen = Mapping[str, CounterPair]
"""By arm and source: ``c/pod-1``."""


def assess_reading(
    metric: MetricPlan, reading: Reading, stored: StoredState, look: Look
) -> Assessment:
    """Return what a metric says."""
    if UNBEGUN in decode_state(stored.text):
        look = replace(look, is_new_step=True)
    match reading:
        case Why():
            return _no_data(metric, reading, stored, look)
        case Stated():
            return Assessment(judge_untested(metric, reading))
        case Counted():
            return _assess_counted(metric, reading, stored, look)
        case Summed():
            return _assess_summed(metric, reading, stored, look)
        case Valued():
            if not are_sound(reading.candidate, reading.stable or 0.0):
                return _no_data(metric, UNSOUND, stored, look)
            return assess_number(metric, reading, stored, look)
        case Binned() | MemoryUse():
            return _no_data(metric, NOT_JUDGED, stored, look)


def judge_untested(metric: MetricPlan, reading: Reading, memory: Memory | None = None) -> Judgement:
    """Return what a reading says by itself, where no test can be made of it."""
    if isinstance(reading, Stated):
        verdict, why = reading.verdict, reading.why
    else:
        verdict, why = Verdict.NO_DATA, reading if isinstance(reading, Why) else NOT_JUDGED
    return Judgement(
        metric.name,
        verdict,
        why.reason,
        why.message,
        limit=metric.maximum,
        memory=memory,
        role=metric.role,
    )


def _no_data(metric: MetricPlan, why: Why, stored: StoredState, look: Look) -> Assessment:
    """Return a look that could not read the metric; what it remembered stays, and counts.

    Where a step begins meanwhile, the metric's own begins with its next reading.
    """
    kept = {key: value for key, value in decode_state(stored.text).items() if key != STAMP}
    if kept and look.is_new_step:
        kept[UNBEGUN] = 1

    log_e, guard_margin = _last_evidence(metric, stored)
    return Assessment(
        judge_untested(metric, why, look.stamp(KeptMemory(kept)) if kept else None),
        BudgetGroup.REST,
        log_e,
        guard_margin,
        is_missing=True,
    )


def _last_evidence(metric: MetricPlan, stored: StoredState) -> tuple[float, float]:
    """Return log e against the candidate as it was stored, and the margin of the guard."""
    if (share := load_share(stored.text)) is not None:
        return weigh_evidence(share, metric.maximum)
    if (mean := load_mean(stored.text)) is not None:
        return mean.means.log_e, math.inf
    if (value := load_value(stored.text)) is not None:
        return log_mean(value.signs), math.inf
    return 0.0, math.inf


def _assess_counted(
    metric: MetricPlan, reading: Counted, stored: StoredState, look: Look
) -> Assessment:
    now = _by_source(reading.candidate, reading.stable)
    if not _is_sound(now):
        return _no_data(metric, UNSOUND, stored, look)

    (n_c, k_c), (n_s, k_s) = _gained_by_arm(reading, now, stored, look)
    tolerance = look.plan.tolerance
    increase = metric.max_increase if metric.max_increase is not None else tolerance.relative
    share = ShareMetric(
        metric.name,
        "bad events",
        Reason.TOO_MANY,
        BudgetGroup.REST,
        metric.role,
        relative=1 + increase,
        absolute=tolerance.absolute,
        maximum=metric.maximum,
        before=None if look.plan.recorded is None else NOTHING,
        shared_at=0.5,
    )
    gained = Pair(int(n_c), int(min(k_c, n_c)), int(n_s), int(min(k_s, n_s)))
    return assess_share(share, gained, stored, look, now)


def _assess_summed(
    metric: MetricPlan, reading: Summed, stored: StoredState, look: Look
) -> Assessment:
    now = _by_source(reading.candidate, reading.stable)
    if not _is_sound(now):
        return _no_data(metric, UNSOUND, stored, look)

    (n_c, sum_c), (n_s, sum_s) = _gained_by_arm(reading, now, stored, look)
    mean = MeanMetric(
        metric.name,
        "mean",
        "",
        Reason.TOO_HIGH,
        BudgetGroup.REST,
        metric.role,
        lambda stable: highest_allowed(stable, metric, look.plan),
        lambda total, count: total / count,
    )
    delta = Window(int(n_c), sum_c, int(n_s), sum_s, look.seconds)
    return assess_mean(mean, delta, stored, look, now)


def _by_source(
    candidate: Mapping[str, Count | Sum], stable: Mapping[str, Count | Sum]
) -> dict[str, CounterPair]:
    """Return the counters by arm and source, of as many of either as a memory has room for."""
    return {
        f"{arm}/{name}": _to_pair(item)
        for arm, items in (("c", candidate), ("s", stable))
        for name, item in sorted(items.items())[:MOST_SOURCES]
    }


def _to_pair(item: Count | Sum) -> CounterPair:
    try:
        return float(item.total), float(item.bad if isinstance(item, Count) else item.sum)
    except OverflowError:
        return math.inf, math.inf


def _is_sound(counters: Seen) -> bool:
    return all(0 <= total <= MOST and 0 <= second <= MOST for total, second in counters.values())


def _gained_by_arm(
    reading: Counted | Summed, now: Seen, stored: StoredState, look: Look
) -> tuple[CounterPair, CounterPair]:
    """Return what each revision's sources counted since the base; a step begins with nothing."""
    known = {} if look.is_new_step else load_counters(stored.text)

    arms: list[CounterPair] = []
    for arm, items in (("c", reading.candidate), ("s", reading.stable)):
        total = second = 0.0
        for name in items:
            source = f"{arm}/{name}"
            if source in known and source in now:
                gained = _subtract_pair(now[source], known[source])
                total, second = total + gained[0], second + gained[1]
        arms.append((total, second))
    return arms[0], arms[1]


def _subtract_pair(now: CounterPair, before: CounterPair) -> CounterPair:
    """Return what was added; a source that began anew adds nothing yet, like one seen first.

    What it counted by then may be its warm-up, or that of another time; nothing tells them apart.
    """
    if now[0] < before[0]:
        return 0.0, 0.0
    return now[0] - before[0], max(0.0, now[1] - before[1])
