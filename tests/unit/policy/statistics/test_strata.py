"""The mean over strata: E[e] <= 1 counted out, whatever comes and goes, and what Ville promises."""

import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.policy.statistics.eprocess import FIRST_SHARE, RATIOS, Pair, bet_on_worse
from slipway.policy.statistics.strata import StrataMixture, most_evidence

RELATIVE, ABSOLUTE = 1.25, 0.002
ENOUGH = math.log(100.0)
MOST = most_evidence(ENOUGH)
ROUNDING = 1e-9
Counts = dict[str, tuple[int, int]]


def after(
    mixture: StrataMixture, pods: Counts, stable: tuple[int, int], placed: float = 0.1
) -> StrataMixture:
    strata = {
        key: each.after(
            bet_on_worse(Pair(*pods.get(key, (0, 0)), *stable), RELATIVE, ABSOLUTE),
            FIRST_SHARE if each.starts.kept >= 1 else placed,
            MOST,
        )
        for key, each in mixture.strata.items()
    }
    return StrataMixture(mixture.idle, strata)


def chance(events: int, total: int, rate: float) -> float:
    return math.comb(total, events) * rate**events * (1 - rate) ** (total - events)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 0.7])
@pytest.mark.parametrize("sizes", [((4, 4), 30), ((1, 6), 5), ((3, 3), 3)])
def test_pods_that_are_no_worse_win_nothing_on_average_though_they_share_stables_luck(
    sizes: tuple[tuple[int, int], int], rate: float
) -> None:
    (first, second), stable = sizes
    worst = min(1.0, RELATIVE * rate + ABSOLUTE)
    begun = StrataMixture().with_members(["a", "b"])

    whole = 0.0
    for k_a, k_b, k_s in product(range(first + 1), range(second + 1), range(stable + 1)):
        found = after(begun, {"a": (first, k_a), "b": (second, k_b)}, (stable, k_s))
        likely = chance(k_a, first, worst) * chance(k_b, second, worst)
        whole += likely * chance(k_s, stable, rate) * math.exp(found.log_e)

    assert whole <= 1 + ROUNDING


def test_a_product_over_pods_would_win_where_stable_is_lucky() -> None:
    """Why the mean: the same lucky stable makes every pod look worse."""
    rate, n_c, n_s = 0.3, 4, 6
    worst = RELATIVE * rate + ABSOLUTE
    whole = 0.0
    for k_s in range(n_s + 1):
        won = sum(
            chance(k_c, n_c, worst)
            * math.exp(bet_on_worse(Pair(n_c, k_c, n_s, k_s), RELATIVE, ABSOLUTE)[2])
            for k_c in range(n_c + 1)
        )
        whole += chance(k_s, n_s, rate) * won**8
    assert whole > 1.5


@given(turns=st.lists(st.sets(st.sampled_from("abcdefgh")), max_size=30), lost=st.floats(0, 50))
def test_pods_that_come_and_go_win_nothing_by_it(turns: list[set[str]], lost: float) -> None:
    mixture = StrataMixture()
    for number, present in enumerate(turns):
        before = mixture.log_e
        mixture = mixture.with_members(sorted(present))
        assert set(mixture.strata) == present
        assert mixture.log_e <= before + ROUNDING
        if number % 3 == 0:
            mixture = StrataMixture(
                mixture.idle,
                {
                    key: each.after((-lost,) * len(RATIOS), 0.5, MOST)
                    for key, each in mixture.strata.items()
                },
            )


def test_good_pods_that_are_replaced_all_the_time_are_rarely_suspected() -> None:
    """300 rollouts of 60 looks, two of four pods replaced in every tenth; at most 1% by promise."""
    rng = random.Random(1)
    suspected = 0
    for _ in range(300):
        mixture, names = StrataMixture(), ["a", "b", "c", "d"]
        for look in range(60):
            if look % 10 == 9:
                names = [*names[2:], f"{look}x", f"{look}y"]
            mixture = mixture.with_members(names)
            stable = sum(rng.random() < 0.05 for _ in range(150))
            pods = {key: (10, sum(rng.random() < 0.0645 for _ in range(10))) for key in names}
            mixture = after(mixture, pods, (150, stable), placed=0.01)
            if mixture.log_e >= ENOUGH:
                suspected += 1
                break
    assert suspected <= 6


def test_a_pod_that_is_replaced_takes_its_evidence_along() -> None:
    mixture = StrataMixture().with_members(["a", "b"])
    mixture = after(mixture, {"a": (50, 25), "b": (50, 0)}, (1000, 10))
    assert mixture.log_e > ENOUGH
    assert mixture.with_members(["b", "c"]).log_e < math.log(2.0)


def test_a_pod_that_has_healed_is_forgiven_within_a_few_hundred_requests() -> None:
    mixture = StrataMixture().with_members(["a", "b"])
    for _ in range(100):
        mixture = after(mixture, {"a": (50, 25), "b": (50, 0)}, (1000, 10), 0.001)
    assert ENOUGH < mixture.log_e <= MOST + 1
    for _ in range(8):
        mixture = after(mixture, {"a": (50, 0), "b": (50, 0)}, (1000, 10), 0.001)
    assert mixture.log_e < ENOUGH
