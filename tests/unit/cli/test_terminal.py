"""The terminal while `watch` has it: drawn in place, cut to its height, given back."""

import os
import signal
import time

import pytest
from slipway.cli.kubectl import Kubectl
from slipway.cli.session import Flags, Session, open_session
from slipway.cli.terminal import ENTER, HOME, LEAVE, REST, exit_on_signals, open_canvas
from slipway.cli.text import cut_text, fold_text, make_line, make_table, text_width

from tests.unit.cli.recordings import plain

SCREEN = [make_line(f"row {number}") for number in range(20)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    size = os.terminal_size((80, 10))
    monkeypatch.setattr("slipway.cli.terminal.shutil.get_terminal_size", lambda: size)


def test_a_screen_is_drawn_over_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    with open_canvas(Session(Kubectl())) as drawn:
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
    with open_canvas(Session(Kubectl())) as drawn:
        drawn.draw(SCREEN)
        raise KeyboardInterrupt


def test_a_signal_gives_the_terminal_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_signals():
        draw_and_be_terminated()
    assert ended.value.code == 128 + signal.SIGTERM
    assert LEAVE in capsys.readouterr().out
    assert LEAVE.startswith("\x1b[?7h"), "long lines wrap again"


def draw_and_be_terminated() -> None:
    with open_canvas(Session(Kubectl())) as drawn:
        drawn.draw(SCREEN)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


def test_rows_are_cut_to_the_terminal_and_wide_characters_take_two_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_canvas(Session(Kubectl())) as drawn:
        capsys.readouterr()
        drawn.draw(
            [make_line("x" * 70, "数字" * 10), make_line("e\u0301" * 80), make_line("y" * 81)]
        )
        rows = capsys.readouterr().out.removeprefix(HOME).split("\x1b[K\n")[:3]
    assert rows == ["x" * 70 + "数字数字…", "e\u0301" * 80, "y" * 79 + "…"]


def test_a_dumb_terminal_is_not_drawn_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slipway.cli.session.sys.stdout.isatty", lambda: True, raising=False)
    for name, expected in (("dumb", False), ("", False), ("xterm", True)):
        monkeypatch.setenv("TERM", name)
        assert open_session(Flags()).can_redraw is expected


def test_wide_text_is_aligned_wrapped_and_cut_by_columns() -> None:
    rows = plain(make_table(("A", "B"), [("模型", "x"), ("digits", "y")])).splitlines()
    assert rows == ["A       B", "模型    x", "digits  y"]
    assert cut_text("模型模型", 7) == "模型模…"
    text = "an error in 模型 " + "数" * 25
    parts = fold_text(text, 20)

    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert max(text_width(part) for part in parts) <= 20
    assert fold_text("two  spaces é stay", 40) == ["two  spaces é stay"]
    assert fold_text("", 20) == fold_text("  ", 20) == [""]
