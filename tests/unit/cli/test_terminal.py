"""The terminal while `watch` has it: drawn in place, cut to its height, given back."""

import os

import pytest
from slipway.cli.kubectl import Kubectl
from slipway.cli.session import Session
from slipway.cli.terminal import ENTER, HOME, LEAVE, REST, canvas
from slipway.cli.text import line

SCREEN = [line(f"row {number}") for number in range(20)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    size = os.terminal_size((80, 10))
    monkeypatch.setattr("slipway.cli.terminal.shutil.get_terminal_size", lambda: size)


def test_a_screen_is_drawn_over_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with canvas(Session(Kubectl())) as drawn:
        capsys.readouterr()
        drawn.draw(SCREEN)
        shown = capsys.readouterr().out
    assert shown.startswith(f"{HOME}row 0")
    assert shown.endswith(f"… 12 more lines\x1b[K\n{REST}")
    assert shown.count("\n") == 9, "one less than the terminal has, so that it never scrolls"


def test_the_last_screen_stays_whole_when_the_terminal_is_given_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        draw_and_interrupt()
    shown = capsys.readouterr().out
    assert shown.startswith(ENTER)
    assert shown.rpartition(LEAVE)[2] == "".join(f"row {number}\n" for number in range(20))


def draw_and_interrupt() -> None:
    with canvas(Session(Kubectl())) as drawn:
        drawn.draw(SCREEN)
        raise KeyboardInterrupt
