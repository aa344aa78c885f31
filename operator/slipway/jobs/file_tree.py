"""Files as they come out of a source: relative names, and where each lies now."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from slipway.api.reasons import Reason
from slipway.errors import JobFailure

MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
WHITEOUT = ".wh."
"""Prefix that deletes files of lower layers when it stands in an image."""
MODEL_DIRECTORY_SUFFIXES = (".onnx", ".savedmodel")
"""Directories that are a model themselves; entering them would lose their name."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One regular file."""

    name: str
    """Relative, with slashes."""
    path: Path


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a model or golden set, in byte order of their names."""

    files: tuple[TreeFile, ...]
    download_digest: str | None = None
    """sha256 of the downloaded file, where the source is one file."""
    is_private: bool = False
    """True where nobody else can change the files, and they may be moved."""

    def __getitem__(self, name: str) -> Path:
        """Return where the file lies; KeyError where there is none of that name."""
        for file in self.files:
            if file.name == name:
                return file.path
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return tuple(file.name for file in self.files)


def make_tree(
    files: Iterable[TreeFile], download_digest: str | None = None, *, is_private: bool = False
) -> Tree:
    """Return the tree below single top directories, in byte order.

    Source archives often wrap their content in a directory; it says nothing, so it is entered. A
    directory that is a number (a model version) or a model itself stays.
    """
    entries = sorted(files, key=lambda file: file.name.encode())
    while (top := _single_top(entries)) is not None:
        entries = [TreeFile(file.name[len(top) + 1 :], file.path) for file in entries]
    return Tree(tuple(entries), download_digest, is_private)


def walk_files(root: Path, *, skip: frozenset[str] = frozenset()) -> Iterator[TreeFile]:
    """Yield the regular files below `root`; `skip` names entries of the top that are left out.

    Raises:
        JobFailure: a link, a device, a name that is not allowed, or something unreadable.

    """
    for here, folders, files in os.walk(root, onerror=_refuse_unreadable):
        folder = Path(here)
        if folder == root:
            folders[:] = [name for name in folders if name not in skip]
        for name in [*folders, *files]:
            path = folder / name
            relative = path.relative_to(root).as_posix()
            _require_plain(relative, path)
            if name in files:
                yield TreeFile(relative, path)


def name_problem(name: str) -> str | None:
    """Say what is wrong with a relative file name from outside; None where nothing is."""
    parts = PurePosixPath(name).parts
    if name.startswith("/"):
        return "is absolute"
    if ".." in parts:
        return "climbs out with '..'"
    if not parts:
        return "is empty"
    if any(part.startswith(WHITEOUT) for part in parts):
        return f"starts with {WHITEOUT!r}, which deletes files in an image"
    if "\\" in name or any(not character.isprintable() for character in name):
        return "holds a backslash or a character that does not print"
    if (
        len(name.encode()) > MAX_NAME_BYTES
        or max(len(part.encode()) for part in parts) > MAX_PART_BYTES
    ):
        return f"is longer than {MAX_NAME_BYTES} bytes, or {MAX_PART_BYTES} between slashes"
    return None


def _single_top(files: list[TreeFile]) -> str | None:
    tops = {file.name.partition("/")[0] for file in files}
    if len(tops) != 1 or any("/" not in file.name for file in files):
        return None
    (top,) = tops
    return None if top.isdigit() or top.endswith(MODEL_DIRECTORY_SUFFIXES) else top


def _require_plain(relative: str, path: Path) -> None:
    problem = name_problem(relative)
    if problem is None and path.is_symlink():
        problem = "is a symbolic link; expected files and directories only"
    elif problem is None and not (path.is_dir() or path.is_file()):
        problem = "is a device, pipe or socket; expected files and directories only"
    if problem is not None:
        raise JobFailure(Reason.SOURCE_REFUSED, f"source: {relative!r} {problem}")


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise JobFailure(
        Reason.SOURCE_REFUSED,
        f"source: {error.filename} cannot be read by user {os.getuid()}: {error.strerror}",
    ) from error
