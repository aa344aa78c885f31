"""Lines of styled text: views make them, the terminal shows them. Widths count columns."""

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import accumulate


class Style(Enum):
    """What a piece of text means; the value is the terminal's code for it."""

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


def make_line(*values: Value) -> Line:
    """Return a line of these pieces, one after the other."""
    return tuple(value if isinstance(value, Cell) else Cell(value) for value in values)


def paint_screen(screen: Iterable[Line], *, colours: bool) -> str:
    """Return the text of a screen; without colours it is plain."""
    return "".join(
        "".join(_paint_cell(cell, colours) for cell in row).rstrip() + "\n" for row in screen
    )


def _paint_cell(cell: Cell, colours: bool) -> str:
    if not colours or not cell.style.value or not cell.text.strip():
        return cell.text
    return f"\x1b[{cell.style.value}m{cell.text}\x1b[0m"


def text_width(text: str) -> int:
    """Return how many columns of a terminal the text takes: 2 for a wide character."""
    return len(text) if text.isascii() else sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def screen_width(screen: Iterable[Line]) -> int:
    """Return the columns of the widest line."""
    return max((sum(text_width(cell.text) for cell in row) for row in screen), default=0)


def cut_text(text: str, width: int) -> str:
    """Return the text in at most `width` columns."""
    return text if text_width(text) <= width else fitting_prefix(text, width - 1) + "…"


def fitting_prefix(text: str, width: int) -> str:
    """Return as much of the text as fits."""
    if text.isascii():
        return text[: max(0, width)]
    ends = accumulate(_char_width(char) for char in text)
    return text[: sum(1 for end in ends if end <= width)]


def clip_line(row: Line, width: int) -> Line:
    """Return the line in at most `width` columns."""
    before = accumulate((text_width(cell.text) for cell in row), initial=0)
    return tuple(
        replace(cell, text=cut_text(cell.text, width - used))
        for cell, used in zip(row, before, strict=False)
        if used < width
    )


def pad_text(text: str, width: int, *, to_right: bool = False) -> str:
    """Return the text with as many spaces as it lacks."""
    spaces = " " * (width - text_width(text))
    return spaces + text if to_right else text + spaces


def wrap_lines(
    text: str, width: int, *, indent: int = 2, first: str = "", style: Style = Style.PLAIN
) -> Screen:
    """Return the text on as many lines as it needs; `first` stands in the first one's indent."""
    start = pad_text(first, indent)
    return tuple(
        make_line(start if number == 0 else " " * indent, Cell(part, style))
        for number, part in enumerate(fold_text(text, max(20, width - indent)))
    )


def fold_text(text: str, width: int) -> list[str]:
    """Return the text in parts of at most `width` columns, broken at spaces where there are any."""
    if text.isascii():
        return textwrap.wrap(text, width, break_on_hyphens=False) or [""]

    parts = [""]
    for word in re.findall(r"\s+|\S+", text):
        rest = word

        if text_width(parts[-1] + rest) > width and text_width(rest) <= width:
            parts.append("")

        # a word that no line can hold is broken
        while text_width(parts[-1] + rest) > width:
            fitting = fitting_prefix(rest, width - text_width(parts[-1]))
            parts[-1] += fitting
            parts.append("")
            rest = rest[len(fitting) :]

        parts[-1] += rest if parts[-1] or not rest.isspace() else ""

    return [part.rstrip() for part in parts if part.strip()] or [""]


def make_table(
    headings: Sequence[str], rows: Sequence[Sequence[Value]], *, indent: int = 0, width: int = WIDE
) -> Screen:
    """Return aligned columns; a heading that begins with ``>`` aligns to the right.

    The last column is cut to what the width leaves.
    """
    names = [name.lstrip(">") for name in headings]
    right = [name.startswith(">") for name in headings]
    cells = [[value if isinstance(value, Cell) else Cell(value) for value in row] for row in rows]
    top = [Cell(name, Style.DIM) for name in names]

    widths = [max(text_width(row[n].text) for row in [top, *cells]) for n in range(len(headings))]
    room = width - indent - sum(widths[:-1]) - 2 * (len(headings) - 1)
    widths[-1] = max(min(widths[-1], room), 1)

    return tuple(_table_row(row, widths, right, indent) for row in [top, *cells])


def _table_row(
    row: Sequence[Cell], widths: Sequence[int], right: Sequence[bool], indent: int
) -> Line:
    pieces = [Cell(" " * indent)]
    for number, (cell, width, to_right) in enumerate(zip(row, widths, right, strict=True)):
        text = cut_text(cell.text, width)
        pieces += [Cell("  ")] if number else []
        pieces.append(Cell(pad_text(text, width, to_right=to_right), cell.style))
    return tuple(pieces)
