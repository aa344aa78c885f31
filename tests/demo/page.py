"""Puts the output of a real run into docs/demo.md, between two marks."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.demo.report import Report
from tests.kubectl import CLONE

PAGE = CLONE / "docs/demo.md"
BEGIN = "<!-- output: begin -->"
END = "<!-- output: end -->"


def write_page(lines: Sequence[str], report: Report, path: Path = PAGE) -> None:
    """Replace what is between the marks."""
    path.write_text(with_output(path.read_text(), lines, report))


def with_output(text: str, lines: Sequence[str], report: Report) -> str:
    """Return the page with this output in place of the old one.

    Raises:
        ValueError: the page has no marks.

    """
    head, _, rest = text.partition(BEGIN)
    _, mark, tail = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no place for the output: no '{BEGIN}' before '{END}'")
    output = "\n".join(line.rstrip() for line in lines)
    seconds = json.dumps(asdict(report.seconds))
    return f"{head}{BEGIN}\n```text\n{output}\n```\n\nSeconds: `{seconds}`\n{END}{tail}"
