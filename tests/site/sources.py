"""Where pages of the site come from, and where a link of theirs leads there.

The pages are written for a reader of the repository: they link to files that are no pages. A site
that is read without the repository has those files, too, each folder or file as a page of its own.
"""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

PAGES = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""By file of the repository: the page of the site. The home page is docs/index.md."""
DOCS = "docs"
FILES = "files"
"""Folder of the site with files that are no pages."""
LINK = re.compile(r"(\]\()(?!#|[a-z]+:)([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
MOST_SHOWN = 64 * 1024
"""Bytes of a file that is shown; a larger one is offered for download."""
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".py": "python", ".lua": "lua", ".json": "json"}

Wanted = Callable[[str], None]


def move_links(text: str, source: str, page: str, want: Wanted) -> str:
    """Return a page's text with the links that it needs on the site.

    Args:
        text: as it is written, in Markdown.
        source: the file, from the repository's root, with slashes.
        page: the page that it becomes, from the site's root.
        want: told each file or folder that is linked and is no page, from the repository's root.

    """

    def move(found: re.Match[str]) -> str:
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        if source.startswith(f"{DOCS}/") and linked.startswith(f"{DOCS}/"):
            return found[0]
        if not linked.startswith(f"{DOCS}/") and linked not in PAGES:
            want(linked)
        return f"{found[1]}{posixpath.relpath(page_of(linked), posixpath.dirname(page))}{found[3]}"

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(move, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(move, text[end:])])


def page_of(path: str) -> str:
    """Return the page that a file or folder of the repository is on the site."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    return f"{FILES}/{path.replace('/', '-').lstrip('.')}.md"


def download_of(path: str) -> str:
    """Return the name beside its page under which a file is offered."""
    return path.replace("/", "-")


def show_files(root: Path, path: str, offer: Wanted) -> str:
    """Return the page, in Markdown, of a file or of all files in a folder.

    Args:
        root: of the repository.
        path: the file or folder, from there, with slashes.
        offer: told each file that is too large to be shown, and lies beside the page instead.

    Raises:
        FileNotFoundError: there is no such file or folder.

    """
    place = root / path
    files = sorted(it for it in place.rglob("*") if it.is_file()) if place.is_dir() else [place]
    parts = [f"---\nsearch: {{exclude: true}}\n---\n\n# {path}"]
    for file in files:
        name, text = file.relative_to(root).as_posix(), file.read_text()
        if place.is_dir():
            parts.append(f"## {name}")
        if len(text.encode()) > MOST_SHOWN:
            offer(name)
            parts.append(f"[{len(text) // 1024} KiB of text]({download_of(name)})")
        else:
            parts.append(f"````{LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n````")
    return "\n\n".join(parts) + "\n"
