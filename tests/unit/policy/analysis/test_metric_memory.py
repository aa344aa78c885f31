"""What is stored between looks: few digits, never more evidence than there was."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.api.modeldeployment import STATE_LENGTH
from slipway.policy.analysis.metric_memory import encode_state, round_down
from slipway.policy.analysis.metrics.by_reading import MOST_SOURCES
from slipway.policy.statistics.dispersion import DispersionGuard
from slipway.policy.statistics.eprocess import Pair

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


def test_the_counters_of_many_pods_fit_into_a_status() -> None:
    names = [f"{arm}/{number:08x}.0" for arm in "cs" for number in range(MOST_SOURCES)]
    counters = {name: (1e9 + number, 1e7) for number, name in enumerate(names)}

    text = encode_state({"c": counters})

    assert len(text) <= STATE_LENGTH
    assert len(json.loads(text)["c"]) == 2 * MOST_SOURCES
