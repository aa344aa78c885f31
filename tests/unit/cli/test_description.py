"""The screen of `describe`: whole ones on a terminal of 100 columns, and what differs."""

from typing import Any

import pytest

from tests.unit.cli.recordings import ALL, COMMAND, SCREENS, recording


@pytest.mark.parametrize("name", ALL)
def test_a_screen_is_the_one_that_was_reviewed(name: str) -> None:
    reviewed = (SCREENS / f"{name}.txt").read_text()

    assert recording(name).screen() == reviewed, f"where the change is meant: {COMMAND}"


def with_rollout(name: str, **changes: Any) -> str:
    found = recording(name)
    found.manifest["status"]["rollout"] |= changes
    return found.screen(width=120)


def test_the_last_looks_are_bars() -> None:
    found = recording("progressing").manifest["status"]["rollout"]["analysis"]
    found[1] |= {"looks": [0.0, 0.0005, 0.002], "since": "2026-11-21T12:01:53.000Z"}
    screen = with_rollout("progressing", analysis=found)
    errors = next(row for row in screen.splitlines() if row.startswith("  errors "))

    assert errors.split()[-3:] == ["25s", "5s", "▁▃█"]


def test_a_narrow_terminal_has_room_for_the_bars() -> None:
    found = recording("progressing")
    for metric in found.manifest["status"]["rollout"]["analysis"]:
        metric["looks"] = [number / 1000 for number in range(20)]
    for width, bars in ((80, 7), (100, 8), (120, 8)):
        rows = found.screen(width=width).splitlines()
        assert "█" * bars in next(row for row in rows if row.startswith("  errors "))
        assert max(len(row) for row in rows) <= width


def test_a_metric_that_only_reports_holds_nothing() -> None:
    found = recording("paused").manifest["status"]["rollout"]["analysis"]
    drift = {"name": "drift", "verdict": "Fail", "role": "ReportOnly", "candidate": 0.3}
    late = {**found[2], "verdict": "Inconclusive"}
    screen = with_rollout(
        "paused", analysis=[*found[:2], late, drift], stage="Progressing", paused=False
    )

    assert "drift (report only)  Fail" in screen
    assert "once every metric passes; waiting for latency-p99\n" in screen


def waiting(name: str, reason: str, message: str, **rollout: Any) -> tuple[str, ...]:
    """Return what comes next where the operator waits for something."""
    found = recording(name)
    status = found.manifest["status"]
    status["rollout"] |= {"message": message, **rollout}
    for entry in status["conditions"]:
        if entry["type"] in {"Ready", "Reconciling"}:
            entry |= {"reason": reason, "message": message}
    return tuple(found.next_steps())


LONG_AGO = {"stepActiveSeconds": 0, "activeSeconds": 900}


def test_a_weight_that_waits_for_replicas_is_not_promised_within_seconds() -> None:
    lacks = "50% needs 2 ready replicas, 1 ready"
    for name in ("progressing", "baking"):
        assert waiting(name, "AwaitingCapacity", lacks, **LONG_AGO)[0] == (
            f"continues once there is capacity: {lacks}"
        )


def test_a_weight_that_a_proxy_has_not_acknowledged_is_waited_for() -> None:
    told = "10% written; waiting for router-b to acknowledge"
    for name in ("progressing", "baking"):
        assert waiting(name, "AwaitingAcknowledgement", told, **LONG_AGO)[0] == (
            f"judged once every proxy has its weight: {told}"
        )


def test_a_bake_that_is_over_says_what_it_waits_for() -> None:
    why = "the bake continues until the counters of every proxy can be read"
    assert waiting("baking", "NoData", why, **LONG_AGO)[0] == (
        f"promoted once this is resolved: {why}"
    )
    assert waiting("baking", "Baking", "baking", **LONG_AGO)[0].startswith("promoted at the next")


def test_a_metric_that_asks_a_person_is_waited_for_like_the_others() -> None:
    found = recording("paused").manifest["status"]["rollout"]["analysis"]
    drift = {"name": "drift", "verdict": "Inconclusive", "role": "Pause", "candidate": 0.3}
    screen = with_rollout("paused", analysis=[*found, drift], stage="Progressing", paused=False)

    assert "drift (pause)            Inconclusive" in screen
    assert "once every metric passes; waiting for drift\n" in screen


def test_an_approval_in_the_bake_is_for_the_promotion() -> None:
    said = waiting("awaiting-approval", "Drift", "drift is too large", underlying="Baking")
    assert said[0] == "promoted once approved: kubectl slipway approve digits -n vision"


def test_trouble_that_heals_is_no_decision_for_a_person() -> None:
    for name in ("progressing", "paused", "baking", "idle"):
        found = recording(name)
        found.manifest["status"]["conditions"].append(
            {"type": "Stalled", "status": "True", "reason": "Forbidden", "message": "no rights"}
        )
        assert found.next_steps() == ["continues by itself once this is resolved: no rights"]


def test_replicas_and_what_decides_them() -> None:
    found = recording("baking")
    found.manifest["status"]["candidate"]["scaling"] = {
        "desired": 4,
        "current": 3,
        "signal": "concurrency",
        "value": 14.2,
        "target": 4.0,
        "boundBy": "rollout",
        "message": "14.2 in flight",
    }

    screen = found.screen(width=120)

    assert (
        "  scaling  candidate 2: 3 of 4 replicas, concurrency 14.2, target 4 per replica, "
        "limited by rollout: 14.2 in flight\n"
    ) in screen


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({"minReplicas": 2, "maxReplicas": 10}, "2 to 10 replicas, engine Auto"),
        ({"minReplicas": 0}, "0 to 1 replica, engine Auto"),
        ({"minReplicas": 3}, "3 replicas at full traffic, fixed by the spec"),
        (
            {"engine": "None", "replicas": 4},
            "4 replicas, scaled externally (engine None)",
        ),
    ],
)
def test_without_an_engine_that_reports_the_spec_says_how_many(
    scaling: dict[str, Any], expected: str
) -> None:
    found = recording("idle")
    found.manifest["spec"]["scaling"] = scaling
    screen = found.screen(width=100)

    assert f"  scaling  {expected}\n" in screen


def test_a_candidate_that_needs_no_evidence_has_no_steps() -> None:
    screen = with_rollout("paused", unjudged="promote by editor", stage="Progressing", paused=False)
    assert "  steps  straight to 100%: promote by editor\n" in screen
    assert "  next  100% of traffic at the next analysis: promote by editor\n" in screen


def test_an_action_that_did_not_count_is_shown() -> None:
    found = recording("paused")
    found.manifest["status"]["refusedAction"] = {
        "id": 9999999999999,
        "verb": "abort",
        "by": "editor",
        "at": "2026-11-21T12:02:00.000Z",
        "result": "Refused: its id is more than 5 minutes ahead",
        "reason": "InvalidAction",
    }

    screen = found.screen()

    assert "  action   pause by unverified, 1m1s ago: Done\n" in screen
    assert "  refused  abort by editor, 39s ago: Refused: its id is more than 5 min" in screen


def test_a_hook_that_has_not_agreed_is_named() -> None:
    hook = {"name": "smoke", "step": 1, "verdict": "Waiting", "tries": 2}
    screen = with_rollout("paused", hooks=[hook], stage="Progressing", paused=False)

    assert "waiting for hook smoke" in screen
    assert "  smoke                    Waiting" in screen


def test_what_happens_next_in_every_stage() -> None:
    said = {
        name: found.next_steps()[0]
        for name in ("packaging", "starting", "checking", "baking", "rejected", "failed", "paused")
        for found in [recording(name)]
    }

    assert said == {
        "packaging": "replicas start once the package is ready",
        "starting": "checks start once every replica is ready",
        "checking": "10% of traffic once the checks pass",
        "baking": "promoted in 8m20s (12:11:57 UTC), unless a metric fails",
        "rejected": (
            "nothing until the spec changes; to try again: kubectl slipway retry digits -n vision"
        ),
        "failed": "another attempt in 10s (12:02:54 UTC)",
        "paused": "nothing while paused; to continue: kubectl slipway resume digits -n vision",
    }


def test_a_comparison_of_answers_says_when_it_ends_at_the_latest_and_how_to_go_on() -> None:
    found = recording("shadowing")
    assert found.next_steps()[:2] == [
        "the steps, once there are enough pairs of answers, or their time is over",
        "to begin with the steps now: kubectl slipway skip digits -n vision",
    ]
    found.manifest["spec"]["rollout"]["shadow"]["maxSeconds"] = 600
    assert "answers, or in 9m" in found.next_steps()[0]


def test_before_the_checks_it_is_known_whether_answers_are_compared_first() -> None:
    found = recording("checking")
    found.manifest["spec"]["rollout"]["shadow"] = {"mode": "On"}
    assert found.next_steps()[0] == "copies of requests for the candidate once the checks pass"


def test_a_rollback_without_traffic_or_without_a_stable_restored_nothing() -> None:
    found = recording("rejected")
    assert "→ 3a1e3eef, decided 2m2s ago, traffic restored after 1.00 s\n" in found.screen()

    last = found.manifest["status"]["lastRollback"]
    last["trafficRestoredAt"] = last["decidedAt"]
    assert "→ 3a1e3eef, decided 2m2s ago\n" in found.screen()

    del last["to"]
    assert "  rollback from 6b04114e, decided 2m2s ago\n" in found.screen()


def test_a_spec_that_nobody_has_looked_at_says_so() -> None:
    found = recording("idle")
    found.manifest["metadata"]["generation"] += 1

    assert found.next_steps() == ["the operator reads the newest spec"]


def without_steps(schedule: dict[str, Any] | None) -> str:
    found = recording("progressing")
    del found.manifest["spec"]["rollout"]["steps"]
    found.manifest["status"]["rollout"]["schedule"] = schedule
    return found.screen(width=120)


def test_steps_that_were_chosen_are_shown_with_the_rate_that_they_were_chosen_for() -> None:
    screen = without_steps({"weights": [10, 50], "requestsPerSecond": 12.5})
    assert "▶ 10%  50%  95% bake" in screen
    assert "chosen for 12.5 requests/s" in screen


def test_steps_that_are_not_chosen_yet_are_named_as_such() -> None:
    screen = without_steps(None)
    assert "chosen from the request rate" in screen
    assert "requests/s" not in screen


def test_it_says_who_signed_which_files() -> None:
    found = recording("progressing")
    digest = f"sha256:{'ab' * 32}"
    found.manifest["status"]["stable"]["signed"] = {
        "signer": digest,
        "key": "key release of the operator's settings",
        "count": 9,
        "files": [{"name": "1/model.onnx", "digest": digest}],
    }

    screen = found.screen(width=200)

    assert f"9 files by {digest}, key release of the operator's settings" in screen
    assert f"1/model.onnx {digest}" in screen
    assert "and 8 more, in the image's annotations" in screen


def test_it_says_what_a_conversion_gave() -> None:
    found = recording("progressing")
    found.manifest["status"]["candidate"]["optimized"] = {
        "precision": "INT8Dynamic",
        "bytesBefore": 4_000_000,
        "bytes": 1_000_000,
        "cpuMillisecondsBefore": 4.2,
        "cpuMilliseconds": 1.0,
        "notes": ["no accuracy was lost"],
    }

    screen = found.screen(width=200)

    assert "INT8Dynamic, 1,000,000 bytes instead of 4,000,000 (25%)" in screen
    assert "1 ms of one core instead of 4.2: 4.2 times the requests per core" in screen
    assert "no accuracy was lost" in screen


def test_it_says_what_was_changed_or_left_out_when_a_model_was_packaged() -> None:
    found = recording("progressing")
    warning = "took version directory 2 and left out 1: a server has one version"
    found.manifest["status"]["candidate"]["warnings"] = [warning]

    assert f"  warnings candidate 2: {warning}" in found.screen(width=200)


def test_what_became_worse_after_a_promotion_is_said() -> None:
    found = recording("idle")
    watched = {
        "revision": "3a1e3eef",
        "until": "2026-11-22T12:00:00.000Z",
        "requests": 3_000,
        "errors": 30,
    }
    found.manifest["status"]["afterPromotion"] = watched
    assert "worse" not in found.screen(width=120)

    found.manifest["status"]["afterPromotion"] |= {
        "finding": "errors: 5.10% of 3,000 requests",
        "foundAt": "2026-11-21T12:00:00.000Z",
    }
    assert "  worse    than in its rollout, found 1m33s ago: errors: 5.10%" in found.screen(
        width=120
    )
