"""Hostile numbers: whatever comes, the judge answers, and nothing but evidence blames."""

import json
import math
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.api.counters import Counters, Latency, PodCounters
from slipway.api.modeldeployment import STATE_LENGTH, AnalysisMode
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.counter_deltas import load_or_begin_base
from slipway.policy.analysis.inputs import (
    Binned,
    Count,
    Counted,
    LookInputs,
    Reading,
    Stated,
    Sum,
    Summed,
    Valued,
)
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.merge import merge_evidence
from slipway.policy.analysis.metric_memory import StoredState, round_down
from slipway.policy.analysis.metrics.assessment import Assessment, BudgetGroup, Look
from slipway.policy.analysis.metrics.by_reading import assess_reading
from slipway.policy.analysis.plan import MetricPlan, Plan
from slipway.policy.judgement import Judgement, Role, texts_of
from slipway.policy.statistics.eprocess import (
    FIRST_SHARE,
    RATIO_SHARES,
    StartMixture,
    share_begun_within,
)

from tests.builders import NOON, counted

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
STEP = "2026-11-21T12:00:00.000Z"
DAY = 86_400.0
HUGE = 10**12
UNREAD = Why(Reason.METRICS_UNAVAILABLE, "no answer")
NAMES = ("shares", "sums", "values")
METRICS = (
    MetricPlan("shares", max_increase=0.25),
    MetricPlan("sums", Role.ADVISORY, max_increase=0.25),
    MetricPlan("values", maximum=3.0),
    MetricPlan("told", Role.REPORT_ONLY),
)


@dataclass
class Watched:
    """A rollout that is looked at, with a clock that may be set, and what is stored of it."""

    changes: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOON
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        wanted = {"step": STEP, "warm_up_seconds": 0, "metrics": METRICS, **self.changes}
        return Plan(route="digits", candidate=CANDIDATE, stable=STABLE, **wanted)

    def look(
        self,
        ticks: tuple[Counters | None, ...],
        readings: dict[str, Reading] | None = None,
        *,
        seconds: float = 5,
        stores: bool = True,
    ) -> dict[str, Judgement]:
        self.now += timedelta(seconds=seconds)
        found = judge(self.texts, LookInputs(ticks, readings or {}), self.plan, self.now)
        texts = texts_of(found)
        assert all(len(text) <= STATE_LENGTH for text in texts.values())
        if stores:
            self.texts |= texts
        return {item.name: item for item in found}


def fails(found: dict[str, Judgement]) -> list[str]:
    decided = (item for item in found.values() if item.role is not Role.REPORT_ONLY)
    return [f"{item.name}: {item.message}" for item in decided if item.verdict is Verdict.FAIL]


# ── whatever comes, there is an answer ──

COUNTS = st.integers(-5, 50) | st.integers(-HUGE, HUGE) | st.sampled_from([HUGE, 10**30, 10**400])
FLOATS = st.floats() | st.floats(-10, 10) | st.sampled_from([1e308, -1e308, 5e-324, 0.0])
GAPS = st.sampled_from([0.0, 5.0, 30.0, 61.0, 3600.0, 3 * DAY, -5.0, -3 * DAY, 900 * DAY])


PODS = st.none() | st.lists(
    st.builds(
        PodCounters.model_construct, address=st.sampled_from("abc"), requests=COUNTS, errors=COUNTS
    ),
    max_size=4,
)


@st.composite
def documents(draw: st.DrawFn) -> Counters | None:
    if draw(st.integers(0, 4)) == 0:
        return None
    arms = {name: (draw(COUNTS), 0, 0) for name in (STABLE, CANDIDATE)}
    routes = []
    for entry in counted("router-a", arms).routes:
        edges = draw(st.lists(FLOATS, max_size=4))
        latency = draw(
            st.sampled_from([entry.latency, Latency.model_construct(edges_millis=edges, counts=[])])
        )
        counts = draw(st.lists(COUNTS, max_size=5)) or latency.counts
        changes = {
            "errors": draw(COUNTS),
            "pods": draw(PODS),
            "active": draw(COUNTS),
            "latency": Latency.model_construct(edges_millis=latency.edges_millis, counts=counts),
        }
        routes.append(entry.model_copy(update=changes))

    proxy, start = draw(st.sampled_from("ab")), draw(st.sampled_from(["1", "2", "x\ud800"]))
    found = counted(f"router-{proxy}", {}, start="1")
    return found.model_copy(update={"routes": routes, "envoy_start": start})


SOURCES = st.sampled_from(["pod-a", "pod-b", ""])
READINGS: st.SearchStrategy[Reading] = st.one_of(
    st.just(UNREAD),
    st.builds(Valued, FLOATS, st.none() | FLOATS),
    st.builds(
        Counted,
        st.dictionaries(SOURCES, st.builds(Count, COUNTS, COUNTS)),
        st.dictionaries(SOURCES, st.builds(Count, COUNTS, COUNTS)),
    ),
    st.builds(
        Summed,
        st.dictionaries(SOURCES, st.builds(Sum, COUNTS, FLOATS)),
        st.dictionaries(SOURCES, st.builds(Sum, COUNTS, FLOATS)),
    ),
    st.builds(Binned, st.dictionaries(SOURCES, FLOATS), st.dictionaries(SOURCES, FLOATS)),
    st.just(Stated(Verdict.PASS, Why(Reason.NO_RESTARTS, "none"))),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "step": st.sampled_from([STEP, "2026-11-21T12:05:00.000Z", "", "soon", "2026-11-21"]),
        "number": st.integers(1, 4),
        "weight": st.sampled_from([1, 5, 95, 100]),
        "next_weight": st.sampled_from([1, 25, 100]),
        "mode": st.sampled_from(list(AnalysisMode)),
        "warm_up_seconds": st.sampled_from([0.0, 10.0, 3600.0]),
        "interval_seconds": st.sampled_from([1.0, 5.0, 3600.0]),
    },
)
LOOKS = st.fixed_dictionaries(
    {
        "ticks": st.lists(documents(), max_size=2).map(tuple),
        "readings": st.dictionaries(st.sampled_from([*NAMES, "told", "unknown"]), READINGS),
        "seconds": GAPS,
        "stores": st.booleans(),
    }
)


@settings(max_examples=150)
@given(looks=st.lists(st.tuples(CHANGES, LOOKS), min_size=1, max_size=6))
def test_the_judge_answers_whatever_comes(
    looks: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    run = Watched()
    for changes, look in looks:
        run.changes = changes
        found = run.look(**look)
        assert {item.name for item in METRICS} <= found.keys()
        numbers = [
            number
            for item in found.values()
            for number in (item.candidate, item.baseline, item.limit, *item.looks)
            if number is not None
        ]
        assert all(map(math.isfinite, numbers))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-HUGE, HUGE) | st.just(10**400) | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[list[int], Any]]:
    """Places in a memory, each as the turns that lead there, and what stands there instead."""
    places = st.lists(st.integers(0, 40), min_size=1, max_size=4)
    return draw(st.lists(st.tuples(places, JSON | st.just("2026-11-21T12:00:00")), max_size=3))


def damaged(text: str, found: list[tuple[list[int], Any]]) -> str:
    whole = json.loads(text)
    for turns, value in found:
        place = whole
        for turn in turns:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = keys[turn % len(keys)]
            if not isinstance(place[key], dict | list) or turn is turns[-1]:
                place[key] = value
                break
            place = place[key]
    return json.dumps(whole)


@settings(max_examples=150)
@given(found=damages(), kind=st.integers(0, 40))
def test_the_judge_answers_whatever_stands_in_its_memory(
    found: list[tuple[list[int], Any]], kind: int
) -> None:
    run = Watched()
    for number in range(9):
        ticks, readings = good_look(number)
        run.look((with_pods(ticks[0]),), readings, seconds=30)
    name = [*run.texts][kind % len(run.texts)]
    run.texts[name] = damaged(run.texts[name], found)
    for number in (9, 10):
        ticks, readings = good_look(number)
        assert run.look((with_pods(ticks[0]),), readings, seconds=30)


def test_the_judge_answers_where_a_number_of_its_memory_is_beyond_any_float() -> None:
    for kind in range(len(good_run().texts)):
        for turn in range(8):
            run = good_run()
            name = [*run.texts][kind]
            run.texts[name] = damaged(run.texts[name], [([turn, 0], 10**400)])
            assert run.look(*good_look(9), seconds=30)


# ── nothing but evidence blames ──


def good_look(number: int, *, rate: int = 100, bad: int = 0) -> tuple[Any, dict[str, Reading]]:
    """Return what is read after so many looks at versions that are the same."""
    stable, candidate = 1900 + number * 19 * rate, number * rate
    extra = bad if number else 0
    counts = {STABLE: (stable, stable // 100, 0), CANDIDATE: (candidate, candidate // 100, 0)}
    pods = [{"pod": Count(size, size // 50)} for size in (candidate, stable)]
    sums = [{"pod": Sum(size, size * 0.25)} for size in (candidate, stable)]
    readings: dict[str, Reading] = {
        "shares": Counted({"pod": Count(candidate, candidate // 50 + extra)}, pods[1]),
        "sums": Summed(sums[0], sums[1]),
        "values": Valued(2.0),
    }
    return (counted("router-a", counts),), readings


def good_run(**changes: Any) -> Watched:
    run = Watched(changes)
    for number in range(9):
        run.look(*good_look(number), seconds=30)
    return run


def with_pods(tick: Counters, *, count: int = 2) -> Counters:
    """Return the page with each revision's requests by pod, all alike."""
    routes = [
        entry.model_copy(
            update={
                "pods": [
                    PodCounters(
                        address=f"10.0.0.{number}",
                        requests=entry.requests // count,
                        errors=entry.errors // count,
                    )
                    for number in range(count)
                ]
            }
        )
        for entry in tick.routes
    ]
    return tick.model_copy(update={"routes": routes})


@pytest.mark.parametrize("leap", [3 * DAY, -3 * DAY, 3600.0, -3600.0])
@pytest.mark.parametrize("after", [1, 5, 12])
def test_a_clock_that_is_set_blames_nobody(leap: float, after: int) -> None:
    run, found = Watched(), dict[str, Judgement]()
    for number in range(20):
        ticks, readings = good_look(number // 2)  # in every other look nothing is completed
        ticks = (with_active(ticks[0], 8, of_stable=152),)
        found = run.look(ticks, readings, seconds=leap if number == after else 5)
        assert not fails(found)
    assert found["errors"].verdict is Verdict.PASS


def with_active(tick: Counters, active: int, *, of_stable: int = 0) -> Counters:
    """Return the document with so many requests in flight."""
    routes = [
        entry.model_copy(update={"active": active if entry.revision == CANDIDATE else of_stable})
        for entry in tick.routes
    ]
    return tick.model_copy(update={"routes": routes})


@pytest.mark.parametrize("leap", [3 * DAY, -3 * DAY])
def test_a_clock_that_is_set_does_not_change_the_warm_up(leap: float) -> None:
    """Ten seconds of it: looks after 0, 4 and, the one for which the clock was set, 4 or more."""
    run = Watched({"warm_up_seconds": 10})
    reasons = [
        run.look(*good_look(number), seconds=leap if number == 2 else 4)["errors"].reason
        for number in range(7)
    ]
    assert reasons[:4] == ["WarmingUp"] * 4
    assert "WarmingUp" not in reasons[5:]


def test_a_candidate_that_hangs_is_found_soon_after_a_clock_was_set() -> None:
    run = good_run()
    ticks, readings = good_look(9)
    run.look((with_active(ticks[0], 50),), readings, seconds=3 * DAY)
    reasons = []
    for number in range(10, 18):
        stable = replace_candidate(good_look(number)[0][0], 900)
        reasons.append(run.look((with_active(stable, 90),), readings)["traffic"].reason)
    assert reasons[-1] == "Unresponsive"


def replace_candidate(tick: Counters, requests: int) -> Counters:
    routes = [
        entry.model_copy(update={"requests": requests}) if entry.revision == CANDIDATE else entry
        for entry in tick.routes
    ]
    return tick.model_copy(update={"routes": routes})


@pytest.mark.parametrize("odds", [150, 180, 240, 400])
def test_a_source_that_stops_answering_fails_nobody(odds: int) -> None:
    """The evidence of the others is what it was: weights do not follow what can be read."""
    run = good_run()
    look = look_of(run)
    errors = an_assessment("errors", BudgetGroup.ERRORS, math.log(odds))
    slow = an_assessment("latency-p99", BudgetGroup.SLOW, 0.0)

    def verdicts(reading: Reading) -> list[Verdict]:
        stored = StoredState(run.texts["shares"], is_known=True)
        merged = merge_evidence(
            [errors, slow, assess_reading(METRICS[0], reading, stored, look)], 0.01
        )
        return [item.judgement.verdict for item in merged[:2]]

    assert verdicts(UNREAD) == verdicts(good_look(9)[1]["shares"])


def test_a_metric_that_cannot_be_read_fails_nobody_by_what_it_showed() -> None:
    missing = replace(an_assessment("shares", BudgetGroup.REST, 99.0), is_missing=True)
    errors = an_assessment("errors", BudgetGroup.ERRORS, 0.0)
    found = merge_evidence([errors, missing], 0.01)
    assert [item.judgement.verdict for item in found] == [Verdict.INCONCLUSIVE] * 2


def an_assessment(name: str, group: BudgetGroup, log_e: float) -> Assessment:
    judgement = Judgement(name, Verdict.INCONCLUSIVE, Reason.UNDECIDED, "")
    return Assessment(judgement, group, log_e)


def look_of(run: Watched) -> Look:
    base = load_or_begin_base(run.texts["traffic"], run.plan, run.now)
    return Look(run.plan, base, 30.0, is_new_step=False, now=run.now, previous=base.at)


def test_a_metric_that_is_away_when_a_step_begins_has_to_pass_in_it() -> None:
    run = good_run()
    ticks, readings = good_look(9)
    assert run.look(ticks, readings, seconds=30)["values"].verdict is Verdict.PASS

    run.changes = {"step": "2026-11-21T13:00:00.000Z", "number": 2, "weight": 25}
    run.look(good_look(10)[0], {**readings, "values": UNREAD, "shares": UNREAD})
    ticks, readings = good_look(11)
    found = run.look(ticks, readings, seconds=30)

    assert (found["values"].verdict, found["values"].samples) == (Verdict.INCONCLUSIVE, 1)
    assert found["shares"].samples == 0


@pytest.mark.parametrize("stale", [10, 40, 400])
def test_an_answer_that_is_older_than_the_last_counts_nothing_twice(stale: int) -> None:
    run, same = good_run(), good_run()
    ticks, readings = good_look(9)
    old = [
        entry.model_copy(update={"requests": entry.requests - stale // 10})
        for entry in good_look(8)[0][0].routes
    ]
    run.look((ticks[0].model_copy(update={"routes": old}),), readings)

    assert (
        run.look(ticks, readings)["errors"].samples == same.look(ticks, readings)["errors"].samples
    )


def test_a_proxy_that_is_heard_twice_counts_once() -> None:
    run, same = good_run(), good_run()
    ticks, readings = good_look(9)
    twice = run.look((ticks[0], ticks[0]), readings)
    assert twice["errors"].samples == same.look(ticks, readings)["errors"].samples


def test_two_weeks_of_looks_place_no_more_than_there_is() -> None:
    """Every half minute, and rounded each time as a stored memory is: something is always left."""
    mixture, placed = StartMixture(), FIRST_SHARE
    for _ in range(14 * 24 * 120):
        mixture = mixture.after((0.0,) * len(RATIO_SHARES), placed)
        wealth = tuple(float(round_down(value)) for value in mixture.wealth)
        mixture = StartMixture(wealth, float(round_down(mixture.kept)))
        placed = share_begun_within(30)

    assert mixture.log_e <= 0
    assert mixture.kept > 1e-9


def test_an_hour_between_looks_is_an_interval_like_any_other() -> None:
    run, found = Watched({"interval_seconds": 3600.0}), dict[str, Judgement]()
    for number in range(40):
        found = run.look(*good_look(number), seconds=3600)
        assert not fails(found)
    assert found["errors"].verdict is Verdict.PASS
    assert run.plan.longest_look_seconds >= 3600


def test_what_is_due_later_changes_no_weight_when_it_comes() -> None:
    errors = an_assessment("errors", BudgetGroup.ERRORS, math.log(150))
    later = an_assessment("scores", BudgetGroup.REST, 0.0)
    before, after = (
        merge_evidence(due, 0.01, planned=1)[0].judgement.verdict
        for due in ([errors], [errors, later])
    )
    assert before == after == Verdict.INCONCLUSIVE
