"""The scaling bench in short: the same seeds, so the same numbers, on every machine."""

import pytest

from tests.bench.scaling.__main__ import main
from tests.bench.scaling.loads import LOADS
from tests.bench.scaling.measure import RULES, Score, scores

BY_NAME = {load.name: load for load in LOADS}


@pytest.fixture(scope="module")
def step() -> dict[str, list[Score]]:
    return {rule: scores(BY_NAME["step"], rule, 4) for rule in RULES}


def test_a_step_of_four_is_right_within_four_seconds_and_hpa_takes_longer(
    step: dict[str, list[Score]],
) -> None:
    times = {
        rule: [seconds for each in found for seconds in each.to_right_size]
        for rule, found in step.items()
    }
    assert max(times["Slipway"]) <= 4
    assert min(times["HPA"]) > max(times["Slipway"])


def test_being_faster_does_not_cost_more_replicas(step: dict[str, list[Score]]) -> None:
    too_many = {rule: sum(each.too_many for each in found) for rule, found in step.items()}
    assert too_many["Slipway"] <= 1.2 * too_many["HPA"]


def test_a_ramp_is_followed_without_flapping() -> None:
    [found] = scores(BY_NAME["ramp"], "Slipway", 1)
    assert found.too_few < 0.02
    assert found.flaps <= 2
    assert len(found.to_right_size) == 15  # from 3 replicas to 18
    assert max(found.to_right_size) <= 60


def test_the_table_has_a_row_for_every_load_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "1", "--only", "step"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| step")]
    assert len(rows) == len(RULES)
