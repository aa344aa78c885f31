"""One bad pod of several is found and named, and the version is not blamed for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from slipway.api.counters import MOST_PODS, Counters, PodCounters, RouteCounters
from slipway.api.modeldeployment import STATE_LENGTH, AnalysisMode
from slipway.policy.analysis.inputs import Count, Counted, LookInputs
from slipway.policy.analysis.judge import judge
from slipway.policy.analysis.metrics.by_pod import load_pods
from slipway.policy.analysis.plan import MetricPlan, Plan
from slipway.policy.judgement import Judgement, texts_of

from tests.builders import counted, later

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
STEP, NEXT_STEP = "2026-11-21T12:00:00.000Z", "2026-11-21T12:05:00.000Z"
PODS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
NAMES = {address: f"digits-{CANDIDATE}-{number}" for number, address in enumerate(PODS)}
Gained = Mapping[str, tuple[int, int]]
GOOD: Gained = dict.fromkeys(PODS, (25, 0))
ONE_BAD: Gained = {**GOOD, PODS[1]: (25, 5)}
"""A fifth of its requests."""
ALL_BAD: Gained = dict.fromkeys(PODS, (25, 5))


@dataclass
class Watched:
    """One rollout's looks at pods, five seconds apart; what is stored is given back."""

    changes: dict[str, Any] = field(default_factory=dict)
    pods: dict[str, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(PODS, (0, 0)))
    stable: tuple[int, int] = (1000, 10)
    texts: dict[str, str] = field(default_factory=dict)
    at: float = 0
    proxies: tuple[str, ...] = ("router-a",)

    def __post_init__(self) -> None:
        self.look({})

    @property
    def plan(self) -> Plan:
        wanted = {"warm_up_seconds": 0, "next_weight": 25, "step": STEP, **self.changes}
        return Plan(route="digits", candidate=CANDIDATE, stable=STABLE, **wanted)

    def tick(self, proxy: str, *, by_pod: bool = True) -> Counters:
        whole = [sum(column) for column in zip(*self.pods.values(), strict=True)] or [0, 0]
        counts = {CANDIDATE: (whole[0], whole[1], 0), STABLE: (*self.stable, 0)}
        found = counted(proxy, counts, at=later(self.at))
        if not by_pod:
            return found
        halves = {f"10.0.9.{n}": (self.stable[0] // 2, self.stable[1] // 2) for n in range(2)}
        routes = [
            with_pods(entry, self.pods if entry.revision == CANDIDATE else halves)
            for entry in found.routes
        ]
        return found.model_copy(update={"routes": routes})

    def look(
        self,
        gained: Gained,
        stable: tuple[int, int] = (1900, 19),
        *,
        by_pod: bool = True,
        stores: bool = True,
    ) -> dict[str, Judgement]:
        """Let so much be answered by every pod and by stable, and look."""
        self.at += 5
        for address, (requests, errors) in gained.items():
            before = self.pods.get(address, (0, 0))
            self.pods[address] = before[0] + requests, before[1] + errors
        if gained:
            self.stable = self.stable[0] + stable[0], self.stable[1] + stable[1]

        ticks = tuple(self.tick(proxy, by_pod=by_pod) for proxy in self.proxies)
        found = judge(self.texts, LookInputs(ticks, {}, NAMES), self.plan, later(self.at))
        if stores:
            self.texts |= texts_of(found)
            assert all(len(text) <= STATE_LENGTH for text in self.texts.values())
        return {item.name: item for item in found}

    def looks(self, count: int, gained: Gained) -> dict[str, Judgement]:
        found: dict[str, Judgement] = {}
        for _ in range(count):
            found = self.look(gained)
        return found


def with_pods(entry: RouteCounters, pods: Mapping[str, tuple[int, int]]) -> RouteCounters:
    found = [
        PodCounters(address=address, requests=requests, errors=errors)
        for address, (requests, errors) in sorted(pods.items())
    ]
    return entry.model_copy(update={"pods": found})


def said(found: dict[str, Judgement]) -> tuple[str, str]:
    return found["pod-errors"].verdict, found["pod-errors"].reason


def test_one_bad_pod_of_four_holds_the_weight_and_is_named() -> None:
    found = Watched().looks(4, ONE_BAD)
    assert said(found) == ("Inconclusive", "PodStandsOut")
    assert found["pod-errors"].message.startswith(
        f"pod digits-{CANDIDATE}-1 answers 20.0% with errors, its siblings 0.0%, stable 1.0%"
    )
    assert "delete the pod" in found["pod-errors"].message


def test_a_pod_whose_name_is_not_known_is_named_by_its_address() -> None:
    run = Watched(pods=dict.fromkeys(("10.0.7.1", "10.0.7.2"), (0, 0)))
    found = run.looks(4, {"10.0.7.1": (50, 0), "10.0.7.2": (50, 15)})
    assert "pod 10.0.7.2 answers 30.0%" in found["pod-errors"].message


def test_a_pod_too_few_for_all_errors_to_show_it_is_found() -> None:
    """One of 16 pods fails 6%: all together have 1.3%, which `errors` tolerates."""
    pods = {f"10.0.1.{number}": (40, 0) for number in range(16)}
    bad = {**dict.fromkeys(pods, (100, 1)), "10.0.1.7": (100, 6)}
    found = Watched(pods=dict.fromkeys(pods, (0, 0))).looks(40, bad)
    assert said(found) == ("Inconclusive", "PodStandsOut")
    assert found["errors"].verdict == "Pass"
    assert "Fail" not in {item.verdict for item in found.values()}


def test_a_roll_back_for_errors_of_one_pod_names_it() -> None:
    run, found = Watched(), dict[str, Judgement]()
    while found.get("errors") is None or found["errors"].verdict != "Fail":
        found = run.look({**GOOD, PODS[2]: (25, 20)})
    assert f"pod digits-{CANDIDATE}-2 answers" in found["errors"].message


def test_pods_that_are_all_bad_are_the_business_of_errors_alone() -> None:
    found = Watched().looks(4, ALL_BAD)
    assert said(found) == ("Pass", "NothingAgainst")
    assert (found["errors"].verdict, found["errors"].reason) == ("Fail", "ErrorRatio")
    assert "pod digits" not in found["errors"].message


def test_good_pods_pass() -> None:
    found = Watched().looks(8, dict.fromkeys(PODS, (25, 1)))
    assert said(found) == ("Pass", "NothingAgainst")
    assert "none of 4 pods stands out" in found["pod-errors"].message


def test_a_hold_lasts_while_the_pod_is_bad_and_ends_when_it_has_healed() -> None:
    run = Watched()
    run.looks(4, ONE_BAD)
    assert {said(run.look(ONE_BAD))[1] for _ in range(50)} == {"PodStandsOut"}
    found = run.looks(30, GOOD)
    assert said(found) == ("Pass", "NothingAgainst")


def test_a_hold_stays_over_a_new_weight_and_looks_that_read_no_pods() -> None:
    run = Watched()
    run.looks(4, ONE_BAD)
    assert said(run.look(GOOD, by_pod=False))[1] == "PodStandsOut"
    run.changes = {"step": NEXT_STEP, "number": 2}
    assert said(run.look({}))[1] == "PodStandsOut"


def test_a_pod_that_is_replaced_ends_the_hold_and_another_bad_one_is_found_again() -> None:
    run = Watched()
    run.looks(4, ONE_BAD)
    del run.pods[PODS[1]]
    run.pods["10.0.0.9"] = (500, 500)  # while it was cold, and nobody looked
    good = dict.fromkeys(run.pods, (25, 0))
    assert said(run.looks(2, good)) == ("Pass", "NothingAgainst")
    found = run.looks(8, {**good, "10.0.0.9": (25, 8)})
    assert said(found)[1] == "PodStandsOut"
    assert "pod 10.0.0.9" in found["pod-errors"].message


def test_nothing_is_said_of_a_candidate_with_one_pod() -> None:
    run = Watched(pods={PODS[0]: (0, 0)})
    assert "pod-errors" not in run.looks(3, {PODS[0]: (100, 1)})
    assert "pod-errors" not in run.texts


def test_pages_of_an_older_agent_are_judged_as_before() -> None:
    run = Watched()
    run.texts.clear()
    found = {}
    for _ in range(3):
        found = run.look(ONE_BAD, by_pod=False)
    assert "pod-errors" not in found
    assert {"errors", "traffic"} <= found.keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": AnalysisMode.THRESHOLD},
        {"weight": 100},
        {"metrics": (MetricPlan("pod-errors", max_increase=0.25),)},
    ],
)
def test_where_there_is_nothing_to_compare_or_the_name_is_a_users_pods_are_not_judged(
    changes: dict[str, Any],
) -> None:
    run = Watched(changes)
    found = run.looks(4, ONE_BAD)
    assert "PodStandsOut" not in {item.reason for item in found.values()}


def test_a_look_that_was_not_stored_counts_nothing_twice() -> None:
    run, same = Watched(), Watched()
    for _ in range(3):
        run.look(ONE_BAD, stores=False)
        same.look(ONE_BAD, stores=False)
        run.look({}, stores=False)
    assert run.look({})["pod-errors"].message == same.look({})["pod-errors"].message


def test_a_proxy_that_began_anew_adds_nothing_it_had_before() -> None:
    run = Watched()
    run.looks(2, GOOD)
    before = load_pods(run.texts["pod-errors"])
    run.pods = dict.fromkeys(PODS, (20, 10))
    run.stable = (100, 1)
    run.look({})
    after = load_pods(run.texts["pod-errors"])
    assert before is not None
    assert after is not None
    assert sum(each.errors for each in after.recent.values()) == 0


def test_what_is_remembered_of_many_pods_and_proxies_fits_into_a_status() -> None:
    address = "2001:0db8:85a3:0000:0000:8a2e:0370:{:04x}"
    pods = {address.format(number): (10**9 + number, 10**6) for number in range(MOST_PODS)}
    run = Watched(pods=pods, proxies=tuple(f"slipway-router-{n}" for n in range(20)))
    run.looks(3, dict.fromkeys(pods, (1000, 10)))
    assert 5000 < len(run.texts["pod-errors"]) <= STATE_LENGTH


@pytest.mark.parametrize(
    "change",
    [
        {"i": 2},
        {"i": "much"},
        {"p": {PODS[0]: [1, 2]}},
        {"p": []},
        {"r": [1]},
        {"c": {"router-a": 7}},
        {"c": {"router-a": [1, {PODS[0]: ["x"]}, {}]}},
    ],
)
def test_a_memory_that_nobody_wrote_begins_anew(change: dict[str, Any]) -> None:
    run = Watched()
    run.looks(4, ONE_BAD)
    run.texts["pod-errors"] = json.dumps({**json.loads(run.texts["pod-errors"]), **change})
    assert said(run.look({})) == ("Pass", "NothingAgainst")


def test_counts_beyond_all_measure_blame_no_pod() -> None:
    run = Watched()
    run.pods[PODS[0]] = (-5, 10**30)
    run.pods[PODS[1]] = (10**400, -7)
    assert said(run.look({}))[0] == "Pass"


def test_a_reading_of_the_users_own_metric_keeps_its_name() -> None:
    plan = Watched({"metrics": (MetricPlan("pod-errors", max_increase=0.25),)}).plan
    reading = Counted({"x": Count(100, 1)}, {"x": Count(100, 1)})
    tick = Watched().tick("router-a")
    found = judge({}, LookInputs((tick,), {"pod-errors": reading}), plan, later(5))
    assert [item.name for item in found].count("pod-errors") == 1
