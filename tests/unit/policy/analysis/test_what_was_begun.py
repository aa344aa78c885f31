"""What was begun is counted: requests that hang, long answers, and streams."""

import math
from dataclasses import dataclass
from itertools import product

import pytest
from slipway.api.counters import Counters
from slipway.api.reasons import Reason
from slipway.api.verdict import Verdict
from slipway.policy.analysis.counter_deltas import (
    BEGUN,
    CounterDelta,
    advance_base,
    load_or_begin_base,
)
from slipway.policy.analysis.metrics.traffic_split import (
    CROWD,
    SplitMemory,
    load_split,
    log_chance_of_crowd,
)
from slipway.policy.analysis.plan import Plan
from slipway.policy.judgement import Judgement
from slipway.policy.statistics.eprocess import Pair, bet_on_worse

from tests.builders import NOON, counted, later
from tests.unit.policy.analysis.test_judge import CANDIDATE, STABLE, Counts, Run, said

ROUNDING = 1e-9


@dataclass
class Traffic(Run):
    """A rollout whose requests may hang, be given up, or be streams."""

    stable_active: int = 0
    given_up: int = 0
    """Requests of the candidate whose clients went away."""
    streams: tuple[int, int] = (0, 0)
    """Messages that were sent to the candidate's streams, and that came back."""
    stable_streams: tuple[int, int] = (0, 0)

    def tick(self) -> Counters:
        found = super().tick()
        flows = {
            CANDIDATE: (self.active, self.given_up, self.streams),
            STABLE: (self.stable_active, 0, self.stable_streams),
        }
        routes = []
        for entry in found.routes:
            active, given_up, (sent, came) = flows[entry.revision]
            seen = {
                "active": active,
                "begun": entry.requests + active + given_up,
                "stream_requests": sent,
                "stream_responses": came,
            }
            routes.append(entry.model_copy(update=seen))
        return found.model_copy(update={"routes": routes})

    def look_on(self, seconds: int, candidate: Counts, stable: Counts) -> dict[str, Judgement]:
        """Look every five seconds, with so much answered in each."""
        found = {}
        for _ in range(seconds // 5):
            found = self.look(candidate, stable)
        return found


# ── a Pass ──


def test_what_hangs_is_not_passed_for_its_silence() -> None:
    run = Traffic()
    run.active = 30
    found = run.look((170, 0, 0), (3800, 0, 0))
    assert said(found, "errors") == ("Inconclusive", "Undecided")
    assert "waiting for 30 requests that began at this weight" in found["errors"].message


def test_what_clients_gave_up_is_not_passed_either() -> None:
    run = Traffic()
    run.given_up = 30
    assert run.look((170, 0, 0), (3800, 0, 0))["errors"].verdict == "Inconclusive"


def test_a_version_that_answers_waits_for_nobody() -> None:
    run = Traffic()
    run.active, run.stable_active = 1, 19
    assert run.look((199, 0, 0), (3781, 0, 0))["errors"].verdict == "Pass"


def test_one_open_stream_holds_the_weight_until_there_are_enough_requests() -> None:
    run = Traffic({"next_weight": 95})
    run.active = 1
    assert run.look((320, 0, 0), (6080, 0, 0))["errors"].verdict == "Inconclusive"
    assert run.look((600, 0, 0), (11400, 0, 0))["errors"].verdict == "Pass"


def test_where_stable_is_slow_a_step_lasts_five_times_its_p99() -> None:
    run = Traffic(stable=(1000, 0, 500))  # a p99 of 60 s
    found = run.look((200, 0, 100), (3800, 0, 1900), seconds=290)
    assert said(found, "errors") == ("Inconclusive", "Undecided")
    assert "waiting 10 s, as some of stable's answers take so long" in found["errors"].message
    assert run.look(seconds=10)["errors"].verdict == "Pass"


def test_a_failure_counts_among_what_was_begun() -> None:
    """All that was answered so far failed, because failures are quick and answers take long."""
    run = Traffic()
    run.active, run.stable_active = 98, 1862
    found = run.look((2, 2, 0), (38, 38, 0))
    assert (found["errors"].samples, found["errors"].baseline_samples) == (100, 1900)
    assert found["errors"].verdict != "Fail"


# ── in flight ──


def test_a_tenth_that_hangs_for_ever_is_found_in_a_minute() -> None:
    run = Traffic()
    verdicts = []
    for number in range(12):
        run.active = (5 * number + 5) // 2
        verdicts.append(said(run.look((22, 0, 0), (475, 0, 0)), "traffic"))
    assert (Verdict.INCONCLUSIVE, Reason.UNDER_SUSPICION) in verdicts
    assert verdicts[-1] == ("Fail", "Unresponsive")


def test_the_crowd_is_said_in_numbers() -> None:
    run = Traffic()
    run.active, run.stable_active = 40, 38
    found = run.look_on(60, (20, 0, 0), (400, 0, 0))
    assert "40 have no answer, where stable's 38 lead to expect 2.0" in found["traffic"].message


@pytest.mark.parametrize(("candidate", "stable"), [(80, 1400), (220, 1400), (1, 0), (6, 0)])
def test_long_answers_are_no_crowd(candidate: int, stable: int) -> None:
    run = Traffic()
    run.active, run.stable_active = candidate, stable
    assert said(run.look_on(120, (20, 0, 0), (400, 0, 0)), "traffic") == ("Pass", "Answering")


def test_a_crowd_that_disperses_blames_nobody() -> None:
    run = Traffic()
    run.active = 40
    run.look_on(25, (20, 0, 0), (400, 0, 0))
    run.active = 1
    run.look((60, 0, 0), (400, 0, 0))
    run.active = 40
    found = run.look_on(25, (20, 0, 0), (400, 0, 0))
    assert said(found, "traffic") == ("Inconclusive", "UnderSuspicion")


@pytest.mark.parametrize("weight", [0.05, 0.25, 0.5, 0.8])
@pytest.mark.parametrize("total", [1, 7, 30, 80])
def test_the_chance_of_a_crowd_is_bounded_from_above(total: int, weight: float) -> None:
    odds = CROWD * weight / (1 - weight)
    allowed = odds / (1 + odds)
    tail = 0.0
    for count in range(total, -1, -1):
        tail += math.comb(total, count) * allowed**count * (1 - allowed) ** (total - count)
        bound = math.exp(log_chance_of_crowd(count, total - count, weight))
        assert tail <= bound + ROUNDING


def test_without_traffic_on_stable_there_is_nothing_to_expect() -> None:
    assert log_chance_of_crowd(50, 0, 1.0) == 0
    assert log_chance_of_crowd(0, 0, 0.05) == 0


# ── silence ──


@pytest.mark.parametrize(
    ("waiting", "verdict"), [(1, ("Inconclusive", "Undecided")), (2, ("Fail", "Unresponsive"))]
)
def test_silence_blames_where_more_than_one_hangs_while_stable_answers(
    waiting: int, verdict: tuple[str, str]
) -> None:
    run = Traffic()
    run.look((20, 0, 0), (380, 0, 0))
    run.active = waiting
    assert said(run.look_on(40, (0, 0, 0), (40, 0, 0)), "traffic") == verdict


def test_where_traffic_stops_what_is_open_blames_nobody() -> None:
    run = Traffic()
    run.look((20, 0, 0), (380, 0, 0))
    run.active = 3
    found = run.look_on(600, (0, 0, 0), (0, 0, 0))
    assert said(found, "traffic") == ("Inconclusive", "Undecided")


def test_a_new_service_of_long_streams_is_held_and_never_blamed() -> None:
    run = Traffic(stable=(20, 0, 20))
    run.active, run.stable_active = 3, 57
    found = run.look_on(600, (0, 0, 0), (3, 0, 3))
    assert said(found, "traffic") == ("Inconclusive", "Undecided")


# ── streams ──


def test_a_stream_on_which_messages_come_does_not_hang() -> None:
    run = Traffic()
    run.look((20, 0, 0), (380, 0, 0))
    run.active = 3
    for number in range(20):
        run.streams = (number, number)
        found = run.look((0, 0, 0), (7, 0, 0))
        assert said(found, "traffic") == ("Pass", "Answering")


@pytest.mark.parametrize(
    ("stable_answers", "verdict"),
    [(1, ("Fail", "Unresponsive")), (0, ("Pass", "Answering"))],
    ids=["stable's streams answer", "stable's streams do not answer either"],
)
def test_streams_that_take_messages_and_give_none_are_found(
    stable_answers: int, verdict: tuple[str, str]
) -> None:
    """All other requests are answered, so nothing else is silent."""
    run = Traffic()
    run.active, run.stable_active = 4, 76
    run.streams, run.stable_streams = (0, 0), (0, 0)
    found = {}
    for number in range(1, 15):
        run.streams = (2 * number, 0)
        run.stable_streams = (38 * number, 38 * number * stable_answers)
        found = run.look((20, 0, 0), (380, 0, 0))
    assert said(found, "traffic") == verdict


def test_a_stream_on_which_the_client_is_silent_is_no_evidence() -> None:
    run = Traffic()
    run.active, run.stable_active = 4, 76
    for number in range(1, 40):
        run.stable_streams = (38 * number, 38 * number)
        found = run.look((20, 0, 0), (380, 0, 0))
        assert said(found, "traffic") == ("Pass", "Answering")


# ── the counters ──

STEPS = ("2026-11-21T12:00:00.000Z", "2026-11-21T12:05:00.000Z")


def plan_of(step: int) -> Plan:
    return Plan(
        route="digits",
        candidate=CANDIDATE,
        stable=STABLE,
        step=STEPS[step],
        number=step + 1,
        warm_up_seconds=0,
    )


def document(answered: Pair, begun: tuple[int, int], *, knows_begun: bool = True) -> Counters:
    """Return a proxy's counters; `answered` has the failures among the answers."""
    counts = {CANDIDATE: (answered.n_c, answered.k_c, 0), STABLE: (answered.n_s, answered.k_s, 0)}
    found = counted("router-a", counts)
    routes = [
        entry.model_copy(
            update={
                "active": begun[index] - entry.requests,
                "begun": begun[index] if knows_begun else None,
            }
        )
        for index, entry in enumerate(found.routes)
    ]
    return found.model_copy(update={"routes": routes})


def deltas_over_a_weight_step(
    first: Pair, begun_first: tuple[int, int], last: Pair, begun_last: tuple[int, int]
) -> list[CounterDelta]:
    """Return what a step counts, what the next begins with, and what that one counts."""
    base = load_or_begin_base(None, plan_of(0), NOON)
    looks = [
        (Pair(), (0, 0), plan_of(0)),
        (first, begun_first, plan_of(0)),
        (first, begun_first, plan_of(1)),
        (last, begun_last, plan_of(1)),
    ]
    found = []
    for number, (answered, begun, plan) in enumerate(looks):
        base, delta = advance_base(base, [document(answered, begun)], plan, later(number))
        found.append(delta)
    return found[1:]


def test_what_is_in_flight_when_a_step_begins_belongs_to_it() -> None:
    step, beginning, next_step = deltas_over_a_weight_step(
        Pair(8, 1, 80, 4), (10, 100), Pair(14, 2, 120, 6), (18, 150)
    )
    begun = [(delta.candidate[BEGUN], delta.stable[BEGUN]) for delta in (step, beginning)]
    assert begun == [(10, 100), (2, 20)]
    assert (next_step.candidate[BEGUN], next_step.stable[BEGUN]) == (8, 50)


def test_an_agent_that_does_not_count_what_was_begun_is_read() -> None:
    old = document(Pair(8, 1, 80, 4), (10, 100), knows_begun=False).wire()
    for route in old["routes"]:
        del route["streamRequests"], route["streamResponses"]
        assert "begun" not in route
    read = Counters.model_validate(old)
    assert [entry.requests_begun for entry in read.routes] == [10, 100]


def test_a_split_that_an_older_operator_stored_is_read() -> None:
    raw = SplitMemory(step=Pair(n_c=3, n_s=4)).raw()
    old = {key: value for key, value in raw.items() if key in {"w", "k", "h", "m", "t"}}
    assert load_split(old) == SplitMemory(step=Pair(n_c=3, n_s=4))


# ── E[e] <= 1 over a weight step: all outcomes of few requests ──

FIRST, NEXT = (1, 9), (4, 4)
"""Begun at a tenth, and at half of the traffic: of the candidate, of stable."""
RATES = [0.05, 0.3, 0.6]


def chance(counts: tuple[int, ...], sizes: tuple[int, ...], rate: float) -> float:
    return math.prod(
        math.comb(size, count) * rate**count * (1 - rate) ** (size - count)
        for count, size in zip(counts, sizes, strict=True)
    )


def outcomes(rate: float) -> list[tuple[Pair, tuple[int, int], float]]:
    """Return the failures of both steps, all quick, and their chance; answers take until step 2."""
    sizes = (*FIRST, *NEXT)
    return [
        (Pair(*FIRST[:1], a, FIRST[1], b), (c, d), chance((a, b, c, d), sizes, rate))
        for a, b, c, d in product(*(range(size + 1) for size in sizes))
    ]


def mean_e(rate: float, among: int, tolerance: tuple[float, float]) -> list[float]:
    """Return E[e] of every bet, with the n of each look read from a column of the counters."""
    total = [0.0] * len(bet_on_worse(Pair(), *tolerance))
    for first, later_failures, likely in outcomes(rate):
        quick = Pair(first.k_c, first.k_c, first.k_s, first.k_s)
        c, d = later_failures
        last = Pair(FIRST[0] + c, first.k_c + c, FIRST[1] + d, first.k_s + d)
        begun = (FIRST[0] + NEXT[0], FIRST[1] + NEXT[1])
        won = [0.0] * len(total)
        for delta in deltas_over_a_weight_step(quick, FIRST, last, begun):
            of_candidate, of_stable = delta.candidate, delta.stable
            pair = Pair(of_candidate[among], of_candidate[1], of_stable[among], of_stable[1])
            won = [x + y for x, y in zip(won, bet_on_worse(pair, *tolerance), strict=True)]
        total = [old + likely * math.exp(log_e) for old, log_e in zip(total, won, strict=True)]
    return total


@pytest.mark.parametrize("tolerance", [(1.0, 0.0), (1.25, 0.002)])
@pytest.mark.parametrize("rate", RATES)
def test_by_what_was_begun_a_good_candidate_wins_nothing_over_a_weight_step(
    rate: float, tolerance: tuple[float, float]
) -> None:
    assert max(mean_e(rate, BEGUN, tolerance)) <= 1 + ROUNDING


@pytest.mark.parametrize("rate", RATES)
def test_by_what_was_finished_a_good_candidate_wins_against_itself(rate: float) -> None:
    """Why it is not counted so: quick failures of the arm that grew come before its answers."""
    assert max(mean_e(rate, 0, (1.0, 0.0))) > 1.1
