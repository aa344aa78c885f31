"""plan: where the traffic is from, and what follows from it."""

import json
from typing import Any

import pytest
from slipway.cli.forecast import forecast_rollout, parse_spec
from slipway.cli.objects import parse_model_deployment
from slipway.cli.request_rate import rate_from_analysis, take_given_rate
from slipway.cli.views.forecast_table import format_forecast

from tests.builders import counted
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import plain, recording

STABLE, CANDIDATE = "3a1e3eef", "6b04114e"


def planned(name: str, per_second: float, **rollout: Any) -> str:
    found = recording(name)
    found.manifest["spec"]["rollout"] |= rollout
    made = forecast_rollout(
        found.md, parse_spec(found.manifest), take_given_rate(per_second, found.md), found.now
    )
    return plain(format_forecast(made, width=100))


def row(screen: str, step: str) -> list[str]:
    return next(line for line in screen.splitlines() if line.strip().startswith(step)).split()


def test_a_hold_and_the_bake_take_at_least_their_time() -> None:
    steps, off = [{"weight": 10, "holdSeconds": 300}], {"mode": "Off"}
    screen = planned("idle", 1000.0, steps=steps, bakeSeconds=600, shadow=off)
    assert row(screen, "1 ")[-3:] == ["5m", "5m", "5m"]
    bake = [line.split()[-3:] for line in screen.splitlines() if line.strip().startswith("bake")]
    assert bake == [["8m", "8m", "13m"], ["2m", "2m", "15m"]]
    assert "promoted after 15m" in screen


def test_the_step_under_way_takes_only_the_rest() -> None:
    screen = planned("progressing", 1000.0)
    assert row(screen, "1 ")[-4:] == ["1m", "21s", "21s", "now"]
    assert "after approval" in screen


def test_too_little_traffic_is_said_before_the_rollout_begins() -> None:
    screen = planned("idle", 0.01, deadlineSeconds=60)
    assert "too slow: the steps take longer than the deadline of 1m" in screen
    assert "onInconclusive applies (Pause)" in screen
    assert "never" in planned("idle", 0.0)


def test_without_analysis_only_holds_count() -> None:
    screen = planned("idle", 0.0, analysis={"mode": "Off"}, bakeSeconds=60)
    assert "promoted after 1m" in screen


def test_the_traffic_is_measured_at_the_router(run: Program) -> None:
    counts = [
        counted("router-a", {STABLE: (9_000 + n, 0, 0), CANDIDATE: (1_000 + n, 0, 0)}).wire()
        for n in (0, 500)
    ]
    run.change(pages={"router-a": counts})
    shown = json.loads(run("plan", "digits", "--measure=0.5s", "--json").out)
    assert shown["source"].startswith("measured at the router over ")
    assert 0 < shown["perSecond"] <= 2_000
    asked = [call[call.index("--raw") + 1] for call in run.state["calls"] if "--raw" in call]
    path = "/api/v1/namespaces/vision/pods/http:router-a:9901/proxy/v1/counters"

    assert asked == [path, path]


def test_who_may_not_measure_gets_what_the_analysis_counted(run: Program) -> None:
    done = run("plan", "digits")
    assert done.code == 0
    assert "as counted by the analysis in the current step" in done.out
    assert 'cannot get resource "pods/proxy"' in done.err
    md = recording("progressing").md
    measured = rate_from_analysis(md)

    assert measured is not None
    assert measured.per_second == pytest.approx(200.0, abs=0.2)  # some were in flight before


def test_without_any_number_it_asks_for_one(run: Program) -> None:
    run.put("digits", recording("idle").manifest)
    done = run("plan", "digits")

    assert done.code == 1
    assert "try: kubectl slipway plan --rps=100 digits -n vision" in done.err


def test_a_switch_is_one_row_that_is_judged_by_what_stable_was() -> None:
    screen = planned(
        "idle", 100.0, strategy="BlueGreen", steps=None, analysis={}, approval="Required"
    )
    assert row(screen, "bake")[1] == "100%"
    assert "after approval" in screen
    assert "strategy BlueGreen: one switch of all requests" in screen
    assert "promoted after" in screen
    assert "steps chosen" not in screen


def test_a_switch_that_few_requests_can_judge_is_too_slow() -> None:
    screen = planned("idle", 0.01, strategy="BlueGreen", steps=None, analysis={})
    assert "too slow: the switch takes longer than the deadline" in screen


def test_the_first_revision_takes_no_steps(run: Program) -> None:
    manifest = recording("idle").manifest
    del manifest["status"]["stable"]
    run.put("digits", manifest)

    assert "goes to 100% as soon as" in run("plan", "digits", "--rps=5").out


def test_absent_steps_are_those_that_the_rollout_would_get() -> None:
    few = planned("idle", 1.0, steps=None, bakeSeconds=600, analysis={})
    many = planned("idle", 1_000.0, steps=None, bakeSeconds=600, analysis={})
    assert row(few, "1 ")[1] == "50%"
    assert "\n  2 " not in few
    assert [row(many, f"{number} ")[1] for number in range(1, 5)] == ["5%", "10%", "25%", "50%"]
    assert "steps chosen for this request rate; deadline after 1h of active time" in many


def test_so_few_requests_that_no_step_ends_in_a_day_are_said_in_words() -> None:
    screen = planned("idle", 0.002, steps=None, bakeSeconds=600, analysis={})
    assert "too slow: the steps take longer than the deadline of 1d" in screen
    assert "so few requests show little, however they are shared" in screen


def test_the_steps_of_a_rollout_under_way_are_those_that_it_has() -> None:
    found = recording("progressing")
    del found.manifest["spec"]["rollout"]["steps"]
    found.manifest["status"]["rollout"]["schedule"] = {"weights": [10, 60], "deadlineSeconds": 7200}
    rate = take_given_rate(1_000.0, found.md)
    made = forecast_rollout(found.md, parse_spec(found.manifest), rate, found.now)
    assert [leg.weight for leg in made.legs] == [10, 60, 95]
    assert made.deadline_seconds == 7200


def test_the_way_back_to_an_earlier_version_takes_no_steps(run: Program) -> None:
    manifest = recording("starting").manifest
    manifest["status"]["rollout"]["unjudged"] = "the way back to version 3"
    run.put("digits", manifest)

    out = run("plan", "digits", "--rps=5").out
    assert "straight to 100% as soon as its replicas are ready: the way back to version 3" in out


# ── the comparison before the steps ──

SLOW_STEPS = {"steps": [{"weight": 10}, {"weight": 50}]}


def test_the_plan_says_why_answers_are_compared_and_with_which_weight_the_steps_begin() -> None:
    screen = planned("idle", 1.0, **SLOW_STEPS)
    assert "shadow on: there is no golden set; it compares answers for 6m" in " ".join(
        screen.split()
    )
    assert "the first weight is then 95%" in " ".join(screen.split())
    assert row(screen, "shadow")[1:4] == ["0%", "1/s", "403"]
    assert row(screen, "1 ")[-2:] == ["passed", "over"]


def test_with_a_golden_set_it_depends_on_how_long_the_steps_take() -> None:
    def said(per_second: float) -> str:
        found = recording("idle")
        found.manifest["spec"]["model"]["goldenSet"] = {"uri": "https://models.example/golden.tar"}
        found.manifest["spec"]["rollout"] |= SLOW_STEPS
        return " ".join(found.plan(per_second).split())

    assert "shadow on: the steps alone take about 50 min at 1 requests/s;" in said(1.0)
    assert "shadow off: the steps alone take about 31 s at 100 requests/s" in said(100.0)
    assert "shadow off: no requests were counted" in said(0.0)


def test_the_plan_says_who_turned_the_comparison_off() -> None:
    screen = planned("idle", 1.0, shadow={"mode": "Off"}, **SLOW_STEPS)
    assert "shadow off: rollout.shadow.mode is Off" in screen
    assert "passed over" not in screen


def test_where_time_is_over_before_the_pairs_are_enough_a_smaller_weight_is_planned() -> None:
    screen = planned("idle", 1.0, shadow={"maxSeconds": 300}, **SLOW_STEPS)
    assert "the first weight is then 50%" in " ".join(screen.split())


def test_with_strategy_shadow_a_person_decides() -> None:
    screen = planned("idle", 1.0, strategy="Shadow", **SLOW_STEPS)
    assert "then a person decides" in screen
    assert "promoted after" not in screen


def test_what_the_rollout_under_way_decided_is_what_counts() -> None:
    assert "shadow off: no router pod can compare answers" in planned("progressing", 1.0)
    assert "shadow on: answers are being compared" in planned("shadowing", 1.0)


OFFICE = {"schedule": "0 9 * * MON-FRI", "durationMinutes": 480, "timeZone": "Europe/Berlin"}
"""The recordings are of a Saturday, at noon."""


def test_a_plan_outside_of_every_window_says_when_the_rollout_begins() -> None:
    screen = planned("idle", 1000.0, windows=[OFFICE], bakeSeconds=60, shadow={"mode": "Off"})
    assert "outside of every window: weights rise from Mon 2026-11-23 08:00 UTC on" in screen
    assert screen.splitlines()[3].endswith("waits 1d19h")
    assert "promoted after 1d19h, 1d19h of it waiting for windows" in screen
    assert screen.count("waits ") == 1


def test_a_window_that_closes_in_between_prolongs_the_rollout_by_the_night() -> None:
    noon = {"schedule": "0 12 * * *", "durationMinutes": 10}
    steps = [{"weight": 10, "holdSeconds": 600}, {"weight": 50, "approval": "Required"}]
    screen = planned("idle", 1000.0, windows=[noon], steps=steps, shadow={"mode": "Off"})
    assert "in a window until Sat 2026-11-21 12:10 UTC" in screen
    first, second = (line for line in screen.splitlines() if line.strip()[:2] in {"1 ", "2 "})
    assert "waits" not in first
    assert second.endswith("waits 23h48m, after approval")


def test_the_step_under_way_goes_on_outside_of_every_window() -> None:
    screen = planned("progressing", 1000.0, windows=[OFFICE])
    [under_way] = [line for line in screen.splitlines() if line.endswith("now")]
    assert "waits" not in under_way
    assert screen.count("waits ") == 1


def test_a_window_that_never_opens_is_said() -> None:
    never = {"schedule": "0 0 30 2 *", "durationMinutes": 60}
    screen = planned("idle", 1000.0, windows=[never], shadow={"mode": "Off"})
    assert "no window ever opens: weights rise by `promote` alone" in screen
    assert "never promoted" in screen
    assert "promoted after" not in screen


def test_waiting_for_windows_does_not_use_up_the_deadline() -> None:
    steps = [{"weight": 10}, {"weight": 50}]
    screen = planned("idle", 1000.0, windows=[OFFICE], steps=steps, deadlineSeconds=3600)
    assert "too slow" not in screen


def test_the_plan_says_that_it_is_not_its_turn() -> None:
    found = recording("idle")
    text = "waiting for its turn: 1 of 1 rollouts are under way in namespace vision, 2 came first"
    waiting = {"type": "Reconciling", "status": "True", "reason": "AwaitingTurn", "message": text}
    found.manifest["status"]["conditions"].append(waiting)
    md = parse_model_deployment(found.manifest)
    rate = take_given_rate(1000.0, md)
    made = forecast_rollout(md, parse_spec(found.manifest), rate, found.now)
    screen = plain(format_forecast(made, width=200))
    assert f"\n{text}\n" in screen
