"""The page of the documentation with the tables: each stands between two marks."""

import re
from collections.abc import Mapping
from pathlib import Path

from tests.bench.analysis.store import ROOT

PAGE = ROOT / "docs" / "analysis-evaluation.md"


def write_tables(page: Path, tables: Mapping[str, str]) -> None:
    """Put each table between ``<!-- name -->`` and ``<!-- /name -->``, where the page has them."""
    text = page.read_text()
    for name, made in tables.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        found = marked.search(text)
        if found is not None:
            before, after = text[: found.start()], text[found.end() :]
            text = f"{before}{found[1]}\n{made}\n\n{found[2]}{after}"
    page.write_text(text)
