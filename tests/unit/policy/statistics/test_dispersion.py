"""The dispersion guard: what noise explains, and what it does not."""

import math
import random

from slipway.policy.analysis.metric_memory import (
    ShareMemory,
    encode_state,
    load_share,
)
from slipway.policy.statistics.dispersion import BAKE, ENOUGH, STEPS, DispersionGuard
from slipway.policy.statistics.eprocess import Pair


def blocks(ratios: list[float], *, requests: int = 9000) -> DispersionGuard:
    """Return what full blocks say whose candidate has so many times stable's 1 % of events."""
    noise = DispersionGuard()
    for ratio in ratios:
        pair = Pair(requests, round(requests * 0.01 * ratio), 19 * requests, 19 * requests // 100)
        noise = noise.after(pair, STEPS.block_seconds)
    return noise


def test_equal_arms_never_consent_to_a_rollback() -> None:
    assert blocks([1.0] * 20).log_factor < 0


def test_one_block_of_twice_the_errors_may_be_noise() -> None:
    assert blocks([2.0]).log_factor < ENOUGH


def test_twice_the_errors_in_every_block_is_no_noise() -> None:
    assert blocks([2.0] * 4).log_factor > ENOUGH


def test_arms_that_scatter_are_believed_to_scatter_on() -> None:
    scattered = [0.4, 2.2, 0.9, 0.5, 1.8, 0.6, 1.2, 0.5]
    assert blocks([*scattered, 2.0, 2.0]).log_factor < ENOUGH
    assert blocks([1.0] * len(scattered) + [2.0, 2.0]).log_factor > ENOUGH


def test_a_block_that_no_noise_explains_is_enough() -> None:
    assert blocks([20.0], requests=500).log_factor > ENOUGH


def test_few_events_are_not_held_back() -> None:
    """Five errors of five requests, where stable has 1 %: as at 0.5 requests/s."""
    noise = DispersionGuard().after(Pair(5, 5, 95, 1), 10.0)
    assert noise.log_factor > ENOUGH


def test_a_full_block_says_the_same_whenever_it_is_closed() -> None:
    full, more = blocks([2.0, 1.0]), Pair(900, 30, 9000, 90)
    assert full.settled == full.closed() != full
    assert full.log_factor == full.settled.log_factor
    assert full.after(more, 5.0) == full.settled.after(more, 5.0)


def test_a_fault_that_appears_in_the_bake_is_seen_on_a_twentieth_of_stable() -> None:
    noise = DispersionGuard()
    for _ in range(60):
        noise = noise.after(Pair(475, 0, 25, 0), 5.0)
    for _ in range(6):
        noise = noise.after(Pair(475, 95, 25, 0), 5.0)
    assert noise.log_factor > ENOUGH


def test_what_is_stored_goes_on_as_what_was_not() -> None:
    chance = random.Random(7)
    kept = stored = ShareMemory()
    for _ in range(100):
        pair = Pair(50, int(chance.random() * 3), 950, int(chance.random() * 20))
        kept = ShareMemory(guard=kept.guard.after(pair, 15.0))
        stored = ShareMemory(guard=stored.guard.after(pair, 15.0))
        found = load_share(encode_state(stored.raw()))
        assert found is not None
        stored = found
    assert math.isclose(kept.guard.log_factor, stored.guard.log_factor, abs_tol=0.02)


def test_a_version_that_is_bad_at_once_is_believed_sooner_than_one_that_turns_bad() -> None:
    """Noise has one chance in the first block of a rollout, and dozens after it."""
    minute = Pair(300, 15, 5700, 57)
    quiet = [1.0] * 3
    assert DispersionGuard().after(minute, 60.0).log_factor > ENOUGH
    assert blocks(quiet, requests=900).after(minute, 60.0).log_factor < ENOUGH


def test_the_bake_believes_a_late_fault_sooner_than_a_step_does() -> None:
    """Two minutes in which arms are alike, and then two of five times the errors."""
    for phase, is_enough in ((STEPS, False), (BAKE, True)):
        found = DispersionGuard(phase=phase).after(Pair(2500, 25, 7500, 75), 100.0)
        for _ in range(2):
            found = found.after(Pair(4800, 48, 1200, 12), 60.0)
        for _ in range(2):
            found = found.after(Pair(4800, 240, 1200, 12), 60.0)
        assert (found.log_factor > ENOUGH) is is_enough
