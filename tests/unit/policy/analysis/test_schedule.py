"""What a rollout does where its spec says nothing: steps and a deadline by the traffic."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.api.modeldeployment import ModelDeploymentSpec, Schedule
from slipway.policy.analysis.forecast import ExpectedTraffic
from slipway.policy.analysis.schedule import (
    REASONABLE_SECONDS,
    choose_deadline,
    choose_schedule,
    choose_weights,
    seconds_to_climb,
)
from slipway.policy.ladder import DEFAULT_WEIGHTS, find_deadline, list_rungs, list_steps

from tests.builders import a_model_deployment

HOUR, DAY = 3600, 86_400
BAKE = 600


def a_spec(**rollout: Any) -> ModelDeploymentSpec:
    return a_model_deployment(rollout={"bakeSeconds": BAKE, **rollout}).spec


def chosen(per_second: float, **rollout: Any) -> Schedule:
    return choose_schedule(a_spec(**rollout), ExpectedTraffic(per_second, 0.01))


@pytest.mark.parametrize("per_second", [100.0, 1_000.0, 30_000.0])
def test_many_requests_climb_the_most_careful_steps(per_second: float) -> None:
    assert chosen(per_second).weights == [5, 10, 25, 50]
    assert chosen(per_second).deadline_seconds == HOUR


@pytest.mark.parametrize("per_second", [1.0, 0.1])
def test_few_requests_begin_with_a_larger_weight_and_take_fewer_steps(per_second: float) -> None:
    assert chosen(per_second).weights == [50]


def test_the_deadline_follows_the_forecast() -> None:
    few = chosen(1.0)
    assert few.forecast_seconds is not None
    assert few.deadline_seconds == 2 * few.forecast_seconds > HOUR
    assert chosen(0.001).deadline_seconds == DAY
    assert chosen(0.001).forecast_seconds is None


def test_the_deadline_of_written_steps_follows_their_own_forecast() -> None:
    made = chosen(1.0, steps=[{"weight": 5}, {"weight": 50, "holdSeconds": 30_000}])
    assert made.weights == []
    assert made.deadline_seconds > 2 * (30_000 + BAKE)


@pytest.mark.parametrize("traffic", [None, ExpectedTraffic(0.0)])
def test_without_a_known_rate_the_defaults_count(traffic: ExpectedTraffic | None) -> None:
    made = choose_schedule(a_spec(), traffic)
    assert made == Schedule(weights=list(DEFAULT_WEIGHTS), deadline_seconds=HOUR)


def test_what_the_spec_says_wins() -> None:
    schedule = Schedule(weights=[50], deadline_seconds=7_000)
    written = a_spec(steps=[{"weight": 20}], deadlineSeconds=60).rollout
    none = a_spec(steps=[]).rollout

    assert [step.weight for step in list_steps(written, schedule)] == [20]
    assert [rung.weight for rung in list_rungs(none, schedule)] == [80, 95]
    assert find_deadline(written, schedule) == 60
    assert find_deadline(none, schedule) == 7_000
    assert find_deadline(none) == HOUR


def test_the_first_ladder_that_takes_a_reasonable_time_is_the_one() -> None:
    takes = {4: 2_000.0, 3: REASONABLE_SECONDS + 1.0, 2: float(REASONABLE_SECONDS), 1: 100.0}
    assert choose_weights(lambda weights: takes[len(weights)]) == (25, 50)


def test_where_none_takes_a_reasonable_time_it_is_the_quickest() -> None:
    assert choose_weights(lambda _weights: None) == (50,)


@given(seconds=st.one_of(st.none(), st.floats(0, 1e12)))
def test_every_deadline_is_between_an_hour_and_a_day(seconds: float | None) -> None:
    assert HOUR <= choose_deadline(seconds) <= DAY


@settings(max_examples=25)
@given(
    per_second=st.floats(1e-6, 1e6),
    errors=st.floats(0, 1),
    control=st.integers(0, 50),
    interval=st.sampled_from([1, 5, 60, 3600]),
    mode=st.sampled_from(["Auto", "Threshold"]),
)
def test_every_schedule_can_be_climbed(
    per_second: float, errors: float, control: int, interval: int, mode: str
) -> None:
    spec = a_spec(bakeControlPercent=control, analysis={"intervalSeconds": interval, "mode": mode})
    made = choose_schedule(spec, ExpectedTraffic(per_second, errors))

    assert tuple(made.weights) in {DEFAULT_WEIGHTS[number:] for number in range(4)}
    assert HOUR <= made.deadline_seconds <= DAY
    assert Schedule.model_validate(made.wire()) == made


@settings(max_examples=15)
@given(per_second=st.floats(0.01, 1_000), times=st.floats(1, 100))
def test_more_requests_never_begin_with_a_larger_weight(per_second: float, times: float) -> None:
    few, many = (chosen(rate).weights for rate in (per_second, per_second * times))
    assert many[0] <= few[0]


def test_what_is_chosen_takes_a_reasonable_time_wherever_something_does() -> None:
    for rate in (3.0, 10.0, 30.0, 100.0):
        made, traffic = chosen(rate), ExpectedTraffic(rate, 0.01)
        seconds = seconds_to_climb(a_spec(), made, traffic)
        assert seconds is not None
        assert seconds <= REASONABLE_SECONDS or made.weights == [50]
