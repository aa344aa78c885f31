"""A burst of slow answers after a switch: one is the machine's, two are the version's."""

import json
import math
import random

import pytest
from slipway.api.modeldeployment import StableRecord
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.metric_memory import SPELLS, ShareMemory, encode_state, load_share
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    Pair,
    StartMixture,
    bet_on_above,
    share_begun_in_bake,
)
from slipway.policy.statistics.spells import SPELL_SECONDS, UNSPELLED, Spells

from tests.unit.policy.analysis.test_judge import Run

RECORD = StableRecord(
    requests=400, errors=0, slow_millis=200, slow=3, at="2026-11-21T12:00:00.000Z"
)
AFTER_SWITCH = {"is_bake": True, "weight": 100, "next_weight": 100, "recorded": RECORD}
LIMIT = 0.08
NONE, BURST = (40, 0, 0), (40, 0, 20)
"""Requests, errors and slow answers of two seconds at 20 requests per second."""
QUIET = [NONE] * 20


def slow_answers(run: Run, *looks: tuple[int, int, int]) -> list[Judgement]:
    """Return what each of the looks, two seconds apart, says of slow answers."""
    return [run.look(look, seconds=2)["latency-p99"] for look in looks]


def test_a_burst_just_after_the_switch_takes_no_good_version_back() -> None:
    said = slow_answers(Run(AFTER_SWITCH), BURST, BURST, *QUIET)
    assert Verdict.FAIL not in {item.verdict for item in said}
    assert (said[-1].verdict, said[-1].reason) == (Verdict.PASS, Reason.WITHIN_HARM)


def test_a_burst_in_the_middle_takes_no_good_version_back() -> None:
    said = slow_answers(Run(AFTER_SWITCH), *QUIET, BURST, BURST, *QUIET)
    assert Verdict.FAIL not in {item.verdict for item in said}


def test_a_version_that_stays_slow_is_taken_back_by_its_second_spell() -> None:
    said = slow_answers(Run(AFTER_SWITCH), *[BURST] * 10)
    verdicts = [item.verdict for item in said]
    assert verdicts[:9] == [Verdict.INCONCLUSIVE] * 9
    assert (verdicts[9], said[9].reason) == (Verdict.FAIL, Reason.SLOW_RATIO)


def test_slow_spells_far_apart_count_together() -> None:
    said = slow_answers(Run(AFTER_SWITCH), BURST, BURST, *QUIET, BURST, BURST, *QUIET)
    assert Verdict.FAIL in {item.verdict for item in said}


def test_errors_are_not_waited_for() -> None:
    failing = Run(AFTER_SWITCH).look((40, 20, 0), seconds=2)
    assert failing["errors"].verdict is Verdict.FAIL


def test_where_stable_answers_too_one_burst_of_the_candidate_is_enough() -> None:
    failing = Run().look((200, 0, 60), (3800, 0, 0))
    assert failing["latency-p99"].verdict is Verdict.FAIL


def test_what_is_held_back_is_the_worst_and_nothing_is_counted_twice() -> None:
    spells, counted = UNSPELLED, []
    for slow in (0, 9, 20, 1, 12):
        spells, evidence = spells.after(Pair(100, slow), SPELL_SECONDS, LIMIT)
        counted.append(evidence.k_c)
    assert counted == [0, 0, 9, 1, 12]
    assert spells.worst == Pair(100, 20)


def test_spells_are_read_as_they_were_stored() -> None:
    memory = ShareMemory(spells=Spells(4.0, Pair(80, 2), Pair(200, 31)))
    found = load_share(encode_state(memory.raw()))
    assert found is not None
    assert found.spells == memory.spells
    assert SPELLS not in ShareMemory().raw()


@pytest.mark.parametrize("damaged", [[1, 2, 3], [1, -2, 3, 4, 5], "x", None, [1, 2, 3, 4, "y"]])
def test_spells_that_cannot_be_read_are_a_memory_that_was_lost(damaged: object) -> None:
    raw = json.loads(encode_state(ShareMemory().raw()))
    assert load_share(json.dumps({**raw, SPELLS: damaged})) is None


def test_a_version_at_the_limit_is_taken_back_no_more_often_than_promised() -> None:
    draw = random.Random(3)
    runs = 1000
    taken_back = sum(is_ever_beyond(draw, requests=20) for _ in range(runs))
    assert taken_back <= 0.01 * runs


def is_ever_beyond(draw: random.Random, requests: int) -> bool:
    """Return whether ten minutes at the limit ever make 100:1 against a version."""
    starts, spells = StartMixture(), UNSPELLED
    for number in range(60):
        slow = sum(draw.random() < LIMIT for _ in range(requests))
        spells, evidence = spells.after(Pair(requests, slow), SPELL_SECONDS, LIMIT)
        at = number * SPELL_SECONDS
        placed = FIRST_SHARE if number == 0 else share_begun_in_bake(at, SPELL_SECONDS)
        starts = starts.after(bet_on_above(evidence, LIMIT), placed)
        if starts.log_e > math.log(100):
            return True
    return False
