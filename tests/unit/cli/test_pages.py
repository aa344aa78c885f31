"""The program's commands that the pages show do what the pages say, against a kubectl of ours."""

import shlex

import pytest
from slipway.api.reasons import Reason

from tests.pages import Block, commands_run_by, consoles
from tests.unit.cli.conftest import Program
from tests.unit.cli.recordings import recording

SCREENS = ("$ kubectl slipway describe ", "$ kubectl slipway plan ")
"""What these print is held by test_recordings.py."""
SESSIONS = [
    block
    for block in consoles()
    if block.text.startswith("$ kubectl slipway ") and not block.text.startswith(SCREENS)
]


def tell(run: Program, command: str) -> str:
    """Run a command that succeeds or is refused; return all that it prints."""
    done = run(*shlex.split(command)[2:])
    assert done.code == 0 or "was refused" in done.err, done.err
    return done.out + done.err


@pytest.mark.parametrize("command", commands_run_by(__file__))
def test_a_command_of_a_page_succeeds(run: Program, command: str) -> None:
    served = recording("twice").manifest
    run.change(answers=["Done"], watches=[{"events": [served, None]}])

    said = tell(run, command)

    assert "digits" in said
    assert "refused" not in said


@pytest.mark.parametrize("block", SESSIONS, ids=lambda block: block.name)
def test_a_session_is_answered_as_the_page_shows_it(run: Program, block: Block) -> None:
    run.change(answers=["Done", f"Refused: {Reason.NOT_AWAITING_APPROVAL.meaning}"])

    shown = "".join(f"$ {command}\n{tell(run, command)}" for command in block.commands)

    assert shown == block.text
