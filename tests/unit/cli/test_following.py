"""watch and wait: what is printed for each change, and how the waiting ends."""

import json
from typing import Any

import pytest
from slipway.cli.goals import Answer, goal
from slipway.cli.looks import Looks
from slipway.cli.read import read

from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import recording


def answer(word: str, name: str, *, begun: str = "progressing") -> Answer:
    reached = goal(word, recording(begun).md)
    assert reached is not None
    return reached(recording(name).md).answer


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("ready", "idle", Answer.YES),
        ("ready", "rejected", Answer.YET),
        ("available", "rejected", Answer.YES),
        ("stalled", "held", Answer.YES),
        ("stalled", "progressing", Answer.YET),
        ("idle", "rejected", Answer.YES),
        ("idle", "baking", Answer.YET),
        ("approval", "awaiting-approval", Answer.YES),
        ("stage=Baking", "baking", Answer.YES),
        ("weight=10", "progressing", Answer.YES),
        ("weight=50%", "progressing", Answer.YET),
        ("weight=50", "rejected", Answer.NEVER),
        ("promoted", "progressing", Answer.YET),
        ("promoted", "failed", Answer.YET),
        ("promoted", "rejected", Answer.NEVER),
        ("promoted", "held", Answer.NEVER),
    ],
)
def test_goals(word: str, name: str, expected: Answer) -> None:
    assert answer(word, name) is expected


def test_promoted_means_the_version_that_was_asked_for_at_the_beginning() -> None:
    assert answer("promoted", "idle", begun="idle") is Answer.YES
    assert answer("promoted", "idle") is Answer.NEVER


def test_a_status_of_an_older_spec_decides_nothing() -> None:
    manifest = recording("idle").manifest
    manifest["metadata"]["generation"] += 1
    md = read(manifest)
    for word in ("promoted", "ready", "idle"):
        reached = goal(word, md)
        assert reached is not None
        assert reached(md).answer is Answer.YET


def test_wait_ends_when_it_comes(run: Program) -> None:
    run.change(watches=[{"events": [promoted()]}])
    done = run("wait", "digits", "--for=promoted", "--timeout=60s")
    assert (done.code, done.out) == (0, "vision/digits promoted: version 2 serves\n")


def test_wait_ends_when_it_will_not_come(run: Program) -> None:
    run.put("digits", recording("rejected").manifest)
    done = run("wait", "digits", "--for=promoted")
    assert done.code == 3
    assert "RevisionRejected: version 2 is refused: ErrorRatio: 8 of 40 errors" in done.err


def test_wait_ends_in_time_and_says_what_is_missing(run: Program) -> None:
    done = run("wait", "digits", "--for=promoted", "--timeout=0.3s")
    assert done.code == 4
    assert "Progressing, at 10 %: held for 60 s of active time" in done.err


def test_wait_for_what_is_not_there(run: Program) -> None:
    assert run("wait", "faces", "--for=ready").code == 6
    assert run("wait", "faces", "--for=deleted").code == 0


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


def test_a_connection_that_is_lost_in_the_middle_is_made_again(
    run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.cli.kubectl.PAUSE_SECONDS", 0.01)
    lost = {"says": "Unable to connect to the server: EOF"}
    run.change(watches=[lost, lost, {"events": [promoted()]}])
    assert run("wait", "digits", "--for=promoted", "--timeout=60s").code == 0


def test_a_right_that_is_taken_away_ends_the_waiting(run: Program) -> None:
    run.change(watches=[{"says": "Error from server (Forbidden): no more"}])
    assert run("wait", "digits", "--for=promoted", "--timeout=60s").code == 1


def test_no_time_at_all_is_one_look(run: Program) -> None:
    assert run("wait", "digits", "--for=promoted", "--timeout=0").code == 4
    assert run("wait", "digits", "--for=available", "--timeout=0").code == 0


def test_looks_are_remembered_for_one_rollout() -> None:
    looks, manifest = Looks(), recording("progressing").manifest
    errors = manifest["status"]["rollout"]["analysis"][1]
    seen: dict[str, tuple[float, ...]] = {}
    for number in range(3):
        errors |= {"candidate": number / 100, "lastCheck": f"2026-11-21T12:01:0{number}.000Z"}
        seen = looks.note(read(manifest))
        assert looks.note(read(manifest)) == seen
    assert seen["errors"] == (0.0, 0.01, 0.02)
    manifest["status"]["rollout"]["startedAt"] = "2026-11-21T13:00:00.000Z"
    assert looks.note(read(manifest))["errors"] == (0.02,)


def promoted() -> dict[str, Any]:
    return recording("twice").manifest
