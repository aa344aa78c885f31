"""What the routes answer: streams of typed models, and actions by the command line's own code."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from slipway.api.names import ANNOTATION_ACTION, ANNOTATION_ACTION_REASON
from slipway.cli.main import ACTIONS

from tests.unit.cli.dashboard.conftest import Opened
from tests.unit.cli.recordings import recording

DIGITS = "vision", "digits"


async def next_of(updates: AsyncIterator[str], name: str) -> Any:
    """Return the next event of a name."""
    async with asyncio.timeout(20):
        async for text in updates:
            kind, data = text.strip().split("\n")
            if kind == f"event: {name}":
                return json.loads(data.removeprefix("data: "))
    raise AssertionError(f"the stream ended before {name}")


async def test_the_table_is_sent_whole_and_then_what_changes(opened: Opened) -> None:
    async with aclosing(opened.dashboard._fleet_updates()) as updates:
        first = await next_of(updates, "fleet")
        other = copy.deepcopy(recording("awaiting-approval").manifest)
        other["metadata"]["name"] = "faces"
        opened.tell(other)
        second = await next_of(updates, "fleet")
        opened.tell(other, deleted=True)
        third = await next_of(updates, "fleet")

    assert [row["name"] for row in first["rows"]] == ["digits"]
    assert (first["isWhole"], first["user"], first["scope"]) == (True, "editor", "all namespaces")
    assert [(row["name"], row["group"]) for row in second["rows"]] == [("faces", "person")]
    assert (second["isWhole"], third["gone"]) == (False, [["vision", "faces"]])


async def test_a_rollout_is_sent_with_what_happens_next_and_again_when_it_changes(
    opened: Opened,
) -> None:
    async with aclosing(opened.dashboard._rollout_updates(DIGITS)) as updates:
        first = await next_of(updates, "rollout")
        following = await next_of(updates, "next")
        opened.tell(recording("awaiting-approval").manifest)
        second = await next_of(updates, "rollout")

    assert first["stage"] == {"text": "Progressing", "tone": "accent"}
    assert "a Fail rolls back at once" in following["next"]
    assert second["stage"]["text"] == "AwaitingApproval"


async def test_a_page_of_what_is_deleted_says_so(opened: Opened) -> None:
    async with aclosing(opened.dashboard._rollout_updates(DIGITS)) as updates:
        await next_of(updates, "rollout")
        opened.tell(recording("progressing").manifest, deleted=True)

        assert await next_of(updates, "gone") == {}


async def test_an_outage_is_told_to_every_page(opened: Opened) -> None:
    async with aclosing(opened.dashboard._fleet_updates()) as updates:
        await next_of(updates, "fleet")
        opened.fleet.note_outage("disconnected since 12:00:00 UTC")

        assert (await next_of(updates, "fleet"))["outage"] == "disconnected since 12:00:00 UTC"


def test_an_action_is_the_command_lines_with_its_reason(opened: Opened) -> None:
    opened.program.change(answers=["Done"])
    answer = opened.act("abort", reason="  the answers look\nwrong ")

    assert answer.json() == {"result": "Done", "text": "abort by editor: Done"}
    assert opened.program.annotations[ANNOTATION_ACTION].startswith("abort@6b04114e/1#")
    number = opened.program.annotations[ANNOTATION_ACTION].rpartition("#")[2]
    reason = opened.program.annotations[ANNOTATION_ACTION_REASON]
    assert reason == f"the answers look wrong#{number}"


@pytest.mark.parametrize("reason", ["x" * 1025, ["a list"], {"text": "x"}, 7, None])
def test_a_reason_that_is_too_long_or_no_text_asks_for_nothing(
    opened: Opened, reason: object
) -> None:
    opened.program.change(answers=["Done"])
    answer = opened.act("abort", reason=reason)

    assert answer.status_code == 422
    assert all("annotate" not in call for call in opened.program.state.get("calls", ()))


def test_a_reason_goes_with_its_action(opened: Opened) -> None:
    opened.program.change(answers=["Done", "Done"])
    opened.act("pause", reason="lunch")
    opened.act("resume")

    assert ANNOTATION_ACTION_REASON not in opened.program.annotations


def test_a_refusal_says_why_and_what_to_try(opened: Opened) -> None:
    opened.program.change(answers=["Refused: no step is waiting for approval"])
    answer = opened.act("approve")

    assert answer.status_code == 409
    assert answer.json() == {
        "code": 5,
        "message": "approve was refused: no step is waiting for approval",
        "try": "kubectl slipway describe digits -n vision",
    }


@pytest.mark.parametrize(
    ("verb", "seen", "status"),
    [
        ("approve", "6b04114e/0", 409),
        ("skip", "6b04114e/0", 409),
        ("promote", "00000000/1", 409),
        ("promote", "6b04114e/0", 200),
        ("pause", "", 200),
    ],
)
def test_what_was_seen_is_what_is_meant(opened: Opened, verb: str, seen: str, status: int) -> None:
    opened.program.change(answers=["Done"])
    assert opened.act(verb, position=seen).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{",
        b'{"namespace": "vision", "name": "digits", "verb": "abort", "extra": 1}',
        b'{"namespace": "vision", "name": "digits"}',
        b'{"namespace": 1, "name": "digits", "verb": "abort"}',
    ],
)  # fmt: skip
def test_a_request_that_is_not_understood_does_nothing(opened: Opened, body: bytes) -> None:
    assert opened.client.post("/api/actions", content=body).status_code == 422


@pytest.mark.parametrize(
    ("name", "verb"), [("nobody", "abort"), ("digits", "delete"), ("digits", "--as=admin")]
)
def test_there_are_no_other_actions_and_objects(opened: Opened, name: str, verb: str) -> None:
    assert opened.act(verb, name=name).status_code == 404
    assert not [call for call in opened.program.state.get("calls", []) if "annotate" in call]


def test_rights_are_the_clusters_own_answer(opened: Opened) -> None:
    opened.program.change(rights=["patch", "create approve"])
    found = opened.dashboard.rights.find("vision")

    assert [verb for verb in ACTIONS if not found[verb]] == ["approve"]
    assert found["abort"] == "needs the right to create modeldeployments/abort in namespace vision"


def test_who_may_only_look_is_told_which_right_is_missing(opened: Opened) -> None:
    opened.program.change(rights=[])
    found = opened.dashboard.rights.find("vision")

    assert found["approve"] == "needs the right to patch modeldeployments in namespace vision"
