"""The terminal while a screen is redrawn in place; afterwards it is as it was before."""

import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from slipway.cli.session import NARROWEST, Session
from slipway.cli.text import Line, clip_line, paint_screen

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The alternate screen, no cursor, and no wrapping of wide rows."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
SIGNALLED = 128
"""Exit codes of programs that a signal ended, as shells count them."""
HOME, END_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"


@dataclass(slots=True)
class Canvas:
    """The terminal while this program draws on it."""

    session: Session
    last: Sequence[Line] = field(default=())
    """What is left on the ordinary screen at the end."""

    @property
    def width(self) -> int:
        """Columns at this moment: people resize."""
        return max(NARROWEST, shutil.get_terminal_size().columns)

    def draw(self, screen: Sequence[Line]) -> None:
        """Draw over what was there, without flicker; what does not fit is left out."""
        self.last = screen
        width, height = shutil.get_terminal_size()

        fitting = [clip_line(row, width) for row in screen]
        rows = paint_screen(fitting, colours=self.session.colours).splitlines()
        if len(rows) >= height:
            rows = [*rows[: height - 2], f"… {len(rows) - height + 2} more lines"]

        body = "".join(f"{row}{END_OF_LINE}\n" for row in rows)
        sys.stdout.write(f"{HOME}{body}{REST}")
        sys.stdout.flush()


@contextmanager
def open_canvas(session: Session) -> Iterator[Canvas]:
    """Take the alternate screen; give it back, and leave the last drawing behind."""
    drawn = Canvas(session)
    sys.stdout.write(ENTER)
    try:
        yield drawn
    finally:
        with suppress(OSError):  # the terminal itself may be gone
            sys.stdout.write(LEAVE)
            session.show(drawn.last)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """End the program in order at a signal: no kubectl and no alternate screen is left behind.

    What nohup ignores stays ignored.
    """
    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, _exit_on_signal) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_on_signal(number: int, _frame: object) -> None:
    raise SystemExit(SIGNALLED + number)
