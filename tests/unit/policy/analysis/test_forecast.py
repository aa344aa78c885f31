"""The forecast asks the judge itself: it says what a rollout would take."""

from dataclasses import replace

import pytest
from slipway.api.modeldeployment import ModelDeploymentSpec
from slipway.policy.analysis.forecast import ExpectedTraffic, looks_to_pass
from slipway.policy.analysis.study import plan_at

from tests.builders import a_model_deployment

PLAN = plan_at(
    a_model_deployment().spec,
    5,
    route="digits",
    candidate="c" * 8,
    stable="5" * 8,
    step="2026-01-01T00:00:00.000Z",
    number=1,
)


def looks(per_second: float, **changes: object) -> int | None:
    return looks_to_pass(replace(PLAN, **changes), ExpectedTraffic(per_second), 5, 10_000)  # type: ignore[arg-type]


def test_more_traffic_takes_less_time() -> None:
    found = [looks(rate) for rate in (1.0, 10.0, 100.0)]
    assert all(number is not None for number in found)
    assert found == sorted(found, key=lambda number: -(number or 0))
    assert found[0] != found[-1]


def test_a_step_takes_the_samples_that_the_spec_asks_for() -> None:
    few, many = looks(10.0, min_samples=50), looks(10.0, min_samples=5_000)
    assert few is not None
    assert many is not None
    assert many * 5 * 10.0 * 0.05 >= 5_000
    assert few < many


def test_without_traffic_no_step_ends() -> None:
    assert looks(0.0) is None


def test_the_histogram_of_the_router_may_have_any_size() -> None:
    slow = ExpectedTraffic(10.0, 0.001)
    assert looks_to_pass(PLAN, slow, 5, 10_000) is not None


@pytest.mark.parametrize("weight", [5, 50, 95])
def test_the_promises_are_those_of_the_spec(weight: int) -> None:
    spec: ModelDeploymentSpec = a_model_deployment(
        rollout={"analysis": {"minSamples": 77, "tolerance": {"relative": 0.5}}}
    ).spec
    made = plan_at(spec, weight, route="r", candidate="c", stable="s", step="", number=1)
    assert (made.min_samples, made.tolerance.relative, made.weight) == (77, 0.5, weight)
    assert made.next_weight == {5: 10, 50: 95, 95: 95}[weight]
