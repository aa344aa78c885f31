"""Actions: what is asked, who asks, and what the operator's answer becomes."""

import copy
import json
import re
from dataclasses import replace

import pytest
from slipway.api.names import (
    ANNOTATION_ACTION,
    ANNOTATION_ACTION_REASON,
    ANNOTATION_REQUESTED_BY,
)
from slipway.api.reasons import Reason
from slipway.cli.action import (
    MAX_AHEAD,
    ActionRequest,
    choose_earlier_revision,
    find_result,
    request_action,
)
from slipway.cli.cli_error import CliError, ExitCode
from slipway.cli.objects import PendingAction, parse_model_deployment
from slipway.policy.action_grammar import (
    AHEAD,
    VERBS,
    parse_action,
    read_request_reason,
    to_millis,
)

from tests.builders import NOON
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import command_line, recording

REFUSED = f"Refused: {Reason.NOT_AWAITING_APPROVAL.meaning}"
LATE = {"result": "Refused: …", "reason": Reason.MEANT_FOR_ANOTHER_POSITION}
ACTIONS = ("promote", "approve", "skip", "abort", "retry", "rollback", "pause", "resume")


@pytest.mark.parametrize("verb", ACTIONS)
def test_the_operator_understands_what_is_asked(verb: str) -> None:
    argument = "0123abcd" if verb == "rollback" else ""
    asked = request_action(recording("progressing").md, verb, NOON, argument)
    read = parse_action(asked.text)

    assert read is not None
    assert (read.id, read.verb, read.argument or "") == (asked.id, verb, argument)


def test_every_action_of_the_operator_has_a_command() -> None:
    assert set(ACTIONS) >= VERBS


def test_an_action_names_the_revision_and_step_that_the_person_saw(run: Program) -> None:
    run.change(answers=["Done"])
    done = run("approve", "digits", "-n", "vision")

    assert done.code == 0
    assert re.fullmatch(r"approve@6b04114e/1#\d{13}", run.annotations[ANNOTATION_ACTION])
    assert run.annotations[ANNOTATION_REQUESTED_BY] == "editor"
    assert done.out == "vision/digits: approve at 6b04114e/1 by editor: Done\n"


def test_the_operator_reads_the_reason_that_is_given(run: Program) -> None:
    run.change(answers=[LATE, "Done"], then={"step": 2})
    assert run("abort", "digits", "--reason= wrong\nlabels, see #7 ").code == 0

    asked = parse_action(run.annotations[ANNOTATION_ACTION])
    assert asked is not None
    said = read_request_reason(run.annotations[ANNOTATION_ACTION_REASON], asked)
    assert said == "wrong labels, see #7"


def test_a_reason_that_is_too_long_asks_for_nothing(run: Program) -> None:
    done = run("abort", "digits", f"--reason={'x' * 1025}")

    assert done.code == 2
    assert "found 1,025 characters, expected at most 1,024" in done.err
    assert all("annotate" not in call for call in run.state.get("calls", ()))


def test_an_id_is_greater_than_the_last_one_whatever_the_clock_says() -> None:
    md = recording("paused").md
    assert md.last_action is not None
    asked = request_action(md, "resume", NOON.replace(year=2020), "")

    assert asked.id == md.last_action.id + 1


def test_an_id_that_the_operator_will_refuse_is_not_outbid() -> None:
    md = replace(
        recording("progressing").md, pending_action=PendingAction(9999999999999, "pause#…")
    )
    asked = request_action(md, "resume", NOON)

    assert asked.id < 9999999999999
    assert parse_action(asked.text) is not None
    assert MAX_AHEAD == AHEAD


def test_an_id_is_no_older_than_the_object_whatever_the_clock_says() -> None:
    md = replace(recording("progressing").md, created_at=NOON)
    assert request_action(md, "pause", NOON.replace(year=2020)).id > to_millis(NOON)


def test_an_id_that_did_not_count_is_an_answer_and_not_pending() -> None:
    manifest = copy.deepcopy(recording("progressing").manifest)
    refused = {"id": 9999999999999, "verb": "pause", "result": "Refused: its id is …"}
    manifest["metadata"]["annotations"] = {ANNOTATION_ACTION: "pause#9999999999999"}
    assert parse_model_deployment(manifest).pending_action is not None
    manifest["status"]["refusedAction"] = refused
    md = parse_model_deployment(manifest)
    assert md.pending_action is None
    result = find_result(md, ActionRequest("pause", 9999999999999))

    assert result is not None
    assert result.refusal == "its id is …"
    assert find_result(md, ActionRequest("pause", to_millis(NOON.replace(year=2030)))) is None


def test_a_refusal_has_its_reason_and_its_own_exit_code(run: Program) -> None:
    run.change(answers=[REFUSED])
    done = run("approve", "digits")

    assert done.code == 5
    assert done.err == (
        f"error: approve was refused: {Reason.NOT_AWAITING_APPROVAL.meaning}\n"
        "  try: kubectl slipway describe digits -n vision\n"
    )


def test_an_abort_that_came_a_step_late_is_asked_again(run: Program) -> None:
    run.change(answers=[LATE, "Done"], then={"step": 2})
    done = run("abort", "digits")

    assert done.code == 0
    assert "@6b04114e/2#" in run.annotations[ANNOTATION_ACTION]


def test_an_approval_that_came_a_step_late_is_not(run: Program) -> None:
    run.change(answers=[LATE, "Done"], then={"step": 2})

    assert run("approve", "digits").code == 5


def test_an_operator_that_does_not_answer_is_no_success(run: Program) -> None:
    done = run("pause", "digits", "--wait=0.3s")
    assert done.code == 4
    assert "the action stays" in done.err


def test_who_does_not_wait_is_told_what_was_asked(run: Program) -> None:
    done = run("pause", "digits", "--wait=0", "--json")
    assert done.code == 0
    shown = json.loads(done.out)

    assert (shown["verb"], shown["result"]) == ("pause", "Asked")


def test_an_action_that_takes_anothers_place_says_so(run: Program) -> None:
    run("pause", "digits", "--wait=0")
    run.change(answers=["Done"])

    assert "this replaces pause#" in run("abort", "digits").err


def test_rollback_means_the_revision_that_was_promoted_before() -> None:
    md = recording("twice").md
    assert md.stable is not None
    before = next(entry for entry in md.history if entry.version == "1")
    assert (
        choose_earlier_revision(md, None, command_line)
        == choose_earlier_revision(md, "1", command_line)
        == before.revision
        != md.stable.revision
    )
    assert choose_earlier_revision(md, "0123abcd", command_line) == "0123abcd"
    with pytest.raises(CliError) as problem:
        choose_earlier_revision(md, "9", command_line)

    assert problem.value.code is ExitCode.NOT_FOUND
    assert f"1 ({before.revision})" in problem.value.message


def test_rollback_in_the_middle_of_a_rollout_takes_the_candidate_back() -> None:
    assert choose_earlier_revision(recording("progressing").md, None, command_line) == ""


def test_flux_leaves_alone_what_was_asked_for(run: Program) -> None:
    """It takes away the fields of every manager whose name begins with `kubectl`."""
    run.change(answers=[LATE, "Done"], then={"step": 2})
    assert run("abort", "digits").code == 0

    words = [word for call in run.state["calls"] if "annotate" in call for word in call]
    managers = {word for word in words if word.startswith("--field-manager=")}
    assert managers
    assert not [name for name in managers if name.startswith("--field-manager=kubectl")]


def test_rollback_without_a_past_is_refused() -> None:
    with pytest.raises(CliError) as problem:
        choose_earlier_revision(recording("idle").md, None, command_line)
    assert problem.value.code is ExitCode.REFUSED


def test_rollback_to_what_runs_says_how_to_get_there(run: Program) -> None:
    back = run("rollback", "digits", "1")
    assert back.code == 5
    assert back.err == (
        "error: version 1 (3a1e3eef) is already stable; version 2 is the candidate\n"
        "  try: kubectl slipway abort digits -n vision\n"
    )
    on = run("rollback", "digits", "6b04114e")
    assert (on.code, "try: kubectl slipway promote digits" in on.err) == (5, True)
    run.put("digits", recording("idle").manifest)

    assert "try: kubectl slipway describe digits" in run("rollback", "digits", "3a1e3eef").err
    assert "try: kubectl slipway history digits" in run("rollback", "digits").err
    assert all("annotate" not in call for call in run.state["calls"])


def test_without_the_right_to_watch_the_answer_is_seen_by_looking_again(run: Program) -> None:
    says = 'Error from server (Forbidden): User "editor" cannot watch resource'
    run.change(answers=["Done"], watches=[{"away": True, "says": says}, {"says": says}])

    assert run("pause", "digits", "--wait=60s").code == 0


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(("says", "code"), [("error: enough", 1), ("i/o timeout", 4)])
def test_an_action_whose_answer_cannot_be_seen_was_written_all_the_same(
    run: Program, says: str, code: int
) -> None:
    run.change(watches=[{"away": True, "says": says}] * 200)
    done = run("pause", "digits", "--wait=10s")

    assert done.code == code
    assert done.err.startswith("error: pause was written as pause#")
    assert "try: kubectl slipway describe digits -n vision\n" in done.err


def test_one_that_is_deleted_meanwhile_has_a_next_command(run: Program) -> None:
    run.change(watches=[{"events": [None]}])
    done = run("pause", "digits", "--wait=60s")

    assert (done.code, done.err) == (
        6,
        "error: digits was deleted\n  try: kubectl slipway get -n vision\n",
    )
