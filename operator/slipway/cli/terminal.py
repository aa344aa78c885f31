"""A screen of the terminal that is drawn again and again in place, and left as it was found."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from slipway.cli.session import NARROWEST, Session
from slipway.cli.text import Line, paint

ENTER = "\x1b[?1049h\x1b[?25l"
LEAVE = "\x1b[?25h\x1b[?1049l"
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
        rows = paint(screen, colours=self.session.colours).splitlines()
        height = shutil.get_terminal_size().lines
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
        sys.stdout.write(LEAVE)
        session.show(drawn.last)
