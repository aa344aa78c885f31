"""What is stored between looks: few digits, never more evidence than there was."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.api.modeldeployment import STATE_LENGTH
from slipway.policy.analysis import metric_memory
from slipway.policy.analysis.inputs import LookInputs
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.metric_memory import (
    KeptMemory,
    StampedMemory,
    decode_state,
    encode_state,
    load_share,
    round_down,
)
from slipway.policy.analysis.metrics.by_reading import MOST_SOURCES
from slipway.policy.statistics.dispersion import DispersionGuard
from slipway.policy.statistics.eprocess import Pair

from tests.builders import later
from tests.unit.policy.analysis.test_judge import Run

NUMBERS = st.floats(min_value=-1e12, max_value=1e12, allow_nan=False)


@given(value=NUMBERS)
def test_a_stored_number_is_never_above_what_it_was_and_close_to_it(value: float) -> None:
    stored = round_down(value)

    assert stored <= value + 1e-9 * max(1.0, abs(value)) or abs(value) < 1e-15
    assert stored == pytest.approx(value, rel=1e-3, abs=1e-4)


@given(value=NUMBERS)
def test_storing_what_was_stored_changes_nothing(value: float) -> None:
    once = round_down(value)
    assert round_down(float(once)) == once


def test_a_night_of_looks_leaves_something_for_a_fault_that_begins_late() -> None:
    kept = 1.0
    for _ in range(12 * 60 * 2):
        kept = float(round_down(kept * 0.99))
    assert 0 < kept < 1e-6 or kept == 0


@pytest.mark.parametrize("kept", [0.0, 1e-300, 1e-16])
def test_a_guard_that_has_nothing_left_still_answers(kept: float) -> None:
    guard = DispersionGuard(kept=kept).after(Pair(100, 1, 1000, 10), 30.0)
    assert math.isfinite(guard.log_factor)
    assert math.isfinite(guard.closed().log_factor)


@pytest.mark.parametrize(
    ("stored", "kept"), [('{"w": [1, 0.5]}', {"w": [1, 0.5]}), ('{"w": [1, 1e999]}', {})]
)
def test_a_state_that_is_kept_unread_is_dropped_where_it_is_damaged(
    stored: str, kept: dict[str, object]
) -> None:
    memory = StampedMemory(KeptMemory(decode_state(stored)), "noon")
    assert json.loads(memory.encode()) == {**kept, "a": "noon"}


def test_the_counters_of_many_pods_fit_into_a_status() -> None:
    names = [f"{arm}/{number:08x}.0" for arm in "cs" for number in range(MOST_SOURCES)]
    counters = {name: (1e9 + number, 1e7) for number, name in enumerate(names)}

    text = encode_state({"c": counters})

    assert len(text) <= STATE_LENGTH
    assert len(json.loads(text)["c"]) == 2 * MOST_SOURCES


def test_a_look_that_is_not_stored_encodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()

    def refuse(raw: object) -> str:
        raise AssertionError(raw)

    monkeypatch.setattr(metric_memory, "encode_state", refuse)
    found = judge(run.memories, LookInputs((run.tick(),)), run.plan, later(10))
    assert {item.name for item in found if item.memory is not None} >= {"errors", "traffic"}


def test_a_text_is_parsed_once_however_many_looks_start_from_it() -> None:
    run = Run()
    run.look((100, 0, 0), (1900, 0, 0))
    again = [judge(run.memories, LookInputs((run.tick(),)), run.plan, later(20)) for _ in range(3)]
    assert again[0] == again[1] == again[2]
    assert load_share(run.memories["errors"]) is load_share(run.memories["errors"])
