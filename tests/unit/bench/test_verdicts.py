"""The short form of ``make bench-analysis``: the operator's own analysis, with fixed seeds."""

from dataclasses import replace
from statistics import fmean, median

import pytest

from tests.bench.analysis.limits import limit
from tests.bench.analysis.measure import Cell, measure
from tests.bench.analysis.ours import RunVerdict, Slipway
from tests.bench.analysis.rollouts.behaviour import answers
from tests.bench.analysis.rollouts.case import Case, Truth
from tests.bench.analysis.rollouts.climb import Result, climb
from tests.bench.analysis.scenario import Scenario
from tests.bench.analysis.seeds import seeds
from tests.bench.analysis.simulate import simulate
from tests.bench.analysis.tables import TOLERANCE, found
from tests.bench.analysis.timing import look_millis

QUARTER = 600


def verdicts(scenario: Scenario, runs: int) -> list[RunVerdict]:
    return [Slipway().verdict(simulate(scenario, rng), rng) for rng in seeds(scenario.name, runs)]


@pytest.mark.parametrize("rps", [0.2, 10, 1000])
def test_versions_that_are_alike_are_not_rolled_back(rps: float) -> None:
    alike = Scenario(f"alike {rps}", rps, seconds=QUARTER)
    assert [made.fail for made in verdicts(alike, 2)] == [-1, -1]


def test_a_fault_is_found_with_few_more_requests_than_any_test_needs() -> None:
    fault = Scenario("fault", 100, candidate=0.05, seconds=300)
    cell = measure(fault, 10, peers=())[0]
    assert cell.share == 1
    needed = limit(0.01, 0.05, 0.05, **TOLERANCE)
    assert fmean(stop.requests for stop in cell.stops) < 3 * needed


def test_an_outage_of_both_is_nobodys_fault() -> None:
    outage = Scenario("outage", 100, outage=(120, 300, 0.1), seconds=QUARTER)
    assert [made.fail for made in verdicts(outage, 2)] == [-1, -1]


def test_a_candidate_that_hangs_is_found_though_it_counts_nothing() -> None:
    hung = Scenario("hung", 10, hung=True, onset=120, seconds=QUARTER)
    made = verdicts(hung, 1)
    assert all(verdict.fail * 5 > 120 for verdict in made), made
    healthy = verdicts(replace(hung, hung=False), 1)
    assert [verdict.fail for verdict in healthy] == [-1]


def test_answers_that_are_late_or_missing_change_no_verdict() -> None:
    alike = Scenario("patchy", 100, gaps=0.05, lag=30, restart=300, seconds=QUARTER)
    assert [made.fail for made in verdicts(alike, 1)] == [-1]
    worse = verdicts(replace(alike, candidate=0.05), 3)
    assert all(0 < verdict.fail * 5 < 300 for verdict in worse), worse


def test_a_good_version_climbs_fast_and_a_bad_one_does_little_harm() -> None:
    good = [climb(Case("good", 100), rng) for rng in seeds("good", 1)]
    assert {ending.result for ending in good} == {Result.PROMOTED}
    assert median(ending.at_full for ending in good) <= 300
    worse = Case("bad", 100, Truth.BAD, candidate=answers(0.05))
    bad = [climb(worse, rng) for rng in seeds("bad", 3)]
    assert {ending.result for ending in bad} == {Result.ROLLED_BACK}
    assert median(ending.harmed for ending in bad) < 40


def test_every_metric_of_twelve_is_judged_within_one_look() -> None:
    assert len(look_millis(12, seconds=60)) == 13


def test_the_tables_say_where_nothing_was_found() -> None:
    assert found(Cell("Slipway", Scenario("nothing", 1), 300, ())) == "not found"
