"""What a simulated service lets the operator read, and what is kept and said of many rollouts."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from slipway.api.counters import Counters, RouteCounters

from tests.bench.analysis import hours, tables_of_rollouts
from tests.bench.analysis.__main__ import LONG_CELLS
from tests.bench.analysis.bench import Bench, Cell
from tests.bench.analysis.page import write_tables
from tests.bench.analysis.promises import (
    OF_HOURS,
    OF_MARGINS,
    OF_PAIRS,
    OF_ROLLOUTS,
    Promise,
    answer_all,
    promoted,
    seconds_to_refuse,
)
from tests.bench.analysis.rollouts.behaviour import (
    Behaviour,
    End,
    answers,
    fates,
    hanging,
    slow_answers,
    streams,
)
from tests.bench.analysis.rollouts.case import Case, Outage, Truth
from tests.bench.analysis.rollouts.cases import bad_versions, good_versions
from tests.bench.analysis.rollouts.climb import Ending, Result, climb
from tests.bench.analysis.rollouts.outcome import CaseOutcome, interval
from tests.bench.analysis.rollouts.service import CANDIDATE, STABLE, Service
from tests.bench.analysis.seeds import seed_of, seeds
from tests.bench.analysis.shadow import (
    VERSIONS,
    PairsEnd,
    PairsOutcome,
    Version,
    compare,
    describe_pairs,
    make_table,
    seconds_at,
)
from tests.bench.analysis.store import MEASURED, Run, Store, code_hash
from tests.builders import NOON
from tests.pages import ROOT

NAMES, REVISIONS = ("router-a", "router-b"), ("cccccccc", "aaaaaaaa")


def served(case: Case, seconds: int, weight: float = 0.5) -> Service:
    """Return the service after so many seconds at one weight."""
    service = Service(case, np.random.default_rng(3))
    service.begin()
    for _ in range(seconds // 5):
        service.pass_tick(weight, None)
    return service


def told(service: Service) -> list[Counters]:
    return [tick for tick in service.answers(NAMES, REVISIONS, NOON) if tick is not None]


def of_revision(ticks: list[Counters], role: int) -> list[RouteCounters]:
    return [tick.routes[role] for tick in ticks]


def test_what_began_has_ended_or_is_in_flight() -> None:
    service = served(Case("slow", 50, stable=slow_answers(30, 0.02)), 300)
    for entry in of_revision(told(service), STABLE):
        assert entry.requests + entry.active == pytest.approx(50 * 300 / 4, rel=0.1)
        assert entry.active == pytest.approx(50 * 30 / 4, rel=0.5)
        assert sum(entry.latency.counts) == entry.requests


def test_a_page_is_what_an_agent_may_serve() -> None:
    for tick in told(served(Case("any", 10), 60)):
        assert Counters.model_validate_json(tick.model_dump_json(by_alias=True)) == tick


def test_what_hangs_stays_in_flight_and_is_no_error() -> None:
    service = served(Case("hang", 100, candidate=hanging(0.1), truth=Truth.BAD), 300)
    entries = of_revision(told(service), CANDIDATE)
    assert sum(entry.active for entry in entries) == pytest.approx(0.1 * 100 * 150, rel=0.1)
    assert sum(entry.errors for entry in entries) == pytest.approx(0.009 * 100 * 150, rel=0.3)
    assert service.harmed == pytest.approx(0.1 * 100 * 150, rel=0.1)


def test_a_stream_is_answered_at_once_and_in_flight_until_its_end() -> None:
    service = served(Case("streams", 20, stable=streams(120)), 300)
    for entry in of_revision(told(service), STABLE):
        assert entry.requests == entry.begun
        assert entry.active == entry.requests - sum(entry.latency.counts)
        assert entry.stream_responses == entry.stream_requests > entry.requests


def test_a_stream_that_hangs_sends_messages_and_is_never_answered() -> None:
    hung = Case("mute", 20, stable=streams(120), candidate=streams(120, hang=1.0))
    for entry in of_revision(told(served(hung, 300)), CANDIDATE):
        assert (entry.requests, entry.stream_responses) == (0, 0)
        assert entry.active == entry.begun
        assert entry.stream_requests > entry.begun


def test_what_hangs_is_an_error_at_the_timeout_and_not_before() -> None:
    case = Case("timeout", 100, candidate=hanging(0.2, 0.0), stable=answers(0.0), timeout=60)
    before, after = served(case, 55), served(case, 120)
    assert sum(entry.timeouts for entry in of_revision(told(before), CANDIDATE)) == 0
    timeouts = sum(entry.timeouts for entry in of_revision(told(after), CANDIDATE))
    assert timeouts == pytest.approx(0.2 * 50 * 60, rel=0.2)


def test_a_router_pod_that_is_replaced_counts_from_zero_and_says_so() -> None:
    before, after = (served(Case("reset", 100, resets=60), seconds) for seconds in (55, 60))
    assert told(before)[0].envoy_start != told(after)[0].envoy_start
    assert of_revision(told(after), STABLE)[0].requests == 0
    assert of_revision(told(after), STABLE)[1].requests > 0


def test_without_traffic_one_request_of_the_candidate_stays_open() -> None:
    service = served(Case("stop", 100, stops=(30, 600)), 300)
    entries = of_revision(told(service), CANDIDATE)
    assert sum(entry.active for entry in entries) == 1
    assert sum(entry.requests for entry in entries) == pytest.approx(30 * 50, rel=0.1)


def test_answers_that_are_late_are_those_of_half_a_minute_ago() -> None:
    service = Service(Case("late", 100, lag=30), np.random.default_rng(3))
    seen = []
    for _ in range(20):
        service.pass_tick(0.5, None)
        late = of_revision(told(service), STABLE)[0].requests
        seen.append((int(service.ended[1, 0].sum()), late))
    assert seen[19][1] == seen[13][0]


def test_a_look_reads_once_however_often_it_is_asked() -> None:
    service = Service(Case("late", 100, lag=30), np.random.default_rng(3))
    seen = []
    for _ in range(20):
        service.pass_tick(0.5, None)
        first, again = (of_revision(told(service), STABLE)[0].requests for _ in range(2))
        assert first == again
        seen.append((int(service.ended[1, 0].sum()), again))
    assert seen[19][1] == seen[13][0]


@pytest.mark.parametrize(
    ("case", "at", "baking", "bad"),
    [
        (Case("a", 1, candidate=answers(0.5), onset=60), 55, None, False),
        (Case("b", 1, candidate=answers(0.5), onset=60), 60, None, True),
        (Case("c", 1, candidate=answers(0.5), onset=60, in_bake=True), 300, None, False),
        (Case("d", 1, candidate=answers(0.5), onset=60, in_bake=True), 300, 60, True),
        (Case("e", 1, candidate=answers(0.5), every=300, lasts=60), 359, None, True),
        (Case("f", 1, candidate=answers(0.5), every=300, lasts=60), 360, None, False),
    ],
)
def test_a_candidate_is_bad_when_its_case_says(
    case: Case, at: float, baking: float | None, bad: bool
) -> None:
    wanted = case.candidate if bad else case.stable
    assert case.behaviour_of_candidate(at, baking) == wanted


def test_a_leak_grows_by_the_minute() -> None:
    leak = Case("leak", 1, grows=0.1, onset=300)
    assert leak.behaviour_of_candidate(420, None) == answers().slower(1.2)


def test_an_outage_covers_the_part_of_a_tick_that_it_lasts() -> None:
    burst = Outage(answers(0.5), lasts=1, every=60, begin=30)
    assert [burst.share_of_tick(at) for at in (0, 30, 35, 90)] == [0, 0.2, 0, 0.2]


@pytest.mark.parametrize("behaviour", [answers(), hanging(0.1), streams(120), slow_answers(20, 0)])
def test_the_fates_of_requests_are_all_there_are(behaviour: Behaviour) -> None:
    assert sum(kind.share for kind in behaviour.kinds) == pytest.approx(1)
    table = fates(behaviour, 1.0, 0)
    assert table.chances.sum() == pytest.approx(1)
    ended = fates(behaviour, 1.0, 10)
    assert ended.chances[-1] == 0
    assert np.all(ended.ticks + ended.later <= 2)
    assert End.HANGS not in ended.ends


def test_names_of_cases_are_seeds_and_so_all_different() -> None:
    names = [case.name for case in (*bad_versions(), *good_versions())]
    assert len(names) == len(set(names))
    assert all(case.truth is Truth.BAD for case in bad_versions())
    assert all(case.truth is Truth.GOOD for case in good_versions())


def test_a_fault_that_begins_in_the_bake_is_timed_from_there() -> None:
    case = Case("late", 1000, Truth.BAD, candidate=answers(0.5), in_bake=True, onset=30)
    ending = climb(case, seed_of(case.name, 0))
    assert ending.result is Result.ROLLED_BACK
    assert ending.found_after == ending.seconds - ending.at_full - 30


def test_a_rollout_without_a_verdict_at_the_deadline_is_held() -> None:
    case = Case("short", 1, rollout={"deadlineSeconds": 60})
    ending = climb(case, seed_of(case.name, 0))
    assert ending.result is Result.HELD
    assert ending.seconds <= 120


# ── what is kept, and what is said of it ──


def ended(result: Result, number: int = 1, **changes: float) -> list[Ending]:
    made = Ending(result, 100, 60, -1, 0.0, "", "")
    return [replace(made, **changes) for _ in range(number)]  # type: ignore[arg-type]


def squared(base: int, number: int) -> Run:
    return {"value": base * number**2}


def test_runs_that_are_kept_are_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    Store(path, "this").add("cell", {0: {"value": 7}})
    Store(path, "other").add("cell", {1: {"value": 8}})
    path.write_text(path.read_text() + '{"cell": "cut o')

    bench = Bench(Store(path, "this"), runs=3, jobs=1)
    assert bench.runs_of([Cell("cell", partial(squared, 2))]) == {
        "cell": [{"value": 7}, {"value": 2}, {"value": 8}]
    }
    assert Store(path, "this").missing("cell", 4) == [3]
    assert len(Store(path, None).of("cell", 3)) == 3


def test_a_cell_that_takes_long_is_shown_as_it_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl", "this")
    store.add("kept", {number: {"value": 7} for number in range(2)})
    bench = Bench(store, runs=2, jobs=1, unmeasured={"kept", "missing"})
    cells = [Cell(name, partial(squared, 2)) for name in ("kept", "missing")]
    assert bench.runs_of(cells) == {"kept": [{"value": 7}, {"value": 7}]}


def test_cells_that_take_long_are_cells_and_leave_every_promise_some() -> None:
    cases = {f"rollout: {case.name}" for case in (*bad_versions(), *good_versions())}
    assert cases >= LONG_CELLS
    for promise in OF_ROLLOUTS:
        assert {f"rollout: {cell}" for cell in promise.cells} - LONG_CELLS


def test_what_shows_the_figures_is_no_part_of_what_was_measured(tmp_path: Path) -> None:
    shutil.copytree(ROOT / MEASURED[-1], tmp_path / MEASURED[-1])
    before = code_hash(tmp_path)
    (tmp_path / MEASURED[-1] / "promises.py").write_text("")
    assert code_hash(tmp_path) == before
    (tmp_path / MEASURED[-1] / "hours.py").write_text("")
    assert code_hash(tmp_path) != before


def test_a_promise_is_broken_where_the_interval_lies_above_it() -> None:
    case = Case("hangs", 1)
    promise: Promise[CaseOutcome] = Promise("few", ("hangs",), 0.05, promoted)

    def is_broken(many: int) -> bool:
        endings = [*ended(Result.PROMOTED, many), *ended(Result.ROLLED_BACK, 200 - many)]
        (answer,) = promise.answers({"hangs": CaseOutcome(case, endings)})
        return answer.is_broken

    assert [is_broken(many) for many in (10, 14, 20)] == [False, False, True]


def test_promises_are_asked_where_their_cells_were_run() -> None:
    case = good_versions()[0]
    outcome = CaseOutcome(case, ended(Result.ROLLED_BACK, 200))
    found = [answer for answer in answer_all({case.name: outcome}, {}, {}, {}) if answer.is_broken]
    assert [(answer.text, answer.cell) for answer in found] == [(OF_ROLLOUTS[0].text, case.name)]


def test_every_promise_is_about_cells_that_there_are() -> None:
    names = {case.name for case in (*bad_versions(), *good_versions())}
    of_hours = {hour.name for hour in (*hours.quiet(), *hours.noisy(), *hours.faults())}
    assert {cell for promise in OF_ROLLOUTS for cell in promise.cells} <= names
    assert {cell for promise in OF_HOURS for cell in promise.cells} <= of_hours


def test_a_version_that_is_not_found_has_no_time_and_counts_as_last() -> None:
    case = Case("slow", 1)
    endings = [*ended(Result.PROMOTED, 8, at_full=300), *ended(Result.HELD, 2, at_full=-1)]
    assert CaseOutcome(case, endings).at_full_p90 == float("inf")
    assert CaseOutcome(case, endings[:9]).at_full_p90 == float("inf")
    assert CaseOutcome(case, [*endings[:8], *endings[:2]]).at_full_p90 == 300


def test_the_worst_is_shown_first() -> None:
    missed = CaseOutcome(Case("missed", 1), ended(Result.PROMOTED, 4))
    found = CaseOutcome(Case("found", 1), ended(Result.ROLLED_BACK, 4, found_after=30))
    lines = tables_of_rollouts.bad_versions([found, missed]).splitlines()
    assert "missed" in lines[2]
    assert "100% (39.8 to 100)" in lines[2]
    assert "30 s (30)" in lines[3]


def test_an_interval_is_that_of_clopper_and_pearson() -> None:
    assert list(interval(0, 200)) == pytest.approx([0, 0.0183], abs=1e-4)
    assert list(interval(5, 100)) == pytest.approx([0.0164, 0.1128], abs=1e-4)


def test_a_run_has_its_own_seed() -> None:
    draws = [rng.random() for rng in (*seeds("a", 2), *seeds("b", 2))]
    assert len(set(draws)) == 4
    assert draws[1] == seed_of("a", 1).random()


def test_the_documentation_says_what_is_measured_as_a_promise() -> None:
    texts = [promise.text for promise in OF_ROLLOUTS]
    texts += [promise.text for promise in OF_HOURS]
    texts += [promise.text for promise in OF_MARGINS]
    texts += [promise.text for promise in OF_PAIRS]
    page = " ".join((ROOT / "docs/analysis.md").read_text().split())
    promised = page.partition("## Promised")[2].partition("## Not promised")[0]
    assert [text for text in texts if text not in promised] == []


def test_tables_are_written_between_their_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- bad -->\nold\n<!-- /bad -->\n\nafter\n")
    write_tables(page, {"bad": "| new |", "good": "| none |"})
    assert page.read_text() == ("before\n\n<!-- bad -->\n\n| new |\n\n<!-- /bad -->\n\nafter\n")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_pairs_at_one_request_a_second_come_to_their_end_as_the_table_says(
    version: Version,
) -> None:
    end = PairsEnd(**compare(version, 1.0, 0))
    assert end.is_refused is not version.is_good
    assert end.seconds <= seconds_at(1.0)


def test_a_comparison_that_found_nothing_has_no_time_and_no_share() -> None:
    bad = next(version for version in VERSIONS if not version.is_good)
    missed = PairsOutcome([PairsEnd(is_refused=False, weight=95, seconds=400.0)])
    assert describe_pairs(bad, missed) == "found 0%"
    assert seconds_to_refuse(missed).figure == float("inf")


def test_a_table_of_pairs_can_be_made_of_some_cells_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "results.jsonl", "this")
    bench = Bench(store, 1, 1, "shadow: latency x 2, 100/s")
    made = make_table(bench, lambda _, number: {"number": number})
    assert "latency x 2" in made
    assert "found 100%" in made
