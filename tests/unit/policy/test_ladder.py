"""The weights of a rollout, those of its bake last."""

import pytest
from slipway.api.modeldeployment.rollout import Rollout
from slipway.policy.ladder import list_rungs


@pytest.mark.parametrize(
    ("asked", "bake"),
    [
        ({}, [(80, 480), (95, 120)]),
        ({"bakeSeconds": 119}, [(95, 119)]),
        ({"bakeControlPercent": 20}, [(80, 600)]),
        ({"bakeControlPercent": 50}, [(50, 600)]),
        ({"bakeControlPercent": 0}, [(100, 600)]),
        ({"steps": [{"weight": 80}]}, [(95, 600)]),
        ({"steps": []}, [(80, 480), (95, 120)]),
    ],
)
def test_a_long_bake_leaves_stable_a_fifth_and_at_its_end_what_is_asked_for(
    asked: dict[str, object], bake: list[tuple[int, int]]
) -> None:
    rungs = list_rungs(Rollout.model_validate(asked))
    assert [(rung.weight, rung.hold_seconds) for rung in rungs if rung.is_bake] == bake
    assert sum(seconds for _, seconds in bake) == asked.get("bakeSeconds", 600)
