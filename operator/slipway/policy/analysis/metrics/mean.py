"""A mean, compared with stable's: of the router's latencies, or of sums from elsewhere."""

import math
from collections.abc import Callable

from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis import wording
from slipway.policy.analysis.metric_memory import (
    Counters,
    MeanMemory,
    StoredState,
    append_look,
    load_mean,
    with_counters,
)
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look, Said
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.mean_windows import EMPTY, MeanWindows, Window
from slipway.records import record, replace


@record
class MeanMetric:
    """What is special about one mean."""

    name: str
    what: str
    """What is averaged, as messages begin: ``typical latency``."""
    unit: str
    """Behind every number, with a space before it: `` ms``; empty where it is not known."""
    fail_reason: Reason
    group: BudgetGroup
    role: Role
    limit: Callable[[float], float]
    """The highest mean that is no worse than this one of stable."""
    mean: Callable[[float, int], float]
    """From sum and count to the mean; the router sums logarithms."""


def assess_mean(
    metric: MeanMetric,
    delta: Window,
    stored: StoredState,
    look: Look,
    counters: Counters | None = None,
) -> Assessment:
    """Return what a mean says after `delta` more; `counters` are remembered with it."""
    memory = load_mean(stored.text) or MeanMemory(lost=stored.times_lost)
    if look.is_new_step:
        memory = replace(memory, step=EMPTY, means=replace(memory.means, open=EMPTY))
    memory = _count_look(metric, memory, delta)

    step = memory.step
    candidate = metric.mean(step.sum_c, step.n_c) if step.n_c else None
    stable = metric.mean(step.sum_s, step.n_s) if step.n_s else None
    limit = metric.limit(stable) if stable is not None else None

    text = _compare_means(metric, memory, candidate, stable, look)
    text += wording.lost_state_note(max(memory.lost, look.base.lost))
    verdict, reason, message = _own_verdict(memory, text)
    judgement = Judgement(
        metric.name,
        verdict,
        reason,
        message,
        candidate=candidate,
        baseline=stable,
        limit=limit,
        samples=step.n_c,
        baseline_samples=step.n_s,
        memory=look.stamp(with_counters(memory, counters)),
        role=metric.role,
        since=wording.timestamp(look.base.since),
        looks=memory.looks,
    )
    return Assessment(
        judgement,
        metric.group,
        memory.means.log_e,
        fail_reason=metric.fail_reason,
        figures=text,
    )


def _count_look(metric: MeanMetric, memory: MeanMemory, delta: Window) -> MeanMemory:
    looks = memory.looks
    if delta.n_c:
        looks = append_look(looks, metric.mean(delta.sum_c, delta.n_c))
    means = _count_window(metric, memory.means, delta)
    return MeanMemory(means, memory.step + delta, looks, memory.lost)


def _count_window(metric: MeanMetric, means: MeanWindows, delta: Window) -> MeanWindows:
    """Return the windows after `delta` more; a full one is compared, and the next begins empty."""
    opened = means.open + delta
    if not opened.is_full:
        return replace(means, open=opened)

    candidate = metric.mean(opened.sum_c, opened.n_c)
    limit = metric.limit(metric.mean(opened.sum_s, opened.n_s))
    emptied = replace(means, open=EMPTY)
    if candidate <= 0 or limit <= 0:
        return emptied
    return emptied.with_window(math.log(candidate) - math.log(limit))


def _compare_means(
    metric: MeanMetric,
    memory: MeanMemory,
    candidate: float | None,
    stable: float | None,
    look: Look,
) -> str:
    since = f"since {wording.time_of_day(look.base.since)}"
    if candidate is None or stable is None:
        return f"too few requests for a mean, {since}"

    step, unit = memory.step, metric.unit
    return (
        f"{metric.what} {candidate:.4g}{unit} ({step.n_c:,} requests) "
        f"vs {stable:.4g}{unit} ({step.n_s:,} requests) on stable, "
        f"limit {metric.limit(stable):.4g}{unit}, "
        f"{wording.count_windows(memory.means.windows)}, {since}"
    )


def _own_verdict(memory: MeanMemory, text: str) -> Said:
    if not memory.step.n_c:
        return Verdict.NO_DATA, Reason.NO_TRAFFIC, text
    if not memory.means.windows:
        return (
            Verdict.INCONCLUSIVE,
            Reason.TOO_FEW_REQUESTS,
            f"waiting for the first full window: {text}",
        )
    return Verdict.PASS, Reason.NOTHING_AGAINST, text
