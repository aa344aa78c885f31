"""watch and wait: what is printed for each change, and how the waiting ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from slipway.cli import main as program
from slipway.cli.changes import Change, Scope
from slipway.cli.commands.watch import redraw_screen
from slipway.cli.kubectl import Kubectl
from slipway.cli.objects import parse_model_deployment
from slipway.cli.reconnect import Disconnected
from slipway.cli.session import Session
from slipway.cli.sparkline_history import SparklineHistory
from slipway.cli.terminal import open_canvas
from slipway.cli.wait_goals import GoalState, find_goal

from tests.builders import NOON
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import plain, recording


def answer(word: str, name: str, *, begun: str = "progressing") -> GoalState:
    return judged(word, recording(name).manifest, begun=begun)


def judged(word: str, manifest: dict[str, Any], *, begun: str = "progressing") -> GoalState:
    reached = find_goal(word, recording(begun).md)
    assert reached is not None
    return reached(parse_model_deployment(manifest)).state


def stalled(name: str, reason: str) -> dict[str, Any]:
    """Return a recording whose operator says that it is stuck."""
    manifest = recording(name).manifest
    said = {"type": "Stalled", "status": "True", "reason": reason, "message": "no"}
    claims = {entry["type"]: entry for entry in manifest["status"]["conditions"]}
    claims.pop("Reconciling", None)
    claims["Ready"] |= {"status": "False", "reason": reason, "message": "no"}
    manifest["status"]["conditions"] = [*claims.values(), said]
    return manifest


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("ready", "idle", GoalState.REACHED),
        ("ready", "rejected", GoalState.OUT_OF_REACH),
        ("ready", "failed", GoalState.PENDING),
        ("available", "rejected", GoalState.REACHED),
        ("stalled", "held", GoalState.REACHED),
        ("stalled", "progressing", GoalState.PENDING),
        ("idle", "rejected", GoalState.REACHED),
        ("idle", "baking", GoalState.PENDING),
        ("approval", "awaiting-approval", GoalState.REACHED),
        ("approval", "baking", GoalState.PENDING),
        ("approval", "twice", GoalState.OUT_OF_REACH),
        ("stage=Baking", "baking", GoalState.REACHED),
        ("stage=Baking", "progressing", GoalState.PENDING),
        ("stage=Baking", "held", GoalState.OUT_OF_REACH),
        ("stage=Baking", "twice", GoalState.OUT_OF_REACH),
        ("stage=Idle", "rejected", GoalState.REACHED),
        ("weight=10", "progressing", GoalState.REACHED),
        ("weight=50%", "progressing", GoalState.PENDING),
        ("weight=50", "rejected", GoalState.OUT_OF_REACH),
        ("weight=50", "twice", GoalState.REACHED),
        ("weight=10", "rolling-back", GoalState.PENDING),
        ("promoted", "progressing", GoalState.PENDING),
        ("promoted", "failed", GoalState.PENDING),
        ("promoted", "rejected", GoalState.OUT_OF_REACH),
        ("promoted", "held", GoalState.OUT_OF_REACH),
    ],
)
def test_goals(word: str, name: str, expected: GoalState) -> None:
    assert answer(word, name) is expected


def test_promoted_means_the_version_that_was_asked_for_at_the_beginning() -> None:
    assert answer("promoted", "idle", begun="idle") is GoalState.REACHED
    assert answer("promoted", "idle") is GoalState.OUT_OF_REACH


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("promoted", "twice"),
        ("ready", "idle"),
        ("available", "idle"),
        ("idle", "idle"),
        ("approval", "awaiting-approval"),
        ("weight=10", "progressing"),
        ("weight=50", "rejected"),
        ("stage=Baking", "baking"),
        ("stalled", "held"),
        ("ready", "rejected"),
    ],
)
def test_a_status_of_an_older_spec_decides_nothing(word: str, name: str) -> None:
    assert answer(word, name) is not GoalState.PENDING
    manifest = recording(name).manifest
    manifest["metadata"]["generation"] += 1

    assert judged(word, manifest) is GoalState.PENDING


@pytest.mark.parametrize(
    ("word", "name"), [("weight=25", "baking"), ("approval", "awaiting-approval")]
)
def test_an_older_candidate_that_bakes_to_its_end_decides_nothing(word: str, name: str) -> None:
    assert answer(word, name) is not GoalState.OUT_OF_REACH
    manifest = recording(name).manifest
    manifest["spec"]["model"]["version"] = "3"

    assert judged(word, manifest) is GoalState.PENDING


@pytest.mark.parametrize("word", ["promoted", "ready", "idle", "approval", "weight=50"])
def test_only_what_a_person_must_change_ends_a_wait(word: str) -> None:
    for reason in ("Refused", "Forbidden", "WebhookUnavailable", "ClusterUnavailable"):
        assert judged(word, stalled("progressing", reason)) is GoalState.PENDING
    for reason in ("InvalidSpec", "Conflict", "AnalysisFailed", "DeadlineExceeded", "New"):
        assert judged(word, stalled("progressing", reason)) is GoalState.OUT_OF_REACH


def test_trouble_under_reconciling_is_waited_for_and_shown() -> None:
    manifest = stalled("progressing", "Forbidden")
    manifest["status"]["conditions"][-1]["type"] = "Reconciling"
    md = parse_model_deployment(manifest)
    assert md.trouble is not None
    assert judged("promoted", manifest) is GoalState.PENDING
    at_rest = stalled("idle", "Forbidden")
    assert judged("idle", at_rest) is GoalState.PENDING, "the operator could not begin"
    decided = {"type": "Stalled", "status": "True", "reason": "DeadlineExceeded", "message": "no"}
    manifest["status"]["conditions"].append(decided)

    assert judged("promoted", manifest) is GoalState.OUT_OF_REACH, (
        "a person decides, whatever comes on top"
    )


def test_nothing_serves_before_the_spec_changes() -> None:
    manifest = stalled("rejected", "RevisionRejected")
    manifest["status"]["conditions"][0]["status"] = "False"
    assert judged("available", manifest) is GoalState.PENDING, "stable's pods may come back"
    del manifest["status"]["stable"]

    assert judged("available", manifest) is GoalState.OUT_OF_REACH


def test_a_goal_that_can_never_come_is_refused_with_those_there_are(run: Program) -> None:
    typo = run("wait", "digits", "--for=stage=Progresing")
    assert typo.code == 2
    assert "stages are Idle, Packaging, Starting" in typo.err
    for word in ("weight=101", "weight=²", "stage=", "luck=3"):
        assert run("wait", "digits", f"--for={word}").code == 2


def test_what_heals_by_itself_is_said_and_waited_for(run: Program) -> None:
    run.put("digits", stalled("progressing", "Forbidden"))
    run.change(watches=[{"events": [promoted()]}])
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")

    assert done.code == 0
    assert done.err == "note: digits is waiting for Forbidden to be resolved: no\n"


def test_wait_ends_when_it_comes(run: Program) -> None:
    run.change(watches=[{"events": [promoted()]}])
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")

    assert (done.code, done.out) == (0, "vision/digits promoted: version 2 is serving\n")


def test_wait_ends_when_it_will_not_come(run: Program) -> None:
    found = recording("rejected")
    run.put("digits", found.manifest)

    done = run("wait", "digits", "--for=promoted")

    why = f"RevisionRejected: {found.md.ready_message}"
    assert done.code == 3
    assert f"digits will not reach promoted by itself: {why}\n" in done.err


def test_wait_ends_in_time_and_says_what_is_missing(run: Program) -> None:
    done = run("wait", "digits", "--for=promoted", "--timeout=0.3s")

    why = recording("progressing").md.ready_message
    assert done.code == 4
    assert f"digits did not reach promoted within 0s: Progressing, {why}\n" in done.err


def test_wait_for_what_is_not_there(run: Program) -> None:
    assert run("wait", "faces", "--for=ready").code == 6

    gone = run("wait", "faces", "--for=deleted")
    assert (gone.code, gone.out) == (0, "vision/faces deleted: not found\n")

    shown = json.loads(run("wait", "faces", "--for=deleted", "--json").out)
    assert (shown["namespace"], shown["name"], shown["stable"]) == ("vision", "faces", None)


def test_watch_prints_a_line_for_every_change_and_none_for_the_same_again(run: Program) -> None:
    again = recording("progressing").manifest
    again["metadata"]["resourceVersion"] = "99999"
    run.change(watches=[{"events": [again, promoted(), None]}])
    done = run("watch", "digits", "--for=60s")

    assert done.code == 0
    first, second, last = done.out.splitlines()
    assert first.split()[1:5] == ["vision/digits", "Progressing", "1/2", "1=90%"]
    assert second.split()[1:4] == ["vision/digits", "Idle", "2=100%"]
    assert last.split()[1:] == ["vision/digits", "deleted"]


def test_watch_shows_where_the_pairs_stand(run: Program) -> None:
    shadowing = recording("shadowing").manifest
    run.put("digits", shadowing)
    run.change(watches=[{"events": [shadowing, None]}])
    line = run("watch", "digits", "--for=60s").out
    assert "Shadowing" in line
    assert "pair-errors=Inconclusive" in line
    assert "80 pairs of answers" in line


def test_watch_prints_one_json_object_a_line(run: Program) -> None:
    run.change(watches=[{"events": [None]}])
    lines = run("watch", "digits", "--for=60s", "--json").out.splitlines()
    told = [json.loads(line) for line in lines]

    assert [(item["gone"], item["object"]["name"]) for item in told] == [
        (False, "digits"),
        (True, "digits"),
    ]


def test_a_watch_that_the_server_ends_goes_on(run: Program) -> None:
    run.change(watches=[{}, {}, {"events": [promoted()]}])
    assert run("wait", "digits", "--for=promoted", "--timeout=60s").code == 0


PASSING = [
    "Unable to connect to the server: EOF",
    "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host?",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request",
    "Error from server: etcdserver: leader changed",
    "Error from server (Timeout): Timeout: request did not complete within the allotted timeout",
    "Error from server (TooManyRequests): the server has received too many requests",
    'Error from server (Forbidden): User "editor" cannot watch resource "modeldeployments"',
    'error: the server doesn\'t have a resource type "modeldeployments"',
]


@pytest.mark.parametrize("said", PASSING)
def test_a_connection_that_is_lost_in_the_middle_is_made_again(run: Program, said: str) -> None:
    run.change(watches=[*[{"away": True, "says": said}] * 3, {"events": [promoted()]}])
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")

    assert done.code == 0
    assert done.err.startswith("note: disconnected since ")
    assert done.err.count("\n") == 1, "once for an outage, not for each try"


def test_a_cluster_that_starts_is_outlasted_by_wait_from_the_first_call_on(run: Program) -> None:
    run.change(refuses=[PASSING[0], PASSING[2], PASSING[7]], watches=[{"events": [promoted()]}])
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")
    assert done.code == 0
    run.change(refuses=PASSING[:1])

    assert run("watch", "digits", "--for=60s").code == 1, "who looks is told at once"


@pytest.mark.usefixtures("counting")
def test_a_cluster_that_stays_away_ends_in_time_and_says_so(run: Program) -> None:
    run.change(watches=[{"away": True, "says": PASSING[0]}] * 200)
    done = run("wait", "digits", "--for=promoted", "--timeout=10s", "--json")
    assert done.code == 4
    *_, note, error = done.err.splitlines()

    assert "disconnected since" in json.loads(note)["note"]
    assert "disconnected since" in json.loads(error)["error"]["message"]


def test_a_right_that_is_taken_away_ends_the_waiting(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.cli.reconnect.DOUBT_SECONDS", 0.3)
    run.change(watches=[{"says": "Error from server (Forbidden): no more"}] * 500)
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")

    assert done.code == 1
    assert "forbidden: no more" in done.err


def test_a_complaint_that_does_not_pass_ends_the_waiting_at_once(run: Program) -> None:
    run.change(watches=[{"says": "error: unknown flag: --outptu"}, {"events": [promoted()]}])
    assert run("wait", "digits", "--for=promoted", "--timeout=60s").code == 1


@pytest.mark.parametrize("name", ["digits", "faces"])
def test_what_was_deleted_while_nobody_watched_is_told(run: Program, name: str) -> None:
    faces = recording("idle").manifest
    faces["metadata"]["name"] = "faces"
    run.put("faces", faces)
    lost = {"drops": [name], "says": PASSING[0]}
    run.change(watches=[lost, {"says": "error: enough"}])
    rows = run("watch").out.splitlines()

    assert [row.split()[1] for row in rows if row.endswith("deleted")] == [f"vision/{name}"]
    assert rows[-1].endswith("deleted")


def test_one_that_was_deleted_while_nobody_watched_ends_the_watch(run: Program) -> None:
    run.change(watches=[{"drops": ["digits"], "says": PASSING[0]}])
    done = run("watch", "digits", "--for=60s")

    assert (done.code, done.out.splitlines()[-1].split()[1:]) == (0, ["vision/digits", "deleted"])


def test_a_screen_says_since_when_it_is_old(capsys: pytest.CaptureFixture[str]) -> None:
    md = recording("progressing").md
    session = Session(Kubectl())
    lost = Disconnected(NOON, "cannot reach the cluster")
    for name in ("digits", None):
        with open_canvas(session) as drawn:
            redraw_screen(iter([Change(md), lost]), drawn, Scope(name))
            capsys.readouterr()
            assert plain(tuple(drawn.last)).startswith(
                "disconnected since 12:00:00 UTC, retrying: cannot reach the cluster\n\n"
            )
            assert "digits" in plain(tuple(drawn.last))
            redraw_screen(iter([Change(md), lost, Change(md)]), drawn, Scope(name))
            assert "disconnected" not in plain(tuple(drawn.last))


def test_a_program_that_is_ended_leaves_no_kubectl_behind(run: Program) -> None:
    command = [sys.executable, "-m", "slipway.cli", "watch", "digits"]
    root = Path(program.__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert b"vision/digits" in process.stdout.readline()
        told = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        [child] = [int(word) for word in told.split()]
        process.terminate()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM

    assert not Path(f"/proc/{child}").exists()
    assert run.state["calls"]


def test_no_time_at_all_is_one_look(run: Program) -> None:
    assert run("wait", "digits", "--for=promoted", "--timeout=0").code == 4
    assert run("wait", "digits", "--for=available", "--timeout=0").code == 0


def test_looks_are_remembered_for_one_rollout() -> None:
    looks, manifest = SparklineHistory(), recording("progressing").manifest
    errors = manifest["status"]["rollout"]["analysis"][1]
    seen: dict[str, tuple[float, ...]] = {}
    for number in range(3):
        errors |= {"candidate": number / 100, "lastCheck": f"2026-11-21T12:01:0{number}.000Z"}
        seen = looks.record(parse_model_deployment(manifest))
        assert looks.record(parse_model_deployment(manifest)) == seen
    assert seen["errors"] == (0.0, 0.01, 0.02)
    manifest["status"]["rollout"]["startedAt"] = "2026-11-21T13:00:00.000Z"

    assert looks.record(parse_model_deployment(manifest))["errors"] == (0.02,)


def promoted() -> dict[str, Any]:
    return recording("twice").manifest
