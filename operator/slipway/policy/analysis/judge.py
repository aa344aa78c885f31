"""The verdict of one look.

    counters -> what was answered since the stored base -> one assessment per metric -> merged

Each part explains how it decides: one metric in `metrics`, all of them in `merge`, the mathematics
in `policy.statistics`; docs/analysis.md is the whole story for users.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from slipway.api.counters import Counters
from slipway.api.modeldeployment import AnalysisMode
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.counter_deltas import (
    BEGUN,
    FAILED,
    FIXED,
    LOG_MILLIS,
    MILLI,
    QUANTILES,
    REFUSED,
    TIMED,
    CounterBase,
    CounterDelta,
    advance_base,
    load_or_begin_base,
)
from slipway.policy.analysis.inputs import LookInputs, Stated
from slipway.policy.analysis.merge import merge_evidence
from slipway.policy.analysis.metric_memory import (
    MOST_PARSED,
    STAMP,
    RawState,
    StoredState,
    decode_state,
    encode_state,
)
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look
from slipway.policy.analysis.metrics.by_pod import NAME as PODS
from slipway.policy.analysis.metrics.by_pod import assess_pods
from slipway.policy.analysis.metrics.by_reading import UNREAD, assess_reading, judge_untested
from slipway.policy.analysis.metrics.by_record import list_shares_by_record
from slipway.policy.analysis.metrics.mean import MeanMetric, assess_mean
from slipway.policy.analysis.metrics.share import NOTHING_OPEN, Open, ShareMetric, assess_share
from slipway.policy.analysis.metrics.threshold import check_share
from slipway.policy.analysis.metrics.traffic_split import NAME as TRAFFIC
from slipway.policy.analysis.metrics.traffic_split import SplitMemory, assess_split, load_split
from slipway.policy.analysis.metrics.trend import NAME as TREND
from slipway.policy.analysis.metrics.trend import assess_trend
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Judgement, KeptText, Role
from slipway.policy.statistics.eprocess import FINE_BETTER_BETS, FINE_RATIOS, Pair
from slipway.policy.statistics.mean_windows import Window, limit_millis
from slipway.policy.weights import ALL
from slipway.records import record, replace

ERRORS, CLIENT_ERRORS = "errors", "client-errors"
LATENCY = "latency"
"""Of mode Threshold; mode Auto has one metric per quantile, and the mean."""
TAIL, UPPER, MEAN = "latency-p99", "latency-p90", "latency-mean"
FAR_NAMES = ("latency-p999", "latency-peak")
"""As slow as stable's slowest thousandth, and slower than that."""
FAR_TOLERANCE = 0.5
"""Of the absolute tolerance: a thousandth is small beside it."""
BAKE_HARM, BAKE_TOLERANCE = 0.15, 1.5
"""Of `maxHarm`, and times the absolute tolerance: the excess of errors that a promotion rules out.
With the defaults 0.15% of requests, so that three times the errors at a base of 0.1% are held."""
SLOW_SHARED_AT = 0.5
MOST_EDGES = len(QUANTILES)
MOST_LOG_MILLIS = 30.0
"""Of a typical latency: 300 years."""
SPLIT, TAGS = "sp", "m"
"""Keys of the traffic's state, beside those of the base."""
CLIENT_TOLERANCE = 0.1
"""Of the tolerance: chance sends both revisions the same clients."""
CLIENT_SUSPECT_AT = math.log(10.0)
"""A slight excess does not roll back, so it may hold the promotion early."""
CLIENT_SHARED_AT = 1.0
"""Never: where stable refuses most requests, its clients are what is wrong."""
CLIENT_ADVICE = (
    "the same clients are refused more often: compare what they send with the inputs, shapes and "
    "batch limit of this version"
)


@record
class _StoredStates:
    """The stored states that belong to the stored base."""

    texts: Mapping[str, str]
    stamp: object
    tags: Sequence[object]
    """Of the names of those that had one."""

    @classmethod
    def beside(cls, traffic: RawState, texts: Mapping[str, str]) -> "_StoredStates":
        """Return the states that were stored with this one of the traffic."""
        tags = traffic.get(TAGS)
        return cls(texts, traffic.get(STAMP), tags if isinstance(tags, list) else ())

    def of(self, name: str) -> StoredState:
        """Return a metric's state."""
        text = self.texts.get(name)
        belongs = decode_state(text).get(STAMP) == self.stamp
        return StoredState(text if belongs else None, _name_tag(name) in self.tags)


@record
class TrafficMemory:
    """The memory of the traffic: the base of all metrics, and which of them have a memory."""

    base: CounterBase
    split: SplitMemory | None = None
    """None while the candidate is warming up."""
    tags: tuple[int, ...] = ()

    def encode(self) -> str:
        """Return the text for status."""
        split = {SPLIT: self.split.raw()} if self.split is not None else {}
        return encode_state({**self.base.dump(), **split, TAGS: self.tags})


def judge(
    states: Mapping[str, str], inputs: LookInputs, plan: Plan, now: datetime
) -> tuple[Judgement, ...]:
    """Return what every metric says after this look; pure and total.

    It is called at every look: each `intervalSeconds`, and whenever the object changes. `states`
    are those of the judgements that were *stored* last, by metric. They need not be those of the
    last look: status is written at once when a verdict changes, else every 30 s, so looks in
    between start from the same states and see the same counters again, grown. Nothing is counted
    twice by that. Without states the evidence starts over; lost ones are counted and reported.

    Every `Judgement` carries its own `memory`, whose text (at most `STATE_LENGTH` characters) is to
    be stored and given back as it is; it is encoded only then.
    `Judgement.role` says what its verdict may do. A Fail is already merged over all metrics: a Fail
    of a metric that is not REPORT_ONLY may be acted upon.
    """
    answered = [tick for tick in inputs.ticks if tick is not None]
    if not answered:
        return _judge_unread(states, inputs, plan)

    stored = _StoredStates.beside(decode_state(states.get(TRAFFIC)), states)
    before = load_or_begin_base(states.get(TRAFFIC), plan, now)
    base, delta = advance_base(before, answered, plan, now)
    look = Look(plan, base, delta.seconds, delta.is_new_step, now, before.at, delta.is_gap)
    if not base.is_warm:
        return _judge_warming_up(inputs, look)

    known, flows = _load_split(states.get(TRAFFIC)), delta.flows()
    split, split_memory = assess_split(known, *flows, before.active[0], look)
    is_open = (known if look.is_new_step else split_memory).count_open(*flows)
    pods = _assess_pods(answered, inputs, stored, look)
    router = _assess_router(delta, is_open, stored, look, pods.advice if pods else "")
    metrics = [*router, *_assess_readings(inputs, stored, look)]

    # The split and the pods are merged with nothing: whether requests come back at all is a fact
    # of its own, and one pod is no evidence against the version.
    alone = [split] if pods is None else [pods, split]
    assessed = [*merge_evidence(metrics, plan.false_rollback, plan.planned_metrics), *alone]
    return _with_memories(assessed, split, base, split_memory)


def _with_memories(
    assessed: list[Assessment], split: Assessment, base: CounterBase, memory: SplitMemory
) -> tuple[Judgement, ...]:
    """Return the judgements; the traffic's remembers the base that all of them have."""
    judged = [item.judgement for item in assessed]
    tags = tuple(_name_tag(item.name) for item in judged if item.memory is not None)
    traffic = replace(split.judgement, memory=TrafficMemory(base, memory, tags))
    return tuple(traffic if item is split.judgement else item for item in judged)


@lru_cache(MOST_PARSED)
def _load_split(text: str | None) -> SplitMemory:
    return load_split(decode_state(text).get(SPLIT))


@lru_cache(MOST_PARSED)
def _name_tag(name: str) -> int:
    return zlib.crc32(name.encode())


def _column_pair(delta: CounterDelta, among: int, column: int) -> Pair:
    """Return the events; they are of requests that were counted, or in flight at the base."""
    candidate, stable = delta.candidate, delta.stable
    most_c, most_s = (
        row[among] + active
        for row, active in zip((candidate, stable), delta.active_before, strict=True)
    )
    return Pair(
        candidate[among],
        min(candidate[column], most_c),
        stable[among],
        min(stable[column], most_s),
    )


def _assess_router(
    delta: CounterDelta,
    is_open: Open,
    stored: _StoredStates,
    look: Look,
    advice: str,
) -> list[Assessment]:
    """Return what the routers' counters say; `advice` goes with errors."""
    is_fixed = look.plan.mode is AnalysisMode.THRESHOLD
    if look.plan.recorded is not None:
        by_record = list_shares_by_record(look.plan.recorded, look.base.edges, is_open, advice)
        return [
            assess_share(share, _column_pair(delta, BEGUN, column), stored.of(share.name), look)
            for column, share in by_record
        ]
    if is_fixed:
        is_open = NOTHING_OPEN
    shares = [
        (FAILED, _error_share(look, is_open, advice)),
        *_slow_shares(look, is_open),
        *_refused_shares(look, is_open),
        *_far_shares(look, is_open),
    ]
    if is_fixed:
        assessed = [
            check_share(share, _column_pair(delta, 0, column), stored.of(share.name), look)
            for column, share in shares
        ]
    else:
        assessed = [
            assess_share(share, _column_pair(delta, BEGUN, column), stored.of(share.name), look)
            for column, share in shares
        ]
    if not look.base.edges:
        assessed.append(_assess_without_edges(look))
    if look.plan.mode is AnalysisMode.AUTO:
        window = _latency_window(delta)
        mean = _latency_mean(look)
        assessed.append(assess_mean(mean, window, stored.of(MEAN), look))
        assessed.append(assess_trend(mean, window, stored.of(TREND), look))
    return assessed


def _assess_pods(
    ticks: list[Counters], inputs: LookInputs, stored: _StoredStates, look: Look
) -> Assessment | None:
    """Return what single pods say; None where no page tells pods apart, and none ever did.

    Strata by caller, once callers are counted, belong here: `statistics.strata` takes any key.
    """
    route = look.plan.route
    is_told = any(entry.pods for tick in ticks for entry in tick.routes if entry.name == route)
    if not is_told and PODS not in stored.texts:
        return None
    taken = any(metric.name == PODS for metric in look.plan.metrics)
    is_alone = look.plan.weight >= ALL
    if taken or is_alone or look.plan.mode is AnalysisMode.THRESHOLD:
        return None
    return assess_pods(ticks, inputs.pods, stored.of(PODS).text, look)


def _error_share(look: Look, is_open: Open, advice: str) -> ShareMetric:
    plan = look.plan
    is_fixed = plan.mode is AnalysisMode.THRESHOLD
    return ShareMetric(
        ERRORS,
        "errors",
        Reason.ERROR_RATIO,
        BudgetGroup.ERRORS,
        relative=1 + plan.tolerance.relative,
        absolute=plan.tolerance.absolute,
        maximum=plan.threshold.max_error_ratio if is_fixed else None,
        bake_harm=None if is_fixed else _bake_harm(plan),
        is_open=is_open,
        advice=advice,
    )


def _bake_harm(plan: Plan) -> float:
    """Return the excess that a promotion rules out; what is tolerated is well below it."""
    return max(BAKE_HARM * plan.max_harm, BAKE_TOLERANCE * plan.tolerance.absolute)


def _refused_shares(look: Look, is_open: Open) -> list[tuple[int, ShareMetric]]:
    """Return the share of requests that the server refused, unless a user's metric has its name."""
    plan = look.plan
    taken = any(metric.name == CLIENT_ERRORS for metric in plan.metrics)
    if plan.mode is AnalysisMode.THRESHOLD or taken:
        return []

    share = ShareMetric(
        CLIENT_ERRORS,
        "client errors",
        Reason.CLIENT_ERROR_RATIO,
        BudgetGroup.CLIENT,
        relative=1 + CLIENT_TOLERANCE * plan.tolerance.relative,
        absolute=CLIENT_TOLERANCE * plan.tolerance.absolute,
        shared_at=CLIENT_SHARED_AT,
        is_open=is_open,
        ratios=FINE_RATIOS,
        better_bets=FINE_BETTER_BETS,
        passes_below=1 + plan.tolerance.relative,
        suspect_at=CLIENT_SUSPECT_AT,
        advice=CLIENT_ADVICE,
    )
    return [(REFUSED, share)]


def _slow_shares(look: Look, is_open: Open) -> list[tuple[int, ShareMetric]]:
    """Return the shares of slow requests, each with its column; the last edge is the p99's."""
    plan, edges = look.plan, look.base.edges
    is_fixed = plan.mode is AnalysisMode.THRESHOLD
    names = [LATENCY] if is_fixed else [UPPER, TAIL][-len(edges) :] if edges else []

    return [
        (
            FIXED + number,
            ShareMetric(
                name,
                f"answers over {edge:g} ms",
                Reason.SLOW_RATIO,
                BudgetGroup.SLOW,
                role=Role.ADVISORY if name == UPPER else Role.REQUIRED,
                relative=1 + plan.tolerance.relative,
                absolute=plan.tolerance.absolute,
                maximum=plan.threshold.max_slow_ratio if is_fixed else None,
                shared_at=SLOW_SHARED_AT,
                is_open=is_open,
                # the share of an edge that is the same as another's is that one's
                parts=MOST_EDGES + 1 - len(edges) if number == len(edges) - 1 else 1,
            ),
        )
        for number, (name, edge) in enumerate(zip(names, edges, strict=False))
    ]


def _far_shares(look: Look, is_open: Open) -> list[tuple[int, ShareMetric]]:
    """Return the shares of answers around stable's p99.9, where enough of them were counted."""
    base, tolerance = look.base, look.plan.tolerance
    first = FIXED + len(base.edges)

    return [
        (
            first + number,
            ShareMetric(
                name,
                f"answers over {edge:g} ms",
                Reason.SLOW_RATIO,
                BudgetGroup.FAR,
                role=Role.ADVISORY,
                parts=len(FAR_NAMES) if len(base.far or ()) == 1 else 1,
                relative=1 + tolerance.relative,
                absolute=FAR_TOLERANCE * tolerance.absolute,
                shared_at=SLOW_SHARED_AT,
                is_open=is_open,
            ),
        )
        for number, (name, edge) in enumerate(zip(FAR_NAMES, base.far or (), strict=False))
    ]


def _assess_without_edges(look: Look) -> Assessment:
    text = "stable has too few requests to say what is slow"
    is_fixed = look.plan.mode is AnalysisMode.THRESHOLD
    name, group = (LATENCY, BudgetGroup.NONE) if is_fixed else (TAIL, BudgetGroup.SLOW)
    judgement = Judgement(name, Verdict.NO_DATA, Reason.TOO_FEW_REQUESTS, text)
    return Assessment(judgement, group, parts=MOST_EDGES, is_missing=True)


def _latency_mean(look: Look) -> MeanMetric:
    relative = look.plan.tolerance.relative
    return MeanMetric(
        MEAN,
        "typical latency",
        " ms",
        Reason.SLOW_MEAN,
        BudgetGroup.SLOW,
        Role.ADVISORY,
        lambda mean: limit_millis(mean, relative),
        lambda logs, count: math.exp(min(logs / count, MOST_LOG_MILLIS)),
    )


def _latency_window(delta: CounterDelta) -> Window:
    """Return the histogram's own counts and sums: the answers counted elsewhere are ahead of it."""
    (n_c, sum_c), (n_s, sum_s) = (
        (row[TIMED], row[LOG_MILLIS] / MILLI if row[TIMED] else 0.0)
        for row in (delta.candidate, delta.stable)
    )
    return Window(n_c, sum_c, n_s, sum_s, delta.seconds)


def _assess_readings(inputs: LookInputs, stored: _StoredStates, look: Look) -> list[Assessment]:
    return [
        assess_reading(
            metric, inputs.readings.get(metric.name, UNREAD), stored.of(metric.name), look
        )
        for metric in look.plan.metrics
    ]


def _router_names(plan: Plan) -> list[str]:
    latency = LATENCY if plan.mode is AnalysisMode.THRESHOLD else TAIL
    return [ERRORS, latency, TRAFFIC]


def _judge_unread(
    states: Mapping[str, str], inputs: LookInputs, plan: Plan
) -> tuple[Judgement, ...]:
    """Nothing is decided where no proxy answers, but for what a source states itself."""
    stated = {
        metric.name: judge_untested(metric, reading)
        for metric in plan.metrics
        if isinstance(reading := inputs.readings.get(metric.name), Stated)
    }

    text = "no router pod answered; nothing is decided"
    names = dict.fromkeys([*_router_names(plan), *(metric.name for metric in plan.metrics)])
    return tuple(
        stated.get(name)
        or Judgement(
            name, Verdict.NO_DATA, Reason.METRICS_UNAVAILABLE, text, memory=_kept(states.get(name))
        )
        for name in names
    )


def _kept(text: str | None) -> KeptText | None:
    return KeptText(text) if text is not None else None


def _judge_warming_up(inputs: LookInputs, look: Look) -> tuple[Judgement, ...]:
    seconds = look.plan.warm_up_seconds - (look.now - look.base.born).total_seconds()
    text = f"candidate warming up; requests count in {math.ceil(seconds)} s"
    router = (
        Judgement(
            name,
            Verdict.NO_DATA,
            Reason.WARMING_UP,
            text,
            memory=TrafficMemory(look.base) if name == TRAFFIC else None,
        )
        for name in _router_names(look.plan)
    )

    others = (
        judge_untested(metric, inputs.readings.get(metric.name, UNREAD))
        for metric in look.plan.metrics
    )
    return (*router, *others)
