"""Whole screens, as people see them on a terminal of 100 columns."""

from typing import Any

import pytest
from slipway.cli.read import read
from slipway.cli.views.coming import coming
from slipway.cli.views.describe import describe

from tests.unit.cli.recordings import plain, recording, say


def screen(name: str, width: int = 100) -> str:
    found = recording(name)
    return plain(describe(found.md, found.now, say, width=width))


def test_a_step_that_is_held() -> None:
    assert (
        screen("progressing")
        == """\
vision/digits   Progressing at 10 %   age 2m3s
at 10 %: held for 60 s of active time

             VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable     1        3a1e3eef    90 %      1     2m  ██████████████████
  candidate  2        6b04114e    10 %      1    30s  ██

  steps  ▶ 10 % (hold 1m)  50 % (approval)  95 % bake 5s  100 %

  METRIC      VERDICT  CANDIDATE  STABLE    LIMIT   SAMPLES  SINCE  LOOKED
  golden-set  Pass       100.0 %       -  100.0 %        50      -       -
  errors      Pass        0.00 %  0.00 %   0.20 %  40 / 360    24s     22s
  latency     Pass        0.00 %  0.00 %   0.20 %  40 / 360    24s     22s
    golden-set: 50 of 50 cases agree
    errors: 0 of 40 errors beside 0 of 360 on stable, limit 0.20%
    latency: 0 of 40 slower than 28 ms beside 0 of 360 on stable, limit 0.20%

  next  somebody is asked to approve 50 % in 36s (12:02:39 UTC), when the hold ends, if every metric
        passes then
        a Fail brings the traffic back at once
        the deadline comes after 59m30s more of active time, then: Pause

  CONDITION        STATUS  REASON         SINCE  MESSAGE
  Available        True    Serving         2m1s  revision 3a1e3eef has 1 ready replicas
  Ready            False   Holding          30s  as above
  Reconciling      True    Holding          30s  as above
  ArtifactReady    True    Packaged         30s  version 2 is sha256:ababababababababababababababab…
  RouteProgrammed  True    Acknowledged     24s  every proxy runs the newest weights
  CapacityReady    True    ReplicasReady    28s  1 of 1 replicas of every live revision are ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  history  1  Promoted  2m ago
"""
    )


def test_a_step_that_waits_for_a_person() -> None:
    assert (
        screen("awaiting-approval")
        == """\
vision/digits   AwaitingApproval at 10 % (in Progressing)   age 3m19s
step 2 (50 %) waits for approval

             VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable     1        3a1e3eef    90 %      1  3m16s  ██████████████████
  candidate  2        6b04114e    10 %      1  1m46s  ██

  steps  ▶ 10 % (hold 1m)  50 % (approval)  95 % bake 5s  100 %

  METRIC      VERDICT  CANDIDATE  STABLE   LIMIT         SAMPLES  SINCE  LOOKED
  golden-set  Pass       100.0 %       -       -              50      -       -
  errors      Pass        0.00 %  0.00 %  0.20 %  1,200 / 10,800  1m40s     40s
  latency     Pass        0.00 %  0.00 %  0.20 %  1,200 / 10,800  1m40s     40s
    golden-set: 50 of 50 cases agree
    errors: 0 of 1200 errors beside 0 of 10800 on stable, limit 0.20%
    latency: 0 of 1200 slower than 28 ms beside 0 of 10800 on stable, limit 0.20%

  next  50 % when somebody approves: kubectl slipway approve digits -n vision
        or not at all: kubectl slipway abort digits -n vision

  CONDITION        STATUS  REASON            SINCE  MESSAGE
  Available        True    Serving           3m17s  revision 3a1e3eef has 1 ready replicas
  Ready            False   AwaitingApproval  1m46s  as above
  Reconciling      True    AwaitingApproval  1m46s  as above
  ArtifactReady    True    Packaged          1m46s  version 2 is sha256:abababababababababababababa…
  RouteProgrammed  True    Acknowledged      1m40s  every proxy runs the newest weights
  CapacityReady    True    ReplicasReady     1m44s  1 of 1 replicas of every live revision are ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  history  1  Promoted  3m16s ago
"""
    )


def test_a_bake() -> None:
    assert (
        screen("baking")
        == """\
vision/digits   Baking at 95 %   age 3m24s
baking at 95 % for 600 s

             VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable     1        3a1e3eef     5 %      1  3m21s  █
  candidate  2        6b04114e    95 %      1  1m51s  ███████████████████

  steps  ✓ 10 %  ✓ 50 %  ▶ 95 % bake 10m  100 %

  METRIC      VERDICT  CANDIDATE  STABLE   LIMIT       SAMPLES  SINCE  LOOKED
  golden-set  Pass       100.0 %       -       -            50      -       -
  errors      Pass        0.00 %  0.00 %  0.20 %  17,670 / 930  1m40s      7s
  latency     Pass        0.00 %  0.00 %  0.20 %  17,670 / 930  1m40s      7s
    golden-set: 50 of 50 cases agree
    errors: 0 of 17670 errors beside 0 of 930 on stable, limit 0.20%
    latency: 0 of 17670 slower than 28 ms beside 0 of 930 on stable, limit 0.20%

  next  promoted in 8m20s (12:11:44 UTC), unless a metric fails
        a Fail brings the traffic back at once

  CONDITION        STATUS  REASON         SINCE  MESSAGE
  Available        True    Serving        3m22s  revision 3a1e3eef has 1 ready replicas
  Ready            False   Baking         1m51s  as above
  Reconciling      True    Baking         1m51s  as above
  ArtifactReady    True    Packaged       1m51s  version 2 is sha256:ababababababababababababababab…
  RouteProgrammed  True    Acknowledged   1m40s  every proxy runs the newest weights
  CapacityReady    True    ReplicasReady  1m49s  1 of 1 replicas of every live revision are ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  history  1  Promoted  3m21s ago
"""
    )


def test_a_version_that_was_rolled_back() -> None:
    assert (
        screen("rejected")
        == """\
vision/digits   RevisionRejected   age 3m43s
version 2 is refused: ErrorRatio: 8 of 40 errors beside 0 of 360 on stable, limit 0.20%

               VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable       1        3a1e3eef   100 %      1  3m40s  ████████████████████
  in the spec  2        -              -      -      -

  METRIC      VERDICT  CANDIDATE  STABLE   LIMIT   SAMPLES  SINCE  LOOKED
  golden-set  Pass       100.0 %       -       -        50      -       -
  errors      Fail        20.0 %  0.00 %  0.20 %  40 / 360      -    2m2s
  latency     Pass        0.00 %  0.00 %  0.20 %  40 / 360      -    2m2s
    golden-set: 50 of 50 cases agree
    errors: 8 of 40 errors beside 0 of 360 on stable, limit 0.20%
    latency: 0 of 40 slower than 28 ms beside 0 of 360 on stable, limit 0.20%

  next  nothing until the spec changes, or: kubectl slipway retry digits -n vision

  CONDITION        STATUS  REASON            SINCE  MESSAGE
  Available        True    Serving           3m41s  revision 3a1e3eef has 1 ready replicas
  Ready            False   RevisionRejected  2m10s  as above
  Stalled          True    RevisionRejected     2m  as above
  ArtifactReady    True    Packaged          2m10s  version 2 is sha256:abababababababababababababa…
  RouteProgrammed  True    Acknowledged      1m59s  every proxy runs the newest weights
  CapacityReady    True    ReplicasReady      2m8s  1 of 1 replicas of every live revision are ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  rollback 6b04114e → 3a1e3eef, decided 2m2s ago, traffic back after 1.00 s
  history  2  RolledBack  2m ago  ErrorRatio: 8 of 40 errors beside 0 of 360 on stable, limit 0.20%
           1  Promoted  3m40s ago
"""
    )


def test_a_candidate_whose_pods_start() -> None:
    assert (
        screen("starting")
        == """\
vision/digits   Starting   age 1m53s
0 of 1 replicas are ready

             VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable     1        3a1e3eef   100 %      1  1m50s  ████████████████████
  candidate  2        6b04114e     0 %      0    20s

  steps  10 %  50 %  95 % bake 5s  100 %

  next  the checks begin when every replica is ready
        the deadline comes after 59m40s more of active time, then: rolled back as FailedToStart

  CONDITION        STATUS  REASON            SINCE  MESSAGE
  Available        True    Serving           1m51s  revision 3a1e3eef has 1 ready replicas
  Ready            False   Starting            20s  as above
  Reconciling      True    Starting            20s  as above
  ArtifactReady    True    Packaged            20s  version 2 is sha256:abababababababababababababa…
  RouteProgrammed  True    Acknowledged      1m50s  every proxy runs the newest weights
  CapacityReady    False   AwaitingReplicas    20s  6b04114e: 0 of 1 ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  history  1  Promoted  1m50s ago
"""
    )


def test_nothing_under_way() -> None:
    assert (
        screen("idle")
        == """\
vision/digits   Idle   age 1m33s
version 1 serves

          VERSION  REVISION  WEIGHT  READY  SINCE  TRAFFIC
  stable  1        3a1e3eef   100 %      1  1m30s  ████████████████████

  next  nothing: a change of the spec starts the next rollout

  CONDITION        STATUS  REASON         SINCE  MESSAGE
  Available        True    Serving        1m31s  revision 3a1e3eef has 1 ready replicas
  Ready            True    Promoted       1m30s  as above
  ArtifactReady    True    Packaged       1m33s  version 1 is sha256:ababababababababababababababab…
  RouteProgrammed  True    Acknowledged   1m30s  every proxy runs the newest weights
  CapacityReady    True    ReplicasReady  1m31s  1 of 1 replicas of every live revision are ready

  clients  http://digits.vision.svc:8000/v2/models/digits
           digits.vision.svc:8001 (gRPC)
  scaling  1 replica for all of the traffic, fixed by the spec

  history  1  Promoted  1m30s ago
"""
    )


def with_rollout(name: str, **changes: Any) -> str:
    found = recording(name)
    found.manifest["status"]["rollout"] |= changes
    return plain(describe(read(found.manifest), found.now, say, width=120))


def test_the_last_looks_are_bars() -> None:
    found = recording("progressing").manifest["status"]["rollout"]["analysis"]
    found[1] |= {"looks": [0.0, 0.001, 0.004], "since": "2026-11-21T12:01:53.000Z"}
    screen = with_rollout("progressing", analysis=found)
    errors = next(row for row in screen.splitlines() if row.startswith("  errors "))
    assert errors.split()[-3:] == ["10s", "22s", "▁▃█"]


def test_a_narrow_terminal_has_room_for_the_bars() -> None:
    found = recording("progressing")
    for metric in found.manifest["status"]["rollout"]["analysis"]:
        metric["looks"] = [number / 1000 for number in range(20)]
    for width in (80, 100, 120):
        rows = plain(describe(read(found.manifest), found.now, say, width=width)).splitlines()
        assert "█" * 8 in next(row for row in rows if row.startswith("  errors "))
        assert max(len(row) for row in rows) <= width


def test_a_metric_that_only_reports_holds_nothing() -> None:
    found = recording("paused").manifest["status"]["rollout"]["analysis"]
    drift = {"name": "drift", "verdict": "Fail", "role": "ReportOnly", "candidate": 0.3}
    late = {**found[2], "verdict": "Inconclusive"}
    screen = with_rollout(
        "paused", analysis=[*found[:2], late, drift], stage="Progressing", paused=False
    )
    assert "drift (report only)  Fail" in screen
    assert "as soon as every metric passes; missing: latency\n" in screen


def waiting(name: str, reason: str, message: str, **rollout: Any) -> tuple[str, ...]:
    """Return what comes next where the operator waits for something."""
    found = recording(name)
    status = found.manifest["status"]
    status["rollout"] |= {"message": message, **rollout}
    for entry in status["conditions"]:
        if entry["type"] in {"Ready", "Reconciling"}:
            entry |= {"reason": reason, "message": message}
    return tuple(coming(read(found.manifest), found.now, say))


LONG_AGO = {"stepActiveSeconds": 0, "activeSeconds": 900}


def test_a_weight_that_waits_for_replicas_is_not_promised_within_seconds() -> None:
    lacks = "50 % needs 2 ready replicas, 1 are"
    for name in ("progressing", "baking"):
        assert waiting(name, "AwaitingCapacity", lacks, **LONG_AGO)[0] == (
            f"it goes on as soon as it has the capacity: {lacks}"
        )


def test_a_weight_that_a_proxy_has_not_acknowledged_is_waited_for() -> None:
    told = "weight 10 is written, not yet acknowledged by: router-b"
    for name in ("progressing", "baking"):
        assert waiting(name, "AwaitingAcknowledgement", told, **LONG_AGO)[0] == (
            f"it is judged from when every proxy has its weight: {told}"
        )


def test_a_bake_that_is_over_says_what_it_waits_for() -> None:
    why = "the bake goes on until every proxy's counters can be read"
    assert waiting("baking", "NoData", why, **LONG_AGO)[0] == (
        f"promoted as soon as this is over: {why}"
    )
    assert waiting("baking", "Baking", "baking", **LONG_AGO)[0].startswith("promoted at the next")


def test_a_metric_that_asks_a_person_is_waited_for_like_the_others() -> None:
    found = recording("paused").manifest["status"]["rollout"]["analysis"]
    drift = {"name": "drift", "verdict": "Inconclusive", "role": "Pause", "candidate": 0.3}
    screen = with_rollout("paused", analysis=[*found, drift], stage="Progressing", paused=False)
    assert "drift (asks at a Fail)  Inconclusive" in screen
    assert "as soon as every metric passes; missing: drift\n" in screen


def test_an_approval_in_the_bake_is_for_the_promotion() -> None:
    said = waiting("awaiting-approval", "Drift", "drift is too large", underlying="Baking")
    assert said[0] == "promoted when somebody approves: kubectl slipway approve digits -n vision"


def test_trouble_that_heals_is_no_decision_for_a_person() -> None:
    for name in ("progressing", "paused", "baking", "idle"):
        found = recording(name)
        found.manifest["status"]["conditions"].append(
            {"type": "Stalled", "status": "True", "reason": "Forbidden", "message": "no rights"}
        )
        assert coming(read(found.manifest), found.now, say) == [
            "it goes on by itself when the cause is gone: no rights"
        ]


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
    screen = plain(describe(read(found.manifest), found.now, say, width=120))
    assert (
        "  scaling  candidate 2: 3 of 4 replicas, concurrency 14.2, target 4 per replica, "
        "bound by rollout: 14.2 in flight\n"
    ) in screen


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({"minReplicas": 2, "maxReplicas": 10}, "2 to 10 replicas, engine Auto"),
        ({"minReplicas": 3}, "3 replicas for all of the traffic, fixed by the spec"),
        (
            {"engine": "None", "replicas": 4},
            "4 replicas asked for, somebody else scales (engine None)",
        ),
    ],
)
def test_without_an_engine_that_reports_the_spec_says_how_many(
    scaling: dict[str, Any], expected: str
) -> None:
    found = recording("idle")
    found.manifest["spec"]["scaling"] = scaling
    screen = plain(describe(read(found.manifest), found.now, say, width=100))
    assert f"  scaling  {expected}\n" in screen


def test_a_candidate_that_needs_no_evidence_has_no_steps() -> None:
    screen = with_rollout("paused", unjudged="promote by editor", stage="Progressing", paused=False)
    assert "  steps  straight to 100 %: promote by editor\n" in screen
    assert "  next  100 % at the next look: promote by editor\n" in screen


def test_a_hook_that_has_not_agreed_is_named() -> None:
    hook = {"name": "smoke", "step": 1, "verdict": "Waiting", "tries": 2}
    screen = with_rollout("paused", hooks=[hook], stage="Progressing", paused=False)
    assert "missing: hook smoke" in screen
    assert "  smoke       Waiting" in screen


def test_what_happens_next_in_every_stage() -> None:
    said = {
        name: coming(found.md, found.now, say)[0]
        for name in ("packaging", "starting", "checking", "baking", "rejected", "failed", "paused")
        for found in [recording(name)]
    }
    assert said == {
        "packaging": "its replicas start when the package is made",
        "starting": "the checks begin when every replica is ready",
        "checking": "10 % when the checks pass",
        "baking": "promoted in 8m20s (12:11:44 UTC), unless a metric fails",
        "rejected": ("nothing until the spec changes, or: kubectl slipway retry digits -n vision"),
        "failed": "another attempt in 10s (12:02:44 UTC)",
        "paused": "it goes on with: kubectl slipway resume digits -n vision",
    }


def test_a_spec_that_nobody_has_looked_at_says_so() -> None:
    found = recording("idle")
    found.manifest["metadata"]["generation"] += 1
    md = read(found.manifest)
    assert coming(md, found.now, say) == ["the operator has not looked at the newest spec yet"]
