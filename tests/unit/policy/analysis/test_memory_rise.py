"""Memory in the bake: whose growth holds a promotion, what it says, and what is never blamed."""

from datetime import timedelta

import pytest
from slipway.api.modeldeployment import STATE_LENGTH
from slipway.api.reasons import Reason, Why
from slipway.policy.analysis.inputs import MemoryReading, MemoryUse
from slipway.policy.analysis.metrics.memory_rise import (
    MOST_PODS,
    RiseMemory,
    judge_memory_rise,
    load_rise,
)
from slipway.policy.judgement import Judgement, Role

from tests.builders import NOON

MEBIBYTE, LIMIT = 2**20, 2**30
SILENT = Why(Reason.METRICS_UNAVAILABLE, "nothing was told")


def using(candidate: dict[str, float], stable: dict[str, float], seconds: int) -> MemoryUse:
    at = NOON + timedelta(seconds=seconds)
    arms = (
        {pod: MemoryReading(int(held * MEBIBYTE), at) for pod, held in arm.items()}
        for arm in (candidate, stable)
    )
    return MemoryUse(*arms)


def text_of(said: Judgement | None) -> str | None:
    return said.memory.encode() if said is not None and said.memory is not None else None


def after(
    minutes: int,
    *,
    rate: float = 20,
    of_stable: float = 0,
    weight: int = 80,
    limit: int = LIMIT,
    pods: int = 1,
) -> Judgement:
    """Return what is said after so many minutes, in which a pod grows by so many mebibytes each."""
    state, said = None, None
    for seconds in range(0, 60 * minutes, 15):
        grown = seconds / 60
        candidate = {"digits-new": 300 + rate * grown}
        candidate |= {f"digits-other-{number}": 300.0 for number in range(pods - 1)}
        stable = {f"digits-old-{number}": 300 + of_stable * grown for number in range(pods)}
        said = judge_memory_rise(
            using(candidate, stable, seconds), limit=limit, weight=weight, state=state, since=None
        )
        state = text_of(said)
    assert said is not None
    return said


def test_a_leak_holds_the_promotion_and_says_when_the_pod_is_full() -> None:
    said = after(11)
    assert (said.verdict, said.reason) == ("Inconclusive", "MemoryGrows")
    assert said.message == (
        "pod digits-new grew from 340 MiB to 480 MiB in 7 min; at this rate it reaches its limit "
        "of 1,024 MiB in 28 min; a pod of stable grew by 0.0 MiB a minute at most, this one by 20.0"
    )


def test_it_may_hold_and_never_roll_back() -> None:
    found = [after(minutes) for minutes in range(1, 30)]
    assert "MemoryGrows" in {said.reason for said in found}
    assert {(said.verdict, said.role) for said in found} == {("Inconclusive", Role.ADVISORY)}


def test_a_bake_that_is_too_short_says_what_it_lacks() -> None:
    said = after(5)
    assert (said.verdict, said.reason) == ("Inconclusive", "Undecided")
    assert said.message == "needs 4 more minutes of the bake, after the first 2"


@pytest.mark.parametrize(
    "alike",
    [
        {"rate": 0},
        {"rate": 1},  # by then it is no larger than what falls and rises anyway
        {"rate": 20, "limit": 64 * LIMIT},  # days away
        {"rate": 20, "of_stable": 5},  # stable has a quarter of the requests
        {"rate": 20, "of_stable": 20, "weight": 50},
        {"rate": 20, "of_stable": 20, "weight": 100},
    ],
)
def test_what_is_slow_or_far_or_grows_on_stable_too_is_not_held(alike: dict[str, float]) -> None:
    said = after(11, **alike)  # type: ignore[arg-type]
    assert (said.verdict, said.reason) == ("Pass", "NothingAgainst")


def test_the_pod_that_is_full_first_is_named() -> None:
    assert "pod digits-new grew" in after(11, pods=4).message


def test_what_is_not_read_costs_nothing_that_is_known() -> None:
    before = after(11)
    said = judge_memory_rise(SILENT, limit=LIMIT, weight=80, state=text_of(before), since=None)
    assert said is not None
    assert (said.verdict, said.reason, text_of(said)) == (
        "NoData",
        "MetricsUnavailable",
        text_of(before),
    )


def test_where_nothing_was_ever_read_nothing_is_said() -> None:
    assert judge_memory_rise(SILENT, limit=LIMIT, weight=80, state=None, since=None) is None


@pytest.mark.parametrize("arms", [({}, {"b": 1.0}), ({"a": 1.0}, {}), ({}, {})])
def test_without_pods_of_both_revisions_nothing_is_compared(
    arms: tuple[dict[str, float], dict[str, float]],
) -> None:
    said = judge_memory_rise(using(*arms, 0), limit=LIMIT, weight=80, state=None, since=None)
    assert said is not None
    assert (said.verdict, said.reason) == ("NoData", "NoBaseline")


def test_a_pod_that_is_gone_is_forgotten_and_few_are_kept() -> None:
    many = {f"digits-{'x' * 240}-{number:03d}": 1000.0 for number in range(200)}
    state = None
    for minute in range(40):
        reading = using(many, many, 60 * minute)
        state = text_of(judge_memory_rise(reading, limit=LIMIT, weight=80, state=state, since=None))
    assert state is not None
    assert len(state) <= STATE_LENGTH
    assert len(load_rise(state).candidate) == MOST_PODS
    one = judge_memory_rise(
        using({"a": 1.0}, {"b": 1.0}, 2400), limit=LIMIT, weight=80, state=state, since=None
    )
    assert set(load_rise(text_of(one)).candidate) == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        '{"c":7,"s":[1]}',
        '{"c":{"a":[1,2]},"s":{"b":[1,2,3,2]}}',
        '{"c":{"a":["x",5,6]},"s":{"b":[1,6,3,5,3]}}',
        '{"c":{"a":[1,-5,6]},"s":{"b":[1,1e99,true]}}',
    ],
)
def test_what_was_not_written_here_is_as_good_as_nothing(text: str | None) -> None:
    assert load_rise(text) == RiseMemory()


def test_what_is_stored_is_read_again_as_it_was() -> None:
    text = text_of(after(11))
    assert load_rise(text).encode() == text
