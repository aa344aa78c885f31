"""Texts of others, made fit for a line of a terminal, a log or a status."""


def printable(text: str) -> str:
    """Return the text on one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)
