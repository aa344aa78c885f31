"""The schedule of a rollout whose spec leaves it open: its steps and its deadline, by the traffic.

The fewest users meet a bad version where it begins with a small share; a good one must get through
in a reasonable time all the same. So the most careful steps are taken that the judge itself is
expected to let a good version pass within `REASONABLE_SECONDS`. At few requests per second that is
a larger first weight and fewer steps: the evidence takes a number of requests, whoever gets them,
and so about as many are harmed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from slipway.api.modeldeployment import AnalysisMode, ModelDeploymentSpec, Schedule
from slipway.policy.analysis.forecast import ExpectedTraffic, expect_record, looks_to_pass
from slipway.policy.analysis.study import plan_at
from slipway.policy.ladder import (
    DEFAULT_DEADLINE_SECONDS,
    DEFAULT_WEIGHTS,
    Rung,
    list_rungs,
)

REASONABLE_SECONDS = 300
"""For the steps, as forecast with average luck: one rollout in ten takes twice as long."""
LONGEST_DEADLINE_SECONDS = 86_400
SPARE = 2
"""Times the forecast that a rollout has by default."""
EPOCH = "2026-01-01T00:00:00.000Z"
CANDIDATE, STABLE = "0" * 8, "1" * 8
Weights = Sequence[int]
"""Of the steps, in percent, ascending; without the bake's."""


def choose_schedule(spec: ModelDeploymentSpec, traffic: ExpectedTraffic | None) -> Schedule:
    """Return what counts where the spec says nothing; without traffic, the defaults."""
    is_open = spec.rollout.chooses_steps
    weights: Weights = DEFAULT_WEIGHTS if is_open else ()
    if traffic is None or traffic.per_second <= 0:
        return Schedule(weights=list(weights))

    @cache  # the steps that are chosen were forecast to be chosen
    def forecast(weights: Weights) -> float | None:
        return seconds_to_climb(spec, Schedule(weights=list(weights)), traffic)

    if is_open:
        weights = choose_weights(forecast)
    steps = forecast(weights)
    seconds = None if steps is None else steps + spec.rollout.bake_seconds

    return Schedule(
        weights=list(weights),
        deadline_seconds=choose_deadline(seconds),
        requests_per_second=round_rate(traffic.per_second),
        forecast_seconds=None if seconds is None else round(seconds),
    )


def choose_weights(forecast: Callable[[Weights], float | None]) -> Weights:
    """Return the most careful steps that take a reasonable time; else the quickest.

    `forecast` returns the seconds that steps take a good version, None: more than it follows. They
    are the default ones, or the last of them.
    """
    ladders = [DEFAULT_WEIGHTS[number:] for number in range(len(DEFAULT_WEIGHTS))]

    def is_quick(weights: Weights) -> bool:
        seconds = forecast(weights)
        return seconds is not None and seconds <= REASONABLE_SECONDS

    return next((weights for weights in ladders if is_quick(weights)), ladders[-1])


def choose_deadline(forecast_seconds: float | None) -> int:
    """Return the default deadline in seconds: an hour to a day, by the forecast of the rollout."""
    if forecast_seconds is None:
        return LONGEST_DEADLINE_SECONDS
    wanted = round(SPARE * forecast_seconds)
    return min(LONGEST_DEADLINE_SECONDS, max(DEFAULT_DEADLINE_SECONDS, wanted))


def seconds_to_climb(
    spec: ModelDeploymentSpec, schedule: Schedule, traffic: ExpectedTraffic
) -> float | None:
    """Return the seconds of the steps for a good version, to the bake; None: more than a day."""
    total = 0.0
    for rung in list_rungs(spec.rollout, schedule):
        if rung.is_bake:
            break
        seconds = seconds_to_pass(spec, schedule, rung, traffic, LONGEST_DEADLINE_SECONDS)
        if seconds is None:
            return None
        total += max(seconds, rung.hold_seconds)
    return total


def seconds_to_pass(
    spec: ModelDeploymentSpec,
    schedule: Schedule | None,
    rung: Rung,
    traffic: ExpectedTraffic,
    most: int,
) -> int | None:
    """Return the seconds until the judge lets a good version leave a weight; None: over `most`."""
    analysis = spec.rollout.analysis
    if analysis.mode is AnalysisMode.OFF:
        return 0

    plan = plan_at(
        spec,
        rung.weight,
        route="forecast",
        candidate=CANDIDATE,
        stable=STABLE,
        step=EPOCH,
        number=rung.number,
        schedule=schedule,
    )
    if spec.rollout.switches_once and analysis.mode is AnalysisMode.AUTO:
        plan = replace(plan, recorded=expect_record(traffic))
    interval = analysis.interval_seconds
    looks = looks_to_pass(plan, traffic, interval, max(1, most // interval))
    return None if looks is None else looks * interval


def round_rate(per_second: float) -> float:
    """Return a rate with the three digits that people read."""
    return float(f"{per_second:.3g}")
