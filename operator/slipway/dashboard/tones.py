"""The terminal's styles as the page's tones."""

from slipway.cli.text import Cell, Style
from slipway.dashboard.models import Word

TONES = {Style.BAD: "bad", Style.GOOD: "good", Style.WARN: "warn", Style.ACCENT: "accent"}


def tone_of(cell: Cell) -> str:
    """Return what a piece of text means."""
    return TONES.get(cell.style, "plain")


def word_of(cell: Cell) -> Word:
    """Return a word with its meaning."""
    return Word(text=cell.text, tone=tone_of(cell))
