"""The commands as people and scripts run them: output, exit codes, and what kubectl is told."""

import copy
import importlib
import json
import tomllib
from typing import Any

from tests.install.helm import ROOT
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import recording


def test_get_lists_every_one_with_its_reason(run: Program) -> None:
    run.put("faces", recording("rejected").manifest)
    done = run("get", "-A")
    assert done.code == 0
    head, *rows = done.out.splitlines()

    assert head.split()[:2] == ["NAMESPACE", "NAME"]
    assert "Progressing 1/2" in "".join(rows)
    assert "RevisionRejected" in "".join(rows)
    assert "\x1b" not in done.out


def test_get_says_where_it_looked_when_there_is_nothing(run: Program) -> None:
    run.change(objects={})
    done = run("get")

    assert done.code == 0
    assert "no ModelDeployments in namespace vision" in done.out
    assert "kubectl slipway get -A" in done.out


def test_json_has_every_key_and_moments_in_utc(run: Program) -> None:
    shown = json.loads(run("describe", "digits", "--json").out)

    assert shown["rollout"]["stage"] == "Progressing"
    assert shown["rollout"]["stepStartedAt"].endswith("Z")
    assert shown["policy"]["steps"][1] == {"weight": 50, "holdSeconds": 0, "needsApproval": True}
    assert shown["rollout"]["metrics"][1]["stableSamples"] == 6122
    assert shown["lastRollback"] is None


def test_flags_of_kubectl_are_passed_on_wherever_they_stand(run: Program) -> None:
    run("--context=prod", "--as", "editor", "describe", "digits", "-n", "vision", "--as-group=ml")

    for call in run.state["calls"]:
        given = {"--context=prod", "--as=editor", "--as-group=ml"}
        assert set(call) >= given
        assert {"--namespace=vision", "-n=vision"} & set(call)


def test_describe_says_where_the_seconds_of_a_start_go(run: Program) -> None:
    run.put("digits", recording("starting").manifest)
    shown = run("describe", "digits").out
    assert "\n  start  " in shown
    assert "waiting for its pods" in shown

    [call] = [call for call in run.state["calls"] if "pods,jobs" in call]
    revision = recording("starting").manifest["status"]["candidate"]["revision"]
    labels = f"slipway.dev/modeldeployment=digits,slipway.dev/revision={revision}"
    assert f"--selector={labels}" in call


def test_describe_says_for_how_long_a_version_has_been_packaged(run: Program) -> None:
    run.put("digits", recording("packaging").manifest)
    began = {"creationTimestamp": "2026-11-21T12:00:00Z"}
    run.change(children=[{"kind": "Job", "metadata": began}])
    shown = run("describe", "digits").out
    assert "\n  start  " in shown
    assert "packaging" in shown.partition("\n  start  ")[2].partition("\n")[0]

    [call] = [call for call in run.state["calls"] if "pods,jobs" in call]
    assert "--selector=slipway.dev/modeldeployment=digits,slipway.dev/component=package" in call


def test_describe_names_what_of_a_start_may_not_be_read(run: Program) -> None:
    run.put("digits", recording("starting").manifest)
    run.change(hides='jobs.batch is forbidden: User "viewer" cannot list resource')
    assert "\n  start  not shown: " in run("describe", "digits").out


def test_every_flag_that_chooses_a_cluster_or_a_user_is_passed_on(run: Program) -> None:
    values = {
        "--certificate-authority": "ca.crt",
        "--client-certificate": "me.crt",
        "--client-key": "me.key",
        "--cluster": "prod",
        "--server": "https://10.0.0.1:6443",
        "--tls-server-name": "prod",
        "--token": "t",
        "--user": "me",
        "--username": "me",
        "--password": "p",
        "--as-user-extra": "team=ml",
    }
    given = [f"{name}={value}" for name, value in values.items()]

    run("describe", "digits", *given)
    assert all(set(call) >= set(given) for call in run.state["calls"])

    run.change(calls=[])
    run("describe", "digits", "-s", values["--server"])
    assert all("--server=https://10.0.0.1:6443" in call for call in run.state["calls"])


def test_commands_to_paste_are_quoted_for_a_shell(run: Program) -> None:
    run.put("digits", recording("awaiting-approval").manifest)
    shown = run("describe", "digits", "--as=system:a b", "--password=p").out

    assert "kubectl slipway approve digits -n vision '--as=system:a b'\n" in shown


def test_commands_to_paste_have_the_flags_that_were_given_but_no_secret(run: Program) -> None:
    run.put("digits", recording("awaiting-approval").manifest)
    shown = run("describe", "digits", "--context=prod", "--as=editor", "--token=s3cret").out

    assert "kubectl slipway approve digits -n vision --context=prod --as=editor\n" in shown
    assert "s3cret" not in shown


def test_the_programs_that_are_installed_exist() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {"kubectl-slipway", "kubectl_complete-slipway"} <= scripts.keys()
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_a_name_that_is_nearly_right_is_guessed(run: Program) -> None:
    done = run("describe", "digts")

    assert done.code == 6
    assert done.err == (
        "error: ModelDeployment 'digts' not found in namespace vision; did you mean 'digits'?\n"
        "  try: kubectl slipway get -n vision\n"
    )


def test_errors_are_json_where_json_is_asked_for(run: Program) -> None:
    done = run("describe", "digts", "--json")
    assert done.out == ""
    assert json.loads(done.err)["error"]["code"] == 6


def test_wrong_usage_is_json_too(run: Program) -> None:
    for words in (("get", "--colour=blue"), ("describe",), ("nonsense",), ("get", "digits", "-A")):
        done = run(*words, "--json")
        error = json.loads(done.err)["error"]
        assert (done.code, done.out, error["code"]) == (2, "", 2)
        assert error["message"]
        assert error["try"].endswith(" --help")


def test_one_by_name_and_many_by_flags_exclude_each_other(run: Program) -> None:
    for command in ("get", "watch"):
        done = run(command, "digits", "-A")
        assert done.code == 2
        assert "-A cannot be combined with the name 'digits'" in done.err
        assert "-l cannot be combined with" in run(command, "digits", "-l", "team=vision").err
    assert "calls" not in run.state


def test_watch_passes_labels_on(run: Program) -> None:
    run.change(watches=[{"says": "error: enough"}])
    run("watch", "-l", "team=vision")
    [call] = run.state["calls"]

    assert "--selector=team=vision" in call


def test_without_kubectl_it_says_so(run: Program) -> None:
    run.patch.setenv("SLIPWAY_KUBECTL", "/nowhere/kubectl")
    done = run("get")

    assert done.code == 1
    assert "cannot run kubectl (/nowhere/kubectl): No such file or directory" in done.err


def test_a_wrong_flag_is_wrong_usage(run: Program) -> None:
    assert run("get", "--colour=blue").code == 2
    assert run("nonsense").code == 2
    assert run("wait", "digits", "--for=promoted", "--timeout=soon").code == 2
    assert run("wait", "digits", "--for=luck").code == 2


def test_colours_are_for_terminals_and_for_those_who_ask(run: Program) -> None:
    assert "\x1b[32mPass" in run("describe", "digits", "--colour=always").out
    assert "\x1b" not in run("describe", "digits").out


def test_history_shows_the_newest_first(run: Program) -> None:
    run.put("digits", recording("rejected").manifest)
    rows = run("history", "digits").out.splitlines()[1:]
    assert [row.split()[2] for row in rows] == ["RolledBack", "Promoted"]
    items = json.loads(run("history", "digits", "--json").out)["items"]

    assert [item["outcome"] for item in items] == ["RolledBack", "Promoted"]


def test_of_a_first_version_nobody_reads_that_it_was_rolled_back(run: Program) -> None:
    manifest = copy.deepcopy(recording("rejected").manifest)
    manifest["status"]["history"] = [
        entry for entry in manifest["status"]["history"] if entry["outcome"] == "RolledBack"
    ]
    del manifest["status"]["stable"]
    run.put("digits", manifest)

    [row] = run("history", "digits").out.splitlines()[1:]
    [line] = [it for it in run("describe", "digits").out.splitlines() if "  history" in it]
    assert row.split()[2] == line.split()[2] == "RevisionRejected"
    [item] = json.loads(run("history", "digits", "--json").out)["items"]
    assert item["outcome"] == "RolledBack"


def an_event(uid: str, reason: str, message: str, minute: int, **fields: Any) -> dict[str, Any]:
    about = {"involvedObject": {"uid": uid}, "reason": reason, "message": message}
    at = f"2026-11-21T12:{minute:02d}:00Z"
    return {**about, "type": "Normal", "firstTimestamp": at, "lastTimestamp": at, **fields}


def test_history_shows_the_events_that_the_cluster_keeps(run: Program) -> None:
    manifest = recording("rejected").manifest
    manifest["metadata"]["uid"] = "this"
    run.put("digits", manifest)
    run.change(
        events=[
            an_event("this", "Action", "pause by ann: Done", 0, count=3),
            an_event("this", "RolledBack", "errors\x1b[2J 9/80", 1, type="Warning"),
            an_event("earlier", "Promoted", "of another object", 2),
        ]
    )
    shown = run("history", "digits", "--events").out
    rows = shown.partition("\n\n")[2].splitlines()
    assert [row.split("ago")[1].split() for row in rows[1:]] == [
        ["RolledBack", "errors", "[2J", "9/80"],
        ["3x", "Action", "pause", "by", "ann:", "Done"],
    ]
    kept = json.loads(run("history", "digits", "--events", "--json").out)
    assert [it["reason"] for it in kept["events"]] == ["RolledBack", "Action"]
    assert kept["events"][1].keys() == {"reason", "message", "type", "count", "firstAt", "at"}
    assert json.loads(run("history", "digits", "--json").out).keys() == {"items"}


def test_history_says_that_no_event_is_left(run: Program) -> None:
    assert "the cluster keeps no event of it" in run("history", "digits", "--events").out


def test_history_shows_what_pairs_of_answers_held_against_a_version(run: Program) -> None:
    manifest = recording("rejected").manifest
    last = manifest["status"]["history"][-1]
    last |= {"outcome": "RejectedByShadow", "reason": "AnswersDiffer: 9 of 80 answers differ"}
    run.put("digits", manifest)
    newest = run("history", "digits").out.splitlines()[1]
    assert "RejectedByShadow" in newest
    assert "AnswersDiffer: 9 of 80 answers differ" in newest
