"""The share test in arrays says the same as the operator's, look by look."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from slipway.policy.analysis.counter_deltas import CounterBase
from slipway.policy.analysis.judge import ERRORS
from slipway.policy.analysis.metric_memory import ShareMemory, StampedMemory, StoredState
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look
from slipway.policy.analysis.metrics.share import ASKED_FROM, ShareMetric, assess_share
from slipway.policy.analysis.plan import Plan
from slipway.policy.statistics.dispersion import ENOUGH
from slipway.policy.statistics.eprocess import NOTHING, Pair

from tests.bench.analysis.arrivals import Counts
from tests.bench.analysis.many_shares import ManyShares

SHARE = ShareMetric(ERRORS, "errors", "ErrorRatio", BudgetGroup.ERRORS)  # type: ignore[arg-type]
BEGAN = datetime(2026, 1, 5, 12, tzinfo=UTC)
LOOK_SECONDS = 5.0
RUNS = 3
UNSTORED = StoredState()


@dataclass(frozen=True)
class Step:
    """A weight, and for how many looks it is held."""

    weight: float
    next_weight: int
    looks: int
    is_bake: bool = False


STEPS = (Step(0.05, 10, 40), Step(0.2, 50, 20), Step(0.8, 95, 80, is_bake=True))


@dataclass
class OneShare:
    """The real code for one run, with its memory as text between stored looks."""

    stored: StoredState = UNSTORED
    pending: Pair = NOTHING
    waited: float = 0.0
    stepped: float = 0.0

    def look(self, pair: Pair, step: Step) -> Assessment:
        self.pending += pair
        self.waited += LOOK_SECONDS
        self.stepped += LOOK_SECONDS
        return self._assess(self.pending, self.waited, step, is_new_step=False)

    def begin_step(self, step: Step) -> None:
        self.stepped = 0.0
        self.store(self._assess(NOTHING, 0.0, step, is_new_step=True))

    def store(self, made: Assessment) -> None:
        assert made.judgement.memory is not None
        self.stored = StoredState(made.judgement.memory.encode())
        self.pending, self.waited = NOTHING, 0.0

    def _assess(self, pair: Pair, seconds: float, step: Step, *, is_new_step: bool) -> Assessment:
        plan = Plan("digits", "c", "s", next_weight=step.next_weight, is_bake=step.is_bake)
        base = CounterBase("c", "", BEGAN, BEGAN, BEGAN)
        now = BEGAN + timedelta(seconds=self.stepped)
        look = Look(plan, base, seconds, is_new_step, now, BEGAN)
        return assess_share(SHARE, pair, self.stored, look)


@pytest.mark.parametrize("onset", [0, 50, 75])
@pytest.mark.parametrize("rps", [1.0, 100.0, 1000.0])
def test_arrays_say_what_the_operator_says_look_by_look(rps: float, onset: int) -> None:
    """Runs side by side: two steps and the bake, a store every third look, a fault at a look."""
    rng = np.random.default_rng([int(rps), onset])
    ones, many = [OneShare() for _ in range(RUNS)], ManyShares(RUNS)
    every = np.ones(RUNS, bool)
    for number, step in enumerate(STEPS):
        margin = np.full(RUNS, 0.01 / (step.next_weight / 100))
        if number:
            many.begin_step(every, is_bake=step.is_bake)
            for one in ones:
                one.begin_step(step)

        for tick in range(step.looks):
            has_fault = tick + sum(earlier.looks for earlier in STEPS[:number]) >= onset
            pair = counts(rng, rps, step.weight, 0.05 if has_fault else 0.01)
            many.look(pair.astype(float), LOOK_SECONDS, margin)
            said = [
                one.look(Pair(*map(int, row)), step) for one, row in zip(ones, pair, strict=True)
            ]
            expect_the_same(many, said)
            if tick % 3 == 2 or tick == step.looks - 1:
                many.store(every)
                for one, made in zip(ones, said, strict=True):
                    one.store(made)


def counts(rng: np.random.Generator, rps: float, weight: float, candidate: float) -> Counts:
    """Draw requests and errors of every run in a look; stable has one percent."""
    n = rng.poisson([rps * LOOK_SECONDS * weight, rps * LOOK_SECONDS * (1 - weight)], (RUNS, 2))
    k = rng.binomial(n, [candidate, 0.01])
    return np.stack([n[:, 0], k[:, 0], n[:, 1], k[:, 1]], 1)


def memory_of(made: Assessment) -> ShareMemory:
    stamped = made.judgement.memory
    assert isinstance(stamped, StampedMemory)
    assert isinstance(stamped.memory, ShareMemory)
    return stamped.memory


def expect_the_same(many: ManyShares, said: list[Assessment]) -> None:
    real = np.array([made.log_e for made in said])
    assert many.log_e == pytest.approx(real, abs=0.01 + 2e-4 * np.abs(real).max())
    most = np.maximum(real, [made.log_peak for made in said])
    assert many.most_log_e == pytest.approx(most, abs=0.01 + 2e-4 * np.abs(most).max())

    asked = most >= ASKED_FROM + 0.02
    factors = many.guard_factors(asked)[asked]
    margins = np.array([made.guard_margin for made in said])[asked]
    near = 0.05 + 2e-3 * np.abs(factors).max(initial=0)
    assert factors - ENOUGH == pytest.approx(margins, abs=near)

    bests = [memory_of(made).best for made in said]
    assert many.best_now == pytest.approx(bests, abs=0.02)
