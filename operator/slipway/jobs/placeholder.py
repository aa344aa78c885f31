"""Files that stand where a model should be: git-lfs pointers, login pages and error messages.

Stores hand them out with status 200. Servers would fail to load them, which would look like the
model's fault.
"""

import re
from pathlib import Path

from slipway.jobs.sources.archive import is_archive
from slipway.render.model_formats import BINARY_SUFFIXES

HEAD_BYTES = 1024
SHOWN_BYTES = 60
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
LFS_SIZE = re.compile(rb"^size (\d+)$", re.MULTILINE)
HTML_STARTS = (b"<!doctype html", b"<html")
HTML_TITLE = re.compile(rb"<title[^>]*>([^<]{1,80})", re.IGNORECASE)
HTML_SUFFIXES = (".html", ".htm")


def describe_lfs_pointer(path: Path) -> str | None:
    """Return what is wrong with a file that is a git-lfs pointer; None where it is none."""
    head = _read_head(path)
    if not head.startswith(LFS_POINTER):
        return None

    size = LFS_SIZE.search(head)
    expected = f"the file of {size[1].decode()} bytes" if size else "the file"
    return f"found a git-lfs pointer, expected {expected} that it names: run `git lfs pull`"


def describe_placeholder(path: Path, name: str) -> str | None:
    """Return what a file is instead of the model or archive that its name says; None if it is it.

    Args:
        path: where the file lies.
        name: its name at the source, whose suffix says what is expected.

    """
    pointer = describe_lfs_pointer(path)
    if pointer is not None:
        return pointer

    head = _read_head(path)
    start, lower = head.lstrip(), name.lower()
    if start.lower().startswith(HTML_STARTS) and not lower.endswith(HTML_SUFFIXES):
        title = HTML_TITLE.search(head)
        titled = f" titled {_show(title[1])}" if title else ""
        return f"found an HTML page{titled}, expected {name}: does the address ask for a login?"

    is_binary = lower.endswith(BINARY_SUFFIXES) or is_archive(name)
    if is_binary and start.startswith((b"<", b"{")) and _is_text(head):
        return f"found text that begins with {_show(start)}, expected {name}"
    return None


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except PermissionError:
        return b""  # hashing the files says so


def _is_text(data: bytes) -> bool:
    text = data.decode("utf-8", errors="ignore")
    return len(text.encode()) + 3 >= len(data) and all(
        character.isprintable() or character.isspace() for character in text
    )


def _show(data: bytes) -> str:
    return repr(" ".join(data[:SHOWN_BYTES].decode("utf-8", errors="replace").split()))
