"""The forecast of a step: how long it takes a good candidate to pass, by the judge itself.

A candidate as good as stable is played to `judge`, with the traffic that is expected, look by look
as the operator does it. So the answer follows whatever the judge believes in. It is what happens
with average luck: chance makes single rollouts faster or slower.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from slipway.api.counters import Counters, Latency, RouteCounters, latency_edges
from slipway.api.modeldeployment import StableRecord
from slipway.api.times import to_wire
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Role, texts_of
from slipway.policy.measured_traffic import MeasuredTraffic
from slipway.policy.stable_record import record_stable

PAST_REQUESTS = 2_000
"""That stable has answered before the step, so that it is known what is slow."""
TYPICAL_MILLIS = 10
RECORDED_SECONDS = 60
"""While a candidate starts and is checked, before the switch of strategy BlueGreen."""


@dataclass(frozen=True, slots=True)
class ExpectedTraffic:
    """The traffic of both revisions together."""

    per_second: float
    error_ratio: float = 0.0
    """Of stable; the candidate is taken to be as good."""
    latency: Latency | None = None
    """Its shape counts, not its size; without one every request takes 10 ms."""


def expect_record(traffic: ExpectedTraffic) -> StableRecord | None:
    """Return what is recorded of stable in a minute before a switch; None: too few requests."""
    requests = round(RECORDED_SECONDS * traffic.per_second)
    errors = round(requests * traffic.error_ratio)
    measured = MeasuredTraffic(
        RECORDED_SECONDS,
        requests,
        of_stable=(requests, errors),
        latency_of_stable=_scaled_latency(requests, traffic.latency),
    )
    return record_stable(measured, datetime(2026, 1, 1, tzinfo=UTC))


def looks_to_pass(plan: Plan, traffic: ExpectedTraffic, interval: int, most: int) -> int | None:
    """Return after how many looks every required metric passes; None: not within `most`.

    `interval` is the time between two looks, in seconds.
    """
    began = datetime(2026, 1, 1, tzinfo=UTC)
    warm = math.ceil(plan.warm_up_seconds)

    # The two looks that only take the counters down: the first of all, and the end of the warm-up.
    states: dict[str, str] = {}
    for seconds in (0, warm):
        now = began + timedelta(seconds=seconds)
        first = judge(states, LookInputs((_expected_tick(plan, traffic, now, seconds),)), plan, now)
        states = texts_of(first)

    def passes(number: int) -> bool:
        seconds = number * interval
        if seconds <= warm:
            return False
        now = began + timedelta(seconds=seconds)
        judged = judge(
            states, LookInputs((_expected_tick(plan, traffic, now, seconds),)), plan, now
        )
        required = [item for item in judged if item.role is Role.REQUIRED]
        return all(item.verdict is Verdict.PASS for item in required)

    return _smallest_that_holds(passes, most)


def _smallest_that_holds(holds: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number from 1 for which it holds, if it holds from there on."""
    low, high = 0, 1
    while not holds(high):
        if high >= most:
            return None
        low, high = high, min(most, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _expected_tick(plan: Plan, traffic: ExpectedTraffic, now: datetime, seconds: int) -> Counters:
    total = traffic.per_second * seconds
    candidate = int(total * plan.weight / 100)
    routes = [
        _expected_counters(plan, plan.candidate, candidate, traffic),
        _expected_counters(plan, plan.stable, PAST_REQUESTS + int(total) - candidate, traffic),
    ]
    return Counters(proxy="forecast", envoy_start="forecast", at=to_wire(now), routes=routes)


def _expected_counters(
    plan: Plan, revision: str, requests: int, traffic: ExpectedTraffic
) -> RouteCounters:
    return RouteCounters(
        name=plan.route,
        revision=revision,
        pinned=False,
        requests=requests,
        errors=round(requests * traffic.error_ratio),
        resets=0,
        timeouts=0,
        client_errors=0,
        active=0,
        latency=_scaled_latency(requests, traffic.latency),
    )


def _scaled_latency(requests: int, shape: Latency | None) -> Latency:
    """Return a histogram of that many requests, in the shape of another one."""
    if shape is None or not sum(shape.counts):
        edges = latency_edges()
        counts = [0] * (len(edges) + 1)
        counts[next(n for n, edge in enumerate(edges) if edge >= TYPICAL_MILLIS)] = requests
        return Latency(edges_millis=[float(edge) for edge in edges], counts=counts)

    total, below, seen = sum(shape.counts), 0, 0
    spread = []
    for count in shape.counts:
        seen += count
        upto = round(requests * seen / total)
        spread.append(upto - below)
        below = upto
    return Latency(edges_millis=shape.edges_millis, counts=spread)
