"""Prints one table: each figure next to its target and the best of the others."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value."""

    what: str
    value: float
    unit: str
    target: float | None = None
    """The most that is promised; None: no promise."""
    others: str = "-"
    """The best of the others, measured."""
    at_least: bool = False
    """The target is the least that is promised."""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """The table's row."""
        bound = "-"
        if self.target is not None:
            bound = f"{'>=' if self.at_least else '<='} {self.target:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.is_met]
        return (self.what, rounded(self.value), self.unit, bound, verdict, self.others)


HEAD = ("what", "measured", "unit", "target", "", "the best of the others")


NUMBERS = frozenset({1, 3})
"""Columns that are aligned to the right."""


def format_table(figures: Iterable[Figure]) -> list[str]:
    """Return the table as lines of text."""
    return format_rows(HEAD, [figure.cells for figure in figures], NUMBERS)


def format_rows(
    head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Container[int]
) -> list[str]:
    """Return rows below a head as lines of text; columns of numbers are aligned to the right."""
    rows = [head, *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    text = [_line(row, widths, numbers) for row in rows]
    return [text[0], "-" * len(text[0]), *text[1:]]


def _line(row: Sequence[str], widths: Sequence[int], numbers: Container[int]) -> str:
    cells = (
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def rounded(value: float) -> str:
    """Return a number with three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
