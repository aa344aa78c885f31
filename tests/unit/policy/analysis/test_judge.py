"""The verdict: every reason, what may never decide, and what is remembered."""

import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from slipway.api.counters import Counters
from slipway.api.modeldeployment import AnalysisMode, Threshold, Tolerance
from slipway.api.reasons import Reason, Why
from slipway.api.verdict import Verdict
from slipway.policy.analysis.inputs import (
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
from slipway.policy.analysis.plan import MetricPlan, Plan
from slipway.policy.judgement import Judgement, Role, texts_of

from tests.builders import counted, later

STABLE, CANDIDATE = "aaaaaaaa", "bbbbbbbb"
STEP = "2026-11-21T12:00:00.000Z"
Counts = tuple[int, int, int]


@dataclass
class Run:
    """One rollout's looks, five seconds apart; what is stored is given back."""

    changes: dict[str, Any] = field(default_factory=dict)
    candidate: Counts = (0, 0, 0)
    stable: Counts = (1000, 0, 0)
    at: float = 0
    memories: dict[str, str] = field(default_factory=dict)
    active: int = 0
    refused: tuple[int, int] = (0, 0)
    """Of the candidate's and of stable's requests, all that their servers did not take."""

    def __post_init__(self) -> None:
        self.look()

    @property
    def plan(self) -> Plan:
        wanted = {"warm_up_seconds": 0, "next_weight": 25, **self.changes}
        return Plan(route="digits", candidate=CANDIDATE, stable=STABLE, **{"step": STEP, **wanted})

    def tick(self) -> Counters:
        counts = {STABLE: self.stable, CANDIDATE: self.candidate}
        refused = dict(zip((CANDIDATE, STABLE), self.refused, strict=True))
        found = counted("router-a", counts, at=later(self.at), refused=refused)
        routes = [
            entry.model_copy(update={"active": self.active * (entry.revision == CANDIDATE)})
            for entry in found.routes
        ]
        return found.model_copy(update={"routes": routes})

    def look(
        self,
        candidate: Counts = (0, 0, 0),
        stable: Counts = (0, 0, 0),
        *,
        seconds: float = 5,
        refused: tuple[int, int] = (0, 0),
        external: dict[str, Reading] | None = None,
        ticks: tuple[Counters | None, ...] | None = None,
    ) -> dict[str, Judgement]:
        """Let so much be answered, and look."""
        self.at += seconds
        self.candidate = plus(self.candidate, candidate)
        self.stable = plus(self.stable, stable)
        self.refused = self.refused[0] + refused[0], self.refused[1] + refused[1]
        inputs = LookInputs(ticks or (self.tick(),), external or {})
        found = judge(self.memories, inputs, self.plan, later(self.at))
        self.memories |= texts_of(found)
        return {item.name: item for item in found}


def plus(left: Counts, right: Counts) -> Counts:
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def said(found: dict[str, Judgement], name: str) -> tuple[str, str]:
    return found[name].verdict, found[name].reason


def test_a_candidate_without_errors_passes_with_the_numbers() -> None:
    found = Run().look((200, 0, 0), (3800, 0, 0))
    assert said(found, "errors") == ("Pass", "WithinHarm")
    assert said(found, "latency-p99") == ("Pass", "WithinHarm")
    assert said(found, "traffic") == ("Pass", "Answering")
    assert "errors 0/200 (0.00%) vs 0/3,800 (0.00%) on stable" in found["errors"].message
    assert "since 12:00:05" in found["errors"].message


def test_the_nearer_the_whole_traffic_the_more_evidence_a_pass_needs() -> None:
    assert Run({"next_weight": 25}).look((150, 0, 0), (2850, 0, 0))["errors"].verdict == "Pass"
    assert (
        Run({"next_weight": 100}).look((150, 0, 0), (2850, 0, 0))["errors"].verdict
        == "Inconclusive"
    )


def test_what_is_missing_is_said_in_requests_and_time() -> None:
    found = Run({"next_weight": 95}).look((60, 0, 0), (1140, 10, 0), seconds=60)
    assert "more candidate requests" in found["errors"].message
    number = int(found["errors"].message.split("about ")[1].split(" ")[0].replace(",", ""))
    assert 100 < number < 500
    assert "at the present rate" in found["errors"].message


def test_a_first_second_with_few_requests_is_no_rate_to_go_by() -> None:
    found = Run({"next_weight": 95}).look((3, 0, 0), (57, 0, 0), seconds=1)
    assert "more candidate requests" in found["errors"].message
    assert "at the present rate" not in found["errors"].message


def test_more_errors_than_stable_fail_and_the_culprit_is_named() -> None:
    found = Run().look((200, 20, 0), (3800, 38, 0))
    assert said(found, "errors") == ("Fail", "ErrorRatio")
    assert "against the candidate (rolls back at 100:1)" in found["errors"].message
    assert [name for name, item in found.items() if item.verdict == "Fail"] == ["errors"]


def test_slower_answers_fail_by_latency() -> None:
    found = Run().look((200, 0, 60), (3800, 0, 0))
    assert [item.reason for item in found.values() if item.verdict == "Fail"] == ["SlowRatio"]
    assert found["errors"].verdict == "Pass"


def test_a_typical_answer_that_is_slower_fails_in_time() -> None:
    run = Run({"tolerance": Tolerance(relative=0.25, absolute=1)}, stable=(1000, 0, 500))
    found = {}
    for _ in range(20):
        found = run.look((50, 0, 48), (950, 0, 475), seconds=60)
    assert said(found, "latency-mean") == ("Fail", "SlowMean")


def test_a_typical_answer_rests_on_what_the_histogram_holds_which_lags_behind() -> None:
    """Envoy fills histograms once a second: those of the first look were answered before it."""
    run = Run(stable=(1000, 0, 0))
    before = run.look((8, 0, 0), (8, 0, 0))["latency-mean"]
    late = run.tick()
    ahead = late.model_copy(
        update={
            "routes": [
                each.model_copy(update={"requests": each.requests + 8}) for each in late.routes
            ]
        }
    )
    found = run.look(ticks=(ahead,))["latency-mean"]

    assert (found.samples, found.baseline_samples) == (8, 8)
    assert found.candidate == pytest.approx(before.candidate)
    assert found.baseline == pytest.approx(before.baseline)


def test_one_error_among_few_decides_nothing() -> None:
    found = Run().look((50, 1, 0), (950, 0, 0))
    assert found["errors"].verdict == "Inconclusive"


def test_what_stable_does_too_blames_nobody() -> None:
    found = Run().look((200, 120, 0), (3800, 1500, 0))
    assert said(found, "errors") == ("Inconclusive", "SharedFault")


def test_min_samples_is_a_floor_for_a_pass() -> None:
    found = Run({"min_samples": 500}).look((300, 0, 0), (5700, 0, 0))
    assert said(found, "errors") == ("Inconclusive", "Undecided")
    assert "200 more candidate requests" in found["errors"].message


def test_no_requests_are_no_data() -> None:
    assert said(Run().look(), "errors") == ("NoData", "NoTraffic")
    assert said(Run().look(stable=(100, 0, 0)), "errors") == ("NoData", "NoTraffic")


def test_no_router_that_answers_is_no_data_and_keeps_the_memory() -> None:
    run = Run()
    run.look((200, 1, 0), (3800, 0, 0))
    before = dict(run.memories)
    found = run.look(ticks=(None, None))
    assert {item.verdict for item in found.values()} == {"NoData"}
    assert {item.reason for item in found.values()} == {"MetricsUnavailable"}
    assert run.memories == before


def test_the_first_requests_of_a_candidate_do_not_count() -> None:
    run = Run({"warm_up_seconds": 10})
    found = run.look((30, 30, 30), (570, 0, 0))
    assert said(found, "errors") == ("NoData", "WarmingUp")
    run.look((30, 30, 30), (570, 0, 0))
    found = run.look((200, 0, 0), (3800, 0, 0))
    assert found["errors"].samples == 200
    assert found["errors"].verdict == "Pass"


def test_a_candidate_that_hangs_fails_although_it_has_no_error() -> None:
    run = Run()
    run.look((20, 0, 0), (380, 0, 0))
    found = {}
    for _ in range(8):
        run.active += 20
        found = run.look((0, 0, 0), (380, 0, 0))
    assert said(found, "traffic") == ("Fail", "Unresponsive")
    assert "in flight" in found["traffic"].message


@pytest.mark.parametrize("streams", [1, 2, 5])
def test_open_streams_and_long_answers_hold_the_weight_and_blame_nobody(streams: int) -> None:
    run = Run()
    run.look((20, 0, 0), (380, 0, 0))
    found = {}
    for _ in range(8):
        run.active = streams
        found = run.look((0, 0, 0), (3, 0, 0))
    assert said(found, "traffic") == ("Inconclusive", "Undecided")
    assert "open streams" in found["traffic"].message


def test_where_both_hang_nobody_is_blamed() -> None:
    run = Run()
    run.active = 20
    run.look((1, 0, 0), (380, 0, 0))
    found = {}
    for _ in range(10):
        tick = run.tick()
        routes = [entry.model_copy(update={"active": 20}) for entry in tick.routes]
        found = run.look(ticks=(tick.model_copy(update={"routes": routes}),))
    assert said(found, "traffic") == ("Inconclusive", "SharedFault")


def test_a_candidate_that_nobody_asks_is_not_routed() -> None:
    run = Run({"weight": 50})
    found = run.look((1, 0, 0), (400, 0, 0))
    assert said(found, "traffic") == ("Inconclusive", "NotRouted")


def test_a_stable_that_answered_too_little_says_not_what_slow_is() -> None:
    found = Run(stable=(20, 0, 0)).look((20, 0, 20), (20, 0, 0))
    assert said(found, "latency-p99") == ("NoData", "TooFewRequests")


def test_looks_between_two_stored_ones_count_nothing_twice() -> None:
    run = Run()
    stored = dict(run.memories)
    run.look((100, 1, 0), (1900, 20, 0))
    run.memories = stored
    assert run.look((100, 1, 0), (1900, 20, 0))["errors"].samples == 200


def test_a_new_step_begins_its_samples_anew_and_keeps_the_evidence_against() -> None:
    run = Run()

    run.look((100, 4, 0), (1900, 19, 0))
    before = json.loads(run.memories["errors"])["f"]
    run.changes["step"] = "ignored"
    plan = Plan(
        route="digits",
        candidate=CANDIDATE,
        stable=STABLE,
        step="2026-11-21T12:05:00.000Z",
        number=2,
        weight=25,
        warm_up_seconds=0,
    )
    found = judge(run.memories, LookInputs((run.tick(),)), plan, later(300))
    errors = next(item for item in found if item.name == "errors")

    assert errors.samples == 0
    assert json.loads(texts_of([errors])["errors"])["f"][3] >= before[3]


def test_a_lost_memory_is_said() -> None:
    run = Run({"number": 2})
    assert "analysis state was lost once" in run.look((100, 0, 0), (1900, 0, 0))["errors"].message
    run = Run()
    run.look((100, 0, 0), (1900, 0, 0))
    run.memories["errors"] = "{broken"
    assert "analysis state was lost once" in run.look((100, 0, 0), (1900, 0, 0))["errors"].message


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"a":1}', '{"n":NaN}', '{"f":[1e999]}', "{" * 5000, '"x"']
)
def test_whatever_stands_in_a_memory_nothing_breaks(text: str) -> None:
    run = Run()
    run.look((100, 0, 0), (1900, 0, 0))
    for name in tuple(run.memories):
        run.memories[name] = text
    assert run.look((10, 0, 0), (190, 0, 0))["errors"].verdict in {"NoData", "Inconclusive"}


def test_the_states_fit_into_the_status() -> None:
    run = Run()
    for _ in range(40):
        run.look((10**6, 10**4, 10**3), (10**7, 10**5, 10**4), seconds=100)
    assert max(len(text) for text in run.memories.values()) <= 2048
    many = tuple(
        counted(f"slipway-router-6d5f8b7c9d-{number:05d}", {STABLE: (10**10, 10**9, 10**9)})
        for number in range(40)
    )
    run.look(ticks=many)
    assert max(len(text) for text in run.memories.values()) <= 2048


def test_the_last_looks_are_kept_for_a_sparkline() -> None:
    run = Run()
    found = {}
    for _ in range(30):
        found = run.look((100, 1, 0), (1900, 19, 0))
    assert found["errors"].looks == (0.01,) * 20


# ── client errors ──


def test_a_candidate_that_refuses_what_stable_takes_fails_and_says_what_to_look_at() -> None:
    found = Run().look((100, 0, 0), (1900, 0, 0), refused=(20, 19))
    assert said(found, "client-errors") == ("Fail", "ClientErrorRatio")
    assert "client errors 20/100 (20.00%) vs 19/1,900 (1.00%)" in found["client-errors"].message
    assert "inputs, shapes and batch limit" in found["client-errors"].message
    assert found["errors"].verdict != "Fail"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.3])
def test_clients_that_both_refuse_alike_keep_nobody_from_promotion(share: float) -> None:
    run, found = Run({"weight": 50, "next_weight": 95}), {}
    for _ in range(40):
        refused = round(250 * share)
        found = run.look((250, 0, 0), (250, 0, 0), refused=(refused, refused))
    assert said(found, "client-errors") == ("Pass", "WithinHarm")


def test_a_fifth_more_client_errors_are_held_and_said() -> None:
    run, seen = Run({"weight": 80, "next_weight": 100}), set[tuple[str, str]]()
    for _ in range(120):
        seen.add(said(run.look((400, 0, 0), (100, 0, 0), refused=(48, 10)), "client-errors"))
    assert "Fail" not in {verdict for verdict, _ in seen}
    assert run.look()["client-errors"].verdict == "Inconclusive"
    assert "the same clients are refused more often" in run.look()["client-errors"].message


def test_a_slight_excess_of_client_errors_takes_a_pass_back_at_odds_of_ten_to_one() -> None:
    run, found = Run({"weight": 80, "next_weight": 95}), {}
    for _ in range(40):
        found = run.look((400, 0, 0), (100, 0, 0), refused=(20, 5))
    assert found["client-errors"].verdict == "Pass"
    for _ in range(70):
        found = run.look((400, 0, 0), (100, 0, 0), refused=(26, 5))
    assert said(found, "client-errors") == ("Inconclusive", "UnderSuspicion")
    assert "against the candidate (rolls back at" in found["client-errors"].message


def test_half_as_many_client_errors_again_are_under_suspicion_and_not_rolled_back() -> None:
    run, found = Run({"weight": 80, "next_weight": 100}), {}
    for _ in range(40):
        found = run.look((400, 0, 0), (100, 0, 0), refused=(60, 10))
    assert said(found, "client-errors") == ("Inconclusive", "ArmNoise")


def test_a_metric_of_the_users_own_may_have_the_name_of_the_one_for_client_errors() -> None:
    run = Run({"metrics": (MetricPlan("client-errors", maximum=0.5),)})
    found = run.look((100, 0, 0), (1900, 0, 0), refused=(90, 0), external={})
    assert said(found, "client-errors") == ("NoData", "MetricsUnavailable")


def test_mode_threshold_judges_no_client_errors() -> None:
    assert "client-errors" not in fixed().look((100, 0, 0), (900, 0, 0), refused=(90, 0))


# ── the slowest thousandth ──


def test_more_answers_as_slow_as_stables_slowest_thousandth_fail() -> None:
    """0.7% beside 0.2%: within the tolerance of the p99, and not of the p99.9."""
    run, found = Run({"weight": 80, "next_weight": 100}, stable=(20_000, 0, 40)), {}
    for _ in range(100):
        found = run.look((4000, 0, 28), (1000, 0, 2), seconds=10)
        if found["latency-p999"].verdict == "Fail":
            break
    assert said(found, "latency-p999") == ("Fail", "SlowRatio")
    assert found["latency-p99"].verdict == "Pass"
    assert "answers over 56052 ms" in found["latency-p999"].message


def test_where_stable_has_few_requests_its_slowest_thousandth_is_not_judged() -> None:
    found = Run(stable=(9000, 0, 90)).look((100, 0, 0), (900, 0, 0))
    assert "latency-p999" not in found


def test_a_slowest_thousandth_that_the_p99_knows_already_is_not_judged_twice() -> None:
    found = Run(stable=(20_000, 0, 0)).look((100, 0, 0), (900, 0, 0))
    assert {"latency-p999", "latency-peak"} & found.keys() == set()


# ── growth ──


SETTLED_LOOKS = 11
"""Of half a minute: more than five times a p99 of a minute, which `counted` gives slow answers."""


def settled(run: Run) -> dict[str, Judgement]:
    """Let so much time go by that the slow answers of a step are in."""
    found = {}
    for _ in range(SETTLED_LOOKS):
        found = run.look((300, 0, 0), (300, 0, 30), seconds=30)
    return found


def leaking(run: Run, minutes: int, growth: float) -> dict[str, Judgement]:
    """Let the candidate's answers get slower, by so many more of 300 in each half minute."""
    found = settled(run)
    for number in range(2 * minutes):
        slow = min(300, round(growth * number))
        found = run.look((300, 0, slow), (300, 0, 30), seconds=30)
    return found


def test_answers_that_get_slower_all_the_time_fail() -> None:
    wide = {"tolerance": Tolerance(relative=0.25, absolute=1)}
    found = leaking(Run(wide, stable=(1000, 0, 100)), 10, 8)
    assert said(found, "latency-rise") == ("Fail", "LatencyGrows")
    assert "typical latency relative to stable's changed by +" in found["latency-rise"].message


def test_answers_that_are_slow_at_once_are_no_trend() -> None:
    wide = {"tolerance": Tolerance(relative=0.25, absolute=1)}
    run = Run(wide, stable=(1000, 0, 100))
    found = settled(run)
    for _ in range(20):
        found = run.look((300, 0, 33), (300, 0, 30), seconds=30)
    assert said(found, "latency-rise") == ("Pass", "NothingAgainst")


def test_slow_answers_that_come_in_after_quick_ones_are_no_growth() -> None:
    """As at every new weight, where answers take long: the quick ones are in first."""
    run, found = Run({"tolerance": Tolerance(absolute=1)}, stable=(1000, 0, 100)), {}
    for number in range(SETTLED_LOOKS - 1):
        found = run.look((300, 0, 3 * number), (300, 0, 30), seconds=30)
    assert found["latency-rise"].samples == 0


def test_growth_within_the_limit_is_suspicious_and_no_more() -> None:
    wide = {"tolerance": Tolerance(relative=0.25, absolute=1)}
    found = leaking(Run(wide, stable=(1000, 0, 100)), 7, 2)
    assert said(found, "latency-rise") == ("Inconclusive", "UnderSuspicion")


def test_at_a_new_weight_growth_is_measured_anew() -> None:
    run = Run({"tolerance": Tolerance(relative=0.25, absolute=1)}, stable=(1000, 0, 100))
    leaking(run, 2, 8)
    run.changes["step"] = later(500).isoformat()
    assert run.look((300, 0, 60), (300, 0, 30))["latency-rise"].samples == 0


# ── mode Threshold ──


def fixed(**changes: Any) -> Run:
    return Run({"mode": AnalysisMode.THRESHOLD, "threshold": Threshold(**changes)})


def test_a_threshold_is_checked_on_full_blocks_only() -> None:
    run = fixed(min_requests=50)
    assert said(run.look((49, 10, 0), (900, 0, 0)), "errors") == ("Inconclusive", "TooFewRequests")
    assert said(run.look((1, 0, 0), (20, 0, 0)), "errors") == ("Inconclusive", "CheckFailed")


def test_checks_that_fail_are_counted_and_one_too_many_rolls_back() -> None:
    run = fixed(min_requests=50, failure_limit=2)
    verdicts = [run.look((50, 5, 0), (950, 0, 0))["errors"].verdict for _ in range(3)]
    assert verdicts == ["Inconclusive", "Inconclusive", "Fail"]


def test_no_data_is_no_check() -> None:
    run = fixed(min_requests=50)
    for _ in range(10):
        assert run.look(stable=(100, 0, 0))["errors"].verdict == "NoData"


def test_a_limit_that_stable_breaks_too_counts_for_nothing() -> None:
    run = fixed(min_requests=50)
    for _ in range(5):
        found = run.look((50, 10, 0), (950, 190, 0))
        assert said(found, "errors") == ("Inconclusive", "SharedFault")


def test_a_step_passes_when_its_last_check_was_good() -> None:
    run = fixed(min_requests=50)
    run.look((50, 5, 0), (950, 0, 0))
    assert said(run.look((50, 0, 0), (950, 0, 0)), "errors") == ("Pass", "WithinLimit")


# ── metrics from elsewhere ──


def with_metric(**changes: Any) -> Run:
    return Run({"metrics": (MetricPlan("m", **changes),)})


def external(reading: Reading) -> dict[str, Reading]:
    return {"m": reading}


def test_counters_from_elsewhere_are_judged_as_our_own_are() -> None:
    run = with_metric()
    found = {}
    for number in range(6):
        reading = Counted(
            {"pod-1": Count(100 * number, 30 * number)}, {"pod-0": Count(900 * number, 9 * number)}
        )
        found = run.look((10, 0, 0), (190, 0, 0), external=external(reading))
    assert said(found, "m") == ("Fail", "TooMany")


def test_counters_from_elsewhere_add_up_over_looks() -> None:
    run = with_metric()
    found = {}
    for number in range(6):
        reading = Counted({"pod-1": Count(100 * number, 0)}, {"pod-0": Count(900 * number, 0)})
        found = run.look((10, 0, 0), (190, 0, 0), external=external(reading))
    assert (found["m"].samples, found["m"].baseline_samples) == (500, 4500)
    assert "lost" not in found["m"].message


@pytest.mark.parametrize(
    "run_of_the_server",
    ["pod-2.0", "pod-1.0"],
    ids=["a pod that is born", "a server that restarts"],
)
def test_what_a_server_counted_before_it_was_first_seen_is_no_evidence(
    run_of_the_server: str,
) -> None:
    """Its warm-up is among it: 10,000 requests that no user sent, and none of them failed."""
    run = with_metric()
    stable = {"pod-0": Count(900, 9)}
    run.look(
        (10, 0, 0), (190, 0, 0), external=external(Counted({"pod-1.0": Count(20_000, 0)}, stable))
    )
    run.look(
        (10, 0, 0), (190, 0, 0), external=external(Counted({"pod-1.0": Count(20_010, 0)}, stable))
    )

    warm = Counted({run_of_the_server: Count(10_000, 0)}, stable)
    found = run.look((10, 0, 0), (190, 0, 0), external=external(warm))
    assert found["m"].samples == 10

    later_on = Counted({run_of_the_server: Count(10_007, 0)}, stable)
    found = run.look((10, 0, 0), (190, 0, 0), external=external(later_on))
    assert found["m"].samples == 17
    assert found["m"].verdict != "Pass"


def test_an_absolute_limit_needs_no_stable() -> None:
    run = with_metric(maximum=0.1)
    found = {}
    for number in range(6):
        reading = Counted({"pod-1": Count(100 * number, 30 * number)}, {})
        found = run.look((10, 0, 0), (190, 0, 0), external=external(reading))
    assert said(found, "m") == ("Fail", "TooMany")


def test_a_metric_that_is_only_reported_fails_nobody() -> None:
    run = with_metric(role=Role.REPORT_ONLY)
    found = {}
    for number in range(6):
        reading = Counted(
            {"pod-1": Count(100 * number, 90 * number)}, {"pod-0": Count(900 * number, 0)}
        )
        found = run.look((10, 0, 0), (190, 0, 0), external=external(reading))
    assert said(found, "m") == ("Fail", "TooMany")
    assert found["m"].role is Role.REPORT_ONLY


def test_a_number_above_its_limit_again_and_again_fails() -> None:
    run = with_metric(maximum=80.0)
    found = {}
    for _ in range(14):
        found = run.look((10, 0, 0), (190, 0, 0), seconds=60, external=external(Valued(95.0)))
    assert said(found, "m") == ("Fail", "AboveLimit")


def test_a_number_within_its_limit_three_times_passes() -> None:
    run = with_metric(max_increase=0.1)
    reading = external(Valued(100.0, 98.0))
    verdicts = [run.look(seconds=60, external=reading)["m"].verdict for _ in range(3)]
    assert verdicts == ["Inconclusive", "Inconclusive", "Pass"]


def test_a_mean_from_elsewhere_is_judged_in_windows() -> None:
    run = with_metric(max_increase=0.1)
    found = {}
    for number in range(20):
        reading = Summed(
            {"a": Sum(50 * number, 80.0 * 50 * number)},
            {"b": Sum(950 * number, 60.0 * 950 * number)},
        )
        found = run.look((10, 0, 0), (190, 0, 0), seconds=60, external=external(reading))
    assert said(found, "m") == ("Fail", "TooHigh")


@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        pytest.param(
            Why(Reason.METRICS_UNAVAILABLE, "timeout"), "MetricsUnavailable", id="missing"
        ),
        pytest.param(None, "MetricsUnavailable", id="not read"),
        pytest.param(Valued(math.nan), "MetricsUnavailable", id="nan"),
        pytest.param(Valued(math.inf, 1.0), "MetricsUnavailable", id="inf"),
        pytest.param(Valued(1.0), "NoBaseline", id="no stable"),
        pytest.param(Counted({"a": Count(-1, 0)}, {}), "MetricsUnavailable", id="negative"),
        pytest.param(Summed({"a": Sum(1, math.nan)}, {}), "MetricsUnavailable", id="nan sum"),
        pytest.param(Counted({}, {}), "NoTraffic", id="no series"),
    ],
)
def test_what_cannot_be_read_is_no_data(reading: Reading | None, wanted: str) -> None:
    run = with_metric()
    found = run.look((10, 0, 0), (190, 0, 0), external=external(reading) if reading else {})
    assert said(found, "m") == ("NoData", wanted)


def test_a_source_may_speak_for_itself_even_where_no_router_answers() -> None:
    run = with_metric()
    reading = external(Stated(Verdict.FAIL, Why(Reason.OUT_OF_MEMORY, "the candidate was killed")))
    assert said(run.look(external=reading), "m") == ("Fail", "OutOfMemory")
    assert said(run.look(ticks=(None,), external=reading), "m") == ("Fail", "OutOfMemory")


# ── what is promised ──


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_at_any_look_changes_no_number(seed: int) -> None:
    """All that is known goes through the texts, so a run of many operators is that of one."""
    chance = random.Random(seed)
    run, found = Run(), {}
    for _ in range(60):
        requests = chance.randint(0, 60)
        bad = sum(chance.random() < 0.01 for _ in range(requests))
        found = run.look((requests, bad, 0), (19 * requests, requests // 5, 0))
        assert found["errors"].verdict != "Fail"
        run.memories = json.loads(json.dumps(run.memories))
    assert found["errors"].verdict == "Pass"


def test_a_few_unlucky_requests_take_no_pass_away() -> None:
    run = Run({"next_weight": 50})
    assert run.look((220, 0, 0), (4000, 20, 0))["errors"].verdict == "Pass"
    unlucky = run.look((60, 4, 0), (2000, 10, 0))
    assert unlucky["errors"].verdict == "Pass"


def test_a_fault_that_begins_after_a_pass_takes_it_back_however_long_all_was_well() -> None:
    for good in (1, 20):
        run = Run({"next_weight": 50})
        for _ in range(good):
            assert run.look((220, 0, 0), (4000, 20, 0))["errors"].verdict == "Pass"
        assert run.look((300, 30, 0), (6000, 60, 0))["errors"].verdict != "Pass"


def test_a_new_weight_needs_all_of_its_own_evidence_because_a_fault_may_come_with_it() -> None:
    known, alone = Run({"next_weight": 25}), Run({"next_weight": 25})
    known.look((4000, 20, 0), (40_000, 200, 0))
    for run in (known, alone):
        run.changes |= {"step": later(60).isoformat(), "next_weight": 50, "min_samples": 1}
        assert run.look()["errors"].verdict != "Pass"
    for requests, verdict in ((100, "Inconclusive"), (200, "Pass")):
        found = [run.look((requests, 0, 0), (900, 4, 0))["errors"] for run in (known, alone)]
        assert [one.verdict for one in found] == [verdict, verdict]
