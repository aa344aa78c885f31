"""Copies of records are those of `dataclasses.replace`."""

import dataclasses
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.metric_memory import MeanMemory, ShareMemory
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.dispersion import DispersionGuard
from slipway.records import replace

JUDGEMENT = Judgement("errors", Verdict.PASS, Reason.WITHIN_HARM, "fine", samples=7, limit=0.1)
COPIES: list[tuple[Any, dict[str, object]]] = [
    (JUDGEMENT, {}),
    (JUDGEMENT, {"message": "waiting", "verdict": Verdict.NO_DATA}),
    (ShareMemory(lost=2), {"best": 1.5, "looks": (0.1, 0.2)}),
    (MeanMemory(), {"lost": 1}),
    (DispersionGuard(), {"seconds": 30.0}),
]


@pytest.mark.parametrize(("record", "changes"), COPIES)
def test_a_copy_has_the_changes_and_everything_else_as_it_was(
    record: Any, changes: dict[str, object]
) -> None:
    before = dataclasses.replace(record)
    assert replace(record, **changes) == dataclasses.replace(record, **changes)
    assert record == before


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError):
        replace(JUDGEMENT, massage="")
