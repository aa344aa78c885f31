"""Prints one table: each figure next to its target and the best of the others."""

from collections.abc import Iterable, Sequence
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
        return (self.what, _rounded(self.value), self.unit, bound, verdict, self.others)


HEAD = ("what", "measured", "unit", "target", "", "the best of the others")


def format_table(figures: Iterable[Figure]) -> list[str]:
    """Return the table as lines of text."""
    rows = [HEAD, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    text = [_line(row, widths) for row in rows]
    return [text[0], "-" * len(text[0]), *text[1:]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = {1, 3}
    cells = (
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _rounded(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
