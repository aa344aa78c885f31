"""The verdict of one look, by the port that `slipway.policy.analysis.port` describes.

    counters -> what was answered since the stored base -> one assessment per metric -> merged

How each part decides stands where it is done: `eprocess`, `noise`, `means`, `split`, `threshold`,
`merge`; docs/analysis.md tells the whole to people.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from slipway.api.modeldeployment import AnalysisMode
from slipway.policy.analysis.counter_deltas import FIXED, MILLI, Base, Delta, advance, begin
from slipway.policy.analysis.memory import Raw, dump, load
from slipway.policy.analysis.merge import merged
from slipway.policy.analysis.metrics.assessment import Assessed, Group, Look
from slipway.policy.analysis.metrics.mean import Mean, assess_mean
from slipway.policy.analysis.metrics.number import UNREAD, assess_external
from slipway.policy.analysis.metrics.share import Share, assess_share
from slipway.policy.analysis.metrics.threshold import check_share
from slipway.policy.analysis.metrics.traffic_split import NAME as TRAFFIC
from slipway.policy.analysis.metrics.traffic_split import Split, assess_split, load_split
from slipway.policy.analysis.port import Inputs, Plan, Said
from slipway.policy.judgement import Judgement, Role
from slipway.policy.statistics.eprocess import Pair
from slipway.policy.statistics.mean_windows import Window, limit_millis

ERRORS = "errors"
LATENCY = "latency"
"""Of mode Threshold; mode Auto has one metric per quantile, and the mean."""
TAIL, UPPER, MEAN = "latency-p99", "latency-p90", "latency-mean"
SLOW_SHARED_AT = 0.5


@dataclass(frozen=True, slots=True)
class _Memories:
    """The stored states that belong to the stored base."""

    texts: Mapping[str, str]
    traffic: Raw

    def of(self, name: str) -> Raw:
        """Return a metric's memory; ``known`` says that there was one, readable or not."""
        raw = load(self.texts.get(name))
        stored = self.traffic.get("m")
        known = isinstance(stored, list) and _tag(name) in stored
        if raw.get("a") != self.traffic.get("a"):
            raw = {}
        return {**raw, "known": known}


def judge(
    memories: Mapping[str, str], inputs: Inputs, plan: Plan, now: datetime
) -> tuple[Judgement, ...]:
    """Return what every metric says after this look; see `slipway.policy.analysis.port`."""
    answered = [tick for tick in inputs.ticks if tick is not None]
    if not answered:
        return _unread(memories, inputs, plan)
    traffic = load(memories.get(TRAFFIC))
    known = _Memories(memories, traffic)
    before = begin(traffic, plan, now)
    base, delta = advance(before, answered, plan, now)
    look = Look(plan, base, delta.seconds, delta.is_new_step, now, before.at)
    if not base.is_warm:
        return _warming_up(look)
    split, after = assess_split(
        load_split(traffic.get("sp")), _pair(delta, 1), delta.active, before.active, look
    )
    metrics = [*_router_metrics(delta, known, look), *_external_metrics(inputs, known, look)]
    said = [*merged(metrics, plan.false_rollback), split]
    return _stored(said, split, base, after)


def _stored(
    said: list[Assessed], split: Assessed, base: Base, memory: Split
) -> tuple[Judgement, ...]:
    """Return the judgements with the states that are to be stored; they carry one stamp."""
    traffic = base.dump()
    names = [_tag(item.judgement.name) for item in said if item.raw]
    made = []
    for item in said:
        raw: Raw = {**item.raw, "a": traffic["a"]}
        if item is split:
            raw = {**traffic, "sp": memory.raw(), "m": names}
        made.append(replace(item.judgement, state=dump(raw)))
    return tuple(made)


def _tag(name: str) -> int:
    return zlib.crc32(name.encode())


def _pair(delta: Delta, column: int) -> Pair:
    candidate, stable = delta.candidate, delta.stable
    return Pair(candidate[0], candidate[column], stable[0], stable[column])


def _router_metrics(delta: Delta, known: _Memories, look: Look) -> list[Assessed]:
    assess = check_share if look.plan.mode is AnalysisMode.THRESHOLD else assess_share
    shares = [(1, _errors(look)), *_slow(look)]
    made = [
        assess(share, _pair(delta, column), known.of(share.name), look) for column, share in shares
    ]
    if not look.base.edges:
        made.append(_edgeless(look))
    if look.plan.mode is AnalysisMode.AUTO:
        made.append(assess_mean(_typical(look), _window(delta), known.of(MEAN), look))
    return made


def _errors(look: Look) -> Share:
    plan = look.plan
    is_fixed = plan.mode is AnalysisMode.THRESHOLD
    return Share(
        ERRORS,
        "errors",
        "ErrorRatio",
        Group.ERRORS,
        relative=1 + plan.tolerance.relative,
        absolute=plan.tolerance.absolute,
        maximum=plan.threshold.max_error_ratio if is_fixed else None,
    )


def _slow(look: Look) -> list[tuple[int, Share]]:
    """Return the shares of slow requests, each with its column; the last edge is the p99's."""
    plan, edges = look.plan, look.base.edges
    is_fixed = plan.mode is AnalysisMode.THRESHOLD
    names = [LATENCY] if is_fixed else [UPPER, TAIL][-len(edges) :] if edges else []
    return [
        (
            FIXED + number,
            Share(
                name,
                f"slower than {edge:g} ms",
                "SlowRatio",
                Group.SLOW,
                role=Role.ADVISORY if name == UPPER else Role.REQUIRED,
                relative=1 + plan.tolerance.relative,
                absolute=plan.tolerance.absolute,
                maximum=plan.threshold.max_slow_ratio if is_fixed else None,
                shared_at=SLOW_SHARED_AT,
            ),
        )
        for number, (name, edge) in enumerate(zip(names, edges, strict=False))
    ]


def _edgeless(look: Look) -> Assessed:
    name = LATENCY if look.plan.mode is AnalysisMode.THRESHOLD else TAIL
    text = "stable has answered too few requests to say what slow is"
    return Assessed(Judgement(name, "NoData", "TooFewRequests", text), {})


def _typical(look: Look) -> Mean:
    relative = look.plan.tolerance.relative
    return Mean(
        MEAN,
        "typical latency in ms",
        "SlowMean",
        Group.SLOW,
        Role.ADVISORY,
        lambda mean: limit_millis(mean, relative),
        lambda logs, count: math.exp(logs / count),
    )


def _window(delta: Delta) -> Window:
    candidate, stable = delta.candidate, delta.stable
    return Window(candidate[0], candidate[2] / MILLI, stable[0], stable[2] / MILLI, delta.seconds)


def _external_metrics(inputs: Inputs, known: _Memories, look: Look) -> list[Assessed]:
    return [
        assess_external(
            metric, inputs.external.get(metric.name, UNREAD), known.of(metric.name), look
        )
        for metric in look.plan.metrics
    ]


def _names(plan: Plan) -> list[str]:
    latency = LATENCY if plan.mode is AnalysisMode.THRESHOLD else TAIL
    return [ERRORS, latency, TRAFFIC]


def _unread(memories: Mapping[str, str], inputs: Inputs, plan: Plan) -> tuple[Judgement, ...]:
    """Nothing is decided where no proxy answers, but for what a source says itself."""
    text = "no router pod could be read; nothing is decided on it"
    names = list(dict.fromkeys([*_names(plan), *(metric.name for metric in plan.metrics)]))
    stated = {
        metric.name: Judgement(
            metric.name, reading.verdict, reading.reason, reading.message, role=metric.role
        )
        for metric in plan.metrics
        if isinstance(reading := inputs.external.get(metric.name), Said)
    }
    return tuple(
        stated.get(name)
        or Judgement(name, "NoData", "MetricsUnavailable", text, state=memories.get(name))
        for name in names
    )


def _warming_up(look: Look) -> tuple[Judgement, ...]:
    seconds = look.plan.warm_up_seconds - (look.now - look.base.born).total_seconds()
    text = f"the candidate warms up, its first requests do not count: {math.ceil(seconds)} s more"
    state = dump({**look.base.dump(), "m": []})
    return tuple(
        Judgement(name, "NoData", "WarmingUp", text, state=state if name == TRAFFIC else None)
        for name in _names(look.plan)
    )
