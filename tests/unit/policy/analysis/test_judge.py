"""The verdict: known intervals, and what may never decide."""

from typing import Any

import pytest
from slipway.api.counters import Counters
from slipway.api.modeldeployment import Tolerance
from slipway.policy.analysis.judge import judge as judged
from slipway.policy.analysis.judge import wilson
from slipway.policy.analysis.port import Inputs, Plan
from slipway.policy.facts import Judgement

from tests.builders import NOON, counted

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
Counts = tuple[int, int, int]
NONE: Counts = (0, 0, 0)


def a_plan(**changes: Any) -> Plan:
    wanted: dict[str, Any] = {
        "route": "digits",
        "candidate": CANDIDATE,
        "stable": STABLE,
        "step": "2026-11-21T12:00:00.000Z",
        "min_samples": 50,
        "tolerance": Tolerance(),
        **changes,
    }
    return Plan(**wanted)


def judge(memory: str | None, ticks: list[Counters | None], plan: Plan) -> tuple[Judgement, ...]:
    memories = {"errors": memory} if memory is not None else {}
    return judged(memories, Inputs(tuple(ticks)), plan, NOON)


def verdicts(candidate: Counts, stable: Counts, **plan: Any) -> dict[str, Judgement]:
    """Judge what one proxy counted since its first look; it answered 100 of stable before."""
    base = counted("router-a", {STABLE: (100, 0, 0), CANDIDATE: NONE})
    memory = judge(None, [base], a_plan(**plan))[0].state
    total = (100 + stable[0], stable[1], stable[2])
    tick = counted("router-a", {STABLE: total, CANDIDATE: candidate})
    return {item.name: item for item in judge(memory, [tick], a_plan(**plan))}


@pytest.mark.parametrize(
    ("bad", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_wilson_interval_is_the_published_one(
    bad: int, total: int, low: float, high: float
) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert list(wilson(bad, total, 1.959964)) == pytest.approx([low, high], abs=1e-4)


def test_no_samples_say_nothing() -> None:
    assert wilson(0, 0, 3) == (0, 1)


def test_a_candidate_without_errors_passes() -> None:
    errors = verdicts((200, 0, 0), (200, 0, 0))["errors"]
    assert (errors.verdict, errors.samples, errors.baseline_samples) == ("Pass", 200, 200)


def test_clearly_more_errors_than_stable_fail_with_the_numbers() -> None:
    errors = verdicts((200, 40, 0), (200, 0, 0))["errors"]
    assert (errors.verdict, errors.reason) == ("Fail", "ErrorRatio")
    assert "40 of 200 errors beside 0 of 200 on stable" in errors.message
    assert errors.candidate == pytest.approx(0.2)
    assert errors.limit == pytest.approx(0.002)


def test_clearly_slower_answers_fail() -> None:
    found = verdicts((200, 0, 60), (200, 0, 0))
    assert (found["latency"].verdict, found["latency"].reason) == ("Fail", "SlowRatio")
    assert found["errors"].verdict == "Pass"


@pytest.mark.parametrize(
    ("candidate", "stable", "verdict", "who"),
    [
        pytest.param((49, 49, 0), (500, 0, 0), "Inconclusive", "candidate", id="few of candidate"),
        pytest.param((500, 500, 0), (49, 0, 0), "Inconclusive", "stable", id="few of stable"),
        pytest.param(NONE, (500, 0, 0), "NoData", "candidate", id="none of candidate"),
        pytest.param((500, 500, 0), NONE, "NoData", "stable", id="none of stable"),
    ],
)
def test_too_few_requests_never_decide(
    candidate: Counts, stable: Counts, verdict: str, who: str
) -> None:
    errors = verdicts(candidate, stable)["errors"]
    assert (errors.verdict, errors.reason) == (verdict, "TooFewRequests")
    assert f"more requests of {who}" in errors.message


def test_a_fault_that_stable_shares_blames_nobody() -> None:
    errors = verdicts((200, 200, 0), (200, 60, 0))["errors"]
    assert (errors.verdict, errors.reason) == ("Inconclusive", "SharedFault")


def test_one_error_among_few_requests_decide_nothing_yet() -> None:
    errors = verdicts((50, 1, 0), (500, 0, 0))["errors"]
    assert (errors.verdict, errors.reason) == ("Inconclusive", "Undecided")


def test_what_stable_does_too_is_within_the_limit() -> None:
    assert verdicts((2000, 20, 0), (2000, 20, 0))["errors"].verdict == "Pass"


@pytest.mark.parametrize(
    ("candidate", "stable"),
    [
        pytest.param((63, 0, 2), (188, 0, 0), id="two slow beside none of few on stable"),
        pytest.param((30, 0, 1), (30, 0, 0), id="one slow of thirty"),
    ],
)
def test_the_noise_of_stables_own_few_requests_is_not_held_against_the_candidate(
    candidate: Counts, stable: Counts
) -> None:
    """Both were a Fail while stable's ratio was taken as exact."""
    assert verdicts(candidate, stable, min_samples=30)["latency"].verdict != "Fail"


def test_a_wider_tolerance_lets_more_pass() -> None:
    wide = Tolerance(relative=0, absolute=0.5)
    assert verdicts((200, 40, 0), (200, 0, 0), tolerance=wide)["errors"].verdict == "Pass"


def test_no_proxy_that_answers_is_no_data_and_keeps_the_memory() -> None:
    memory = judge(None, [counted("router-a", {STABLE: (100, 0, 0)})], a_plan())[0].state
    errors, latency = judge(memory, [None, None], a_plan())
    assert {errors.verdict, latency.verdict} == {"NoData"}
    assert errors.reason == "ProviderError"
    assert errors.state == memory


def test_a_stable_that_answered_too_little_says_not_what_slow_is() -> None:
    tick = counted("router-a", {STABLE: (29, 0, 0), CANDIDATE: (500, 0, 500)})
    _, latency = judge(None, [tick], a_plan())
    assert (latency.verdict, latency.reason) == ("NoData", "TooFewRequests")
