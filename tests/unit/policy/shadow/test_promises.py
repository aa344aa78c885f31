"""What pairs and steps promise together, counted out on small cases: no simulation, no luck."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import astuple

import pytest
from slipway.api.modeldeployment import ShadowState, ShadowStatus
from slipway.api.verdict import Verdict
from slipway.policy.analysis.pairs.judge_pairs import FEWEST, SURE, PairsPlan, judge_pairs
from slipway.policy.shadow.budget import (
    FALSE_PASS,
    OF_PAIRS,
    evidence_to_pass,
    share_left,
)
from slipway.policy.shadow.counts import PairCounts, PairsMemory
from slipway.policy.statistics.eprocess import BETTER_BETS, Pair, bet_on_better, log_better
from slipway.policy.statistics.pairs import PairTable, log_for

COMPARED = ShadowStatus(state=ShadowState.ENDED, pairs=400)
Counts = tuple[int, ...]
"""How many pairs, or requests, of each kind came so far."""


def chance_of_crossing(
    chances: Sequence[float], looks: int, crosses: Callable[[Counts], bool], first: int = 1
) -> float:
    """Return the chance that it crosses at any look from the first on, one after each event."""
    paths: dict[Counts, float] = {(0,) * len(chances): 1.0}
    crossed = 0.0
    for number in range(1, looks + 1):
        after: dict[Counts, float] = defaultdict(float)
        for counts, chance in paths.items():
            for kind, weight in enumerate(chances):
                more = (*counts[:kind], counts[kind] + 1, *counts[kind + 1 :])
                after[more] += chance * weight
        paths = {}
        for counts, chance in after.items():
            if number >= first and crosses(counts):
                crossed += chance
            else:
                paths[counts] = chance
    return crossed


@pytest.mark.parametrize("excess", [0.2, 0.3])
@pytest.mark.parametrize("stable", [0.0, 0.1])
def test_a_weight_with_too_much_harm_is_reached_once_in_twenty_rollouts_at_most(
    excess: float, stable: float
) -> None:
    """By the pairs at any look, or else by the step before it at any look."""
    bad = stable + excess
    pair_chances = ((1 - stable) * bad, stable * (1 - bad), stable * bad, (1 - stable) * (1 - bad))

    def pairs_allow(counts: Counts) -> bool:
        only_candidate, only_stable, both, _ = counts
        table = PairTable(sum(counts), only_candidate, only_stable, both)
        return log_for(table, 1.0, excess) >= SURE

    # As many requests go to either side, which the step counts by themselves.
    enough = evidence_to_pass(COMPARED)

    def step_passes(counts: Counts) -> bool:
        only_candidate, only_stable, both, _ = counts
        size = sum(counts)
        seen = Pair(size, only_candidate + both, size, only_stable + both)
        return log_better(tuple(bet_on_better(seen, 1.0, excess, BETTER_BETS))) >= enough

    by_pairs = chance_of_crossing(pair_chances, 26, pairs_allow)
    by_step = chance_of_crossing(pair_chances, 26, step_passes)
    assert by_pairs > 0
    assert by_pairs + by_step <= FALSE_PASS


def test_a_rollout_without_pairs_has_all_of_the_promise_for_its_steps() -> None:
    never = ShadowStatus(state=ShadowState.ENDED, pairs=0)
    assert evidence_to_pass(None) == evidence_to_pass(never) == -math.log(FALSE_PASS)
    parts = math.exp(-SURE) + math.exp(-evidence_to_pass(COMPARED))
    assert parts == pytest.approx(FALSE_PASS)


def test_pairs_and_steps_share_the_budget_of_false_alarms() -> None:
    off = ShadowStatus(state=ShadowState.OFF)
    assert share_left(None) == share_left(off) == 1
    assert share_left(COMPARED) + OF_PAIRS == 1


SHARE = 0.1
"""Of errors on the candidate alone, and of other answers: both at their limits."""
AT_EVERY_LIMIT = {
    "apart": (
        (SHARE, PairCounts(pairs=1, worse=1)),
        (0.09, PairCounts(pairs=1, differing=1, timed=1)),
        (0.45, PairCounts(pairs=1, agreed=1, timed=1, slower=1)),
        (0.36, PairCounts(pairs=1, agreed=1, timed=1)),
    ),
    "together": (
        (SHARE, PairCounts(pairs=1, worse=1)),
        (0.09, PairCounts(pairs=1, differing=1, timed=1, slower=1)),
        (0.36, PairCounts(pairs=1, agreed=1, timed=1, slower=1)),
        (0.45, PairCounts(pairs=1, agreed=1, timed=1)),
    ),
}
"""Kinds of pair with their chances: a tenth fails, a tenth of the answers differs, half is slow."""


@pytest.mark.parametrize("kinds", AT_EVERY_LIMIT.values(), ids=AT_EVERY_LIMIT)
def test_a_version_at_every_limit_at_once_is_refused_no_more_often_than_promised(
    kinds: Sequence[tuple[float, PairCounts]],
) -> None:
    """The judge itself, at every look, whether the faults come in the same pairs or not."""
    plan = PairsPlan(absolute=SHARE, min_agreement=1 - SHARE, false_refusal=0.3, min_pairs=10**6)

    def refuses(counts: Counts) -> bool:
        seen = sum(
            (_times(kind, count) for count, (_, kind) in zip(counts, kinds, strict=True)),
            PairCounts(),
        )
        judgements, _ = judge_pairs(PairsMemory(seen), plan)
        return any(item.verdict is Verdict.FAIL and item.may_decide for item in judgements)

    chances = [chance for chance, _ in kinds]
    refused = chance_of_crossing(chances, FEWEST + 1, refuses, first=FEWEST)
    assert 0 < refused <= plan.false_refusal


def _times(kind: PairCounts, count: int) -> PairCounts:
    return PairCounts(*(count * number for number in astuple(kind)))
