"""Hooks of mkdocs: pages that lie outside docs/, and checks that a strict build does not make.

Runs in the environment of `make site`, which has mkdocs; nothing else imports it.
"""

import logging
import re
from collections import Counter
from pathlib import Path

from markdown_it import MarkdownIt
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from tests.site.sources import DOCS, FILES, PAGES, download_of, move_links, page_of, show_files

ROOT = Path(__file__).resolve().parents[2]
LOG = logging.getLogger("mkdocs.hooks.slipway")
"""Below mkdocs' own logger, so that a warning fails a strict build."""
COUNTED = ("h1", "h2", "h3", "li", "pre", "table", "tr", "img", "blockquote")
OPENED = re.compile(rf"<({'|'.join(COUNTED)})[ >]")
OUTSIDE = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*>|url\(["']?(?:https?:)?//[^)]*\)""",
    re.IGNORECASE,
)
GITHUB = MarkdownIt("commonmark", {"html": True}).enable("table")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/, and the files that any page links to."""
    wanted: set[str] = set()
    for path, page in PAGES.items():
        text = move_links((ROOT / path).read_text(), path, page, wanted.add)
        files.append(File.generated(config, page, content=text))
    for file in files.documentation_pages():
        source = f"{DOCS}/{file.src_uri}"
        if file.src_uri not in PAGES.values():
            file.content_string = move_links(file.content_string, source, file.src_uri, wanted.add)

    offered: set[str] = set()
    for path in sorted(wanted):
        try:
            text = show_files(ROOT, path, offered.add)
        except FileNotFoundError:
            LOG.warning("%s is linked and is not there", path)
            continue
        level = InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page_of(path), content=text, inclusion=level))
    for path in sorted(offered):
        name = f"{FILES}/{download_of(path)}"
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files


def on_page_content(html: str, page: Page, **_: object) -> str:
    """Compare with what GitHub makes of the same text: lists and tables have other rules there."""
    expected = count_elements(GITHUB.render(page.markdown or ""))
    found = count_elements(html)
    if expected != found:
        LOG.warning(
            "%s is read otherwise here than on GitHub: here %s, there %s",
            page.file.src_uri,
            dict(found - expected),
            dict(expected - found),
        )
    return html


def on_post_build(config: MkDocsConfig) -> None:
    """Find what a browser would load from elsewhere."""
    for file in sorted(Path(config.site_dir).rglob("*")):
        if file.suffix in {".html", ".css"}:
            for found in OUTSIDE.finditer(file.read_text()):
                LOG.warning("%s loads from elsewhere: %s", file.name, found[0][:200])


def count_elements(html: str) -> Counter[str]:
    """Return how many elements of each kind there are; code with line numbers is none."""
    return Counter(OPENED.findall(html))
