"""Lines of styled text: views make them, the terminal paints them. Widths count characters."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum


class Style(Enum):
    """How a piece of text is meant; the value is the terminal's code for it."""

    PLAIN = ""
    STRONG = "1"
    DIM = "2"
    BAD = "31"
    GOOD = "32"
    WARN = "33"
    ACCENT = "36"


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a line."""

    text: str
    style: Style = Style.PLAIN


Line = tuple[Cell, ...]
Screen = tuple[Line, ...]
Value = str | Cell
WIDE = 10_000
"""Where nothing is wrapped or cut: no terminal reads it."""


def line(*values: Value) -> Line:
    """Return a line of these pieces, one after the other."""
    return tuple(value if isinstance(value, Cell) else Cell(value) for value in values)


def paint(screen: Iterable[Line], *, colours: bool) -> str:
    """Return the text of a screen; without colours it is plain."""
    return "".join(
        "".join(_painted(cell, colours) for cell in row).rstrip() + "\n" for row in screen
    )


def _painted(cell: Cell, colours: bool) -> str:
    if not colours or not cell.style.value or not cell.text.strip():
        return cell.text
    return f"\x1b[{cell.style.value}m{cell.text}\x1b[0m"


def cut(text: str, width: int) -> str:
    """Return the text in at most `width` characters."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrapped(
    text: str, width: int, *, indent: int = 2, first: str = "", style: Style = Style.PLAIN
) -> Screen:
    """Return the text on as many lines as it needs; `first` stands in the first one's indent."""
    head = first.ljust(indent)
    parts = textwrap.wrap(text, max(20, width - indent), break_on_hyphens=False) or [""]
    return tuple(
        line(head if number == 0 else " " * indent, Cell(part, style))
        for number, part in enumerate(parts)
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[Value]], *, indent: int = 0, width: int = WIDE
) -> Screen:
    """Return aligned columns; a heading that begins with ``>`` aligns to the right.

    The last column is cut to what the width leaves.
    """
    names = [name.lstrip(">") for name in head]
    right = [name.startswith(">") for name in head]
    cells = [[value if isinstance(value, Cell) else Cell(value) for value in row] for row in rows]
    top = [Cell(name, Style.DIM) for name in names]
    widths = [max(len(row[n].text) for row in [top, *cells]) for n in range(len(head))]
    room = width - indent - sum(widths[:-1]) - 2 * (len(head) - 1)
    widths[-1] = max(min(widths[-1], room), 1)
    return tuple(_row(row, widths, right, indent) for row in [top, *cells])


def _row(row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], indent: int) -> Line:
    pieces = [Cell(" " * indent)]
    for number, (cell, width, to_right) in enumerate(zip(row, widths, right, strict=True)):
        text = cut(cell.text, width)
        padded = text.rjust(width) if to_right else text.ljust(width)
        pieces += [Cell("  ")] if number else []
        pieces.append(Cell(padded, cell.style))
    return tuple(pieces)
