"""A screen of the terminal that is drawn again and again in place, and left as it was found."""

import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from slipway.cli.session import NARROWEST, Session
from slipway.cli.text import Line, clipped, paint

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other screen, no cursor, and no second row for what is too wide."""
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
SIGNALLED = 128
"""Exit codes of programs that a signal ended, as shells count them."""
HOME, END_OF_LINE, REST = "\x1b[H", "\x1b[K", "\x1b[J"


@dataclass(slots=True)
class Canvas:
    """The terminal while it is ours."""

    session: Session
    last: Sequence[Line] = field(default=())
    """What is left on the ordinary screen at the end."""

    @property
    def width(self) -> int:
        """Columns, as they are now: people resize."""
        return max(NARROWEST, shutil.get_terminal_size().columns)

    def draw(self, screen: Sequence[Line]) -> None:
        """Draw over what was there, without flicker; what does not fit is left out."""
        self.last = screen
        width, height = shutil.get_terminal_size()
        fitting = [clipped(row, width) for row in screen]
        rows = paint(fitting, colours=self.session.colours).splitlines()
        if len(rows) >= height:
            rows = [*rows[: height - 2], f"… {len(rows) - height + 2} more lines"]
        body = "".join(f"{row}{END_OF_LINE}\n" for row in rows)
        sys.stdout.write(f"{HOME}{body}{REST}")
        sys.stdout.flush()


@contextmanager
def canvas(session: Session) -> Iterator[Canvas]:
    """Take the terminal's other screen; give it back, and leave the last picture behind."""
    drawn = Canvas(session)
    sys.stdout.write(ENTER)
    try:
        yield drawn
    finally:
        with suppress(OSError):  # the terminal itself may be gone
            sys.stdout.write(LEAVE)
            session.show(drawn.last)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Make a signal that ends the program end its blocks too: no kubectl and no screen is left.

    What nohup ignores stays ignored.
    """
    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, _end) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(SIGNALLED + number)
