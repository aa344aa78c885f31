"""What the simulator lets the operator read is what it says it simulates."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from slipway.api.counters import Counters, latency_edges

from tests.bench.analysis.arrivals import Arrivals, arrivals, bursts
from tests.bench.analysis.counted import Look, looks
from tests.bench.analysis.measure import at_most
from tests.bench.analysis.scenario import Scenario, log_normal
from tests.bench.analysis.simulate import CANDIDATE, STABLE, Run, bucket_shares, simulate

SHORT = Scenario("short", 20, seconds=600)


def run_of(scenario: Scenario) -> tuple[Run, list[Look]]:
    rng = np.random.default_rng(11)
    run = simulate(scenario, rng)
    return run, list(looks(run, rng))


def total(look: Look, role: int) -> int:
    return sum(answer.routes[role].requests for answer in look.answers if answer is not None)


def test_counters_grow_by_what_was_finished() -> None:
    run, seen = run_of(SHORT)
    grown = [total(b, STABLE) - total(a, STABLE) for a, b in pairwise(seen)]
    assert grown == run.requests[:, STABLE].sum(1).tolist()


def test_an_answer_is_a_valid_document_of_the_agent() -> None:
    _, seen = run_of(SHORT)
    answer = seen[-1].answers[0]
    assert answer is not None
    read = Counters.model_validate_json(answer.model_dump_json(by_alias=True))
    assert sum(read.routes[CANDIDATE].latency.counts) == read.routes[CANDIDATE].requests


def test_a_late_answer_is_that_of_half_a_minute_ago() -> None:
    _, prompt = run_of(SHORT)
    _, late = run_of(replace(SHORT, lag=30))
    assert total(late[60], STABLE) == total(prompt[54], STABLE)


def test_missing_answers_are_as_many_as_said() -> None:
    _, seen = run_of(replace(SHORT, gaps=0.05, seconds=3600))
    missing = sum(answer is None for look in seen for answer in look.answers)
    assert missing / (2 * len(seen)) == pytest.approx(0.05, abs=0.02)


def test_an_envoy_that_restarts_counts_from_zero_and_says_so() -> None:
    _, seen = run_of(replace(SHORT, restart=100))
    before, after = seen[20].answers[0], seen[21].answers[0]
    assert before is not None
    assert after is not None
    assert before.envoy_start < after.envoy_start
    assert after.routes[STABLE].requests < before.routes[STABLE].requests
    replaced = seen[-1].answers[0]
    assert replaced is not None
    assert replaced.proxy == "router-c"


def test_a_hung_candidate_holds_its_requests_until_the_clients_leave() -> None:
    run, seen = run_of(replace(SHORT, hung=True, onset=300))
    answers = [answer for answer in seen[-1].answers if answer is not None]
    active = sum(answer.routes[CANDIDATE].active for answer in answers)
    assert active == run.begun[-12:, CANDIDATE].sum()
    assert run.requests[60:, CANDIDATE].sum() == 0


def test_the_shares_of_the_buckets_are_those_of_the_log_normal() -> None:
    shares = bucket_shares(np.ones(()))
    assert shares.sum() == pytest.approx(1)
    edges = np.array(latency_edges())
    assert shares[:-1][edges <= 40].sum() == pytest.approx(0.5, abs=0.1)
    assert shares[:-1][edges <= 40 * np.exp(0.8)].sum() == pytest.approx(0.84, abs=0.05)


def test_means_come_from_the_same_distribution_whether_few_or_many() -> None:
    run, _ = run_of(replace(SHORT, rps=400, weight=0.01, seconds=3600))
    expected = 40 * np.exp(0.32)
    requests = run.requests.sum(2)
    assert np.average(run.mean_millis[:, 0], weights=requests[:, 0]) == pytest.approx(
        expected, rel=0.2
    )


def test_noise_has_mean_one_and_bursts_the_rate_and_silence_of_the_trace() -> None:
    rng = np.random.default_rng(5)
    assert log_normal(rng, 200_000, 0.6).mean() == pytest.approx(1, abs=0.05)
    counts = bursts(rng, 2.4, 50_000)
    assert counts.mean() == pytest.approx(12, rel=0.1)
    assert (counts == 0).mean() == pytest.approx(0.64, abs=0.03)
    assert counts.var() / counts.mean() == pytest.approx(48, rel=0.2)
    assert arrivals(Arrivals.BURSTS, rng, 2.4, 720).mean() == pytest.approx(12, rel=0.5)


def test_nothing_seen_in_300_runs_is_at_most_1_percent() -> None:
    assert at_most(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert at_most(0, 300) < 0.01 < at_most(1, 300)
