"""A fault of the bake that comes and goes: what a bad minute has shown, the good ones keep."""

import json
import math
from itertools import product
from typing import Any

import pytest
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.merge import merge_evidence
from slipway.policy.analysis.metric_memory import BAKED, ShareMemory, encode_state, load_share
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.dispersion import BAKE, DispersionGuard
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    NEVER,
    Pair,
    StartMixture,
    bet_on_worse,
    share_begun_in_bake,
)

from tests.unit.policy.analysis.test_judge import Run

IN_BAKE = {"is_bake": True, "weight": 80, "next_weight": 95}
GOOD, BAD = 4, 20
"""Errors of 400 requests, where stable has one of a hundred."""
LOOKS = 12
"""In a minute."""


def minutes(run: Run, errors: int, number: int = 1) -> list[Judgement]:
    """Return what is said of errors at each look of so many minutes."""
    looks = (run.look((400, errors, 0), (100, 1, 0)) for _ in range(number * LOOKS))
    return [found["errors"] for found in looks]


def a_bake(**changes: Any) -> Run:
    """Return a bake in which all is well for two minutes."""
    run = Run(IN_BAKE | changes)
    minutes(run, GOOD, 2)
    return run


def test_a_bad_minute_is_held_against_a_version_through_the_good_ones() -> None:
    run = a_bake()
    worst = minutes(run, BAD)[-1]
    after = minutes(run, GOOD, 3)[-1]

    assert (worst.verdict, worst.reason) == (Verdict.INCONCLUSIVE, Reason.ARM_NOISE)
    assert worst.message.startswith("the candidate is worse, but within pod-to-pod noise: errors")
    assert (after.verdict, after.reason) == (Verdict.INCONCLUSIVE, Reason.ARM_NOISE)
    assert after.message.startswith(
        "the candidate was worse for a while, but within pod-to-pod noise"
    )


def test_good_minutes_enough_tell_that_a_bad_one_was_no_noise() -> None:
    run = a_bake()
    minutes(run, BAD)
    failed = [item for item in minutes(run, GOOD, 5) if item.verdict is Verdict.FAIL]
    assert "against the candidate while it was worse" in failed[0].message


def test_a_fail_by_what_is_over_says_that_it_is() -> None:
    found = merge_evidence([an_assessment(log_e=1.0, log_peak=9.0, guard_margin=0.5)], 0.01)
    assert found[0].judgement.verdict is Verdict.FAIL
    assert "against the candidate while it was worse (rolls back at 100:1)" in said_of(found)


def test_a_peak_that_was_not_enough_alone_is_no_evidence_any_more() -> None:
    found = merge_evidence([an_assessment(log_e=1.0, log_peak=4.0, guard_margin=0.5)], 0.01)
    assert found[0].judgement.verdict is Verdict.PASS


def test_in_a_step_nothing_is_held_against_a_version_that_got_over_it() -> None:
    run = a_bake(is_bake=False)
    minutes(run, BAD)
    assert minutes(run, GOOD, 8)[-1].verdict is Verdict.PASS


def test_a_good_bake_says_nothing_of_the_kind() -> None:
    run = a_bake()
    assert {item.reason for item in minutes(run, GOOD, 8)} == {Reason.WITHIN_HARM}


def test_good_minutes_say_how_little_the_arms_scatter() -> None:
    good, bad = Pair(3600, 36, 900, 9), Pair(3600, 180, 900, 9)
    guard = DispersionGuard(phase=BAKE)
    for _ in range(3):
        guard = guard.after(good, BAKE.block_seconds)

    after_bad = guard.after(bad, BAKE.block_seconds)
    later = after_bad
    for _ in range(5):
        later = later.after(good, BAKE.block_seconds)
    assert later.log_factor > after_bad.log_factor > 0


def test_a_bake_of_hours_still_has_something_for_a_late_fault() -> None:
    for look in (5.0, 30.0, 60.0):
        kept, at = 1.0, 0.0
        while at < 3600:
            kept *= 1 - share_begun_in_bake(at, look)
            at += look
        assert kept == pytest.approx(1 / (1 + 3600 / 600))


def test_a_memory_of_a_bake_is_read_as_it_was_stored() -> None:
    guard = DispersionGuard(phase=BAKE)
    for errors in (180, 36, 36):
        guard = guard.after(Pair(3600, errors, 900, 9), BAKE.block_seconds)
    found = load_share(encode_state(ShareMemory(peak=7.25, guard=guard).raw()))
    assert found is not None
    assert found.peak == pytest.approx(7.25)
    assert found.guard.over == pytest.approx(guard.settled.over, rel=1e-3, abs=1e-3)


def test_a_memory_of_an_operator_that_knew_no_peak_is_read() -> None:
    raw = json.loads(encode_state(ShareMemory(peak=7.25).raw()))
    assert raw.pop(BAKED)
    found = load_share(json.dumps(raw))
    assert found is not None
    assert found.peak == NEVER
    assert found.guard.over == DispersionGuard().over


@pytest.mark.parametrize("alpha", [0.5, 0.2, 0.05])
@pytest.mark.parametrize("rate", [0.1, 0.4])
def test_a_version_that_is_no_worse_rarely_has_a_peak_that_is_enough(
    rate: float, alpha: float
) -> None:
    """All outcomes of three looks of a bake: Ville's inequality bounds the greatest of them.

    Two metrics see the same requests, so that they fail together; each has half of the budget.
    """
    outcomes = [
        (Pair(2, k_c, 2, k_s), _binomial(k_c, 2, rate) * _binomial(k_s, 2, rate))
        for k_c, k_s in product(range(3), repeat=2)
    ]
    wrong = 0.0
    for path in product(outcomes, repeat=3):
        starts, peak, chance = StartMixture(), NEVER, 1.0
        for number, (pair, likely) in enumerate(path):
            share = share_begun_in_bake(30 * number, 30) if number else FIRST_SHARE
            starts = starts.after(bet_on_worse(pair, 1.0, 0.0), share)
            peak, chance = max(peak, starts.log_e), chance * likely
        metrics = [
            an_assessment(log_e=starts.log_e, log_peak=peak, name=name, group=group)
            for name, group in (("one", BudgetGroup.SLOW), ("two", BudgetGroup.REST))
        ]
        verdicts = {item.judgement.verdict for item in merge_evidence(metrics, alpha)}
        wrong += chance * (Verdict.FAIL in verdicts)
    assert wrong <= alpha


def _binomial(count: int, total: int, rate: float) -> float:
    return math.comb(total, count) * rate**count * (1 - rate) ** (total - count)


def an_assessment(
    *,
    log_e: float,
    log_peak: float,
    guard_margin: float = math.inf,
    name: str = "errors",
    group: BudgetGroup = BudgetGroup.REST,
) -> Assessment:
    judgement = Judgement(name, Verdict.PASS, Reason.WITHIN_HARM, "")
    return Assessment(judgement, group, log_e, guard_margin, log_peak=log_peak)


def said_of(found: list[Assessment]) -> str:
    return found[0].judgement.message
