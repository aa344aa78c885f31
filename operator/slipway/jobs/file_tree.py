"""The files that a source has: their relative names, and the path at which each lies now."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NoReturn

from slipway.api.reasons import Reason
from slipway.errors import JobFailure

Block = bytes | memoryview
"""Some bytes of a file; a view is good only until the next one is asked for."""
ByteStream = Callable[[int], Iterator[Block]]
"""Yields the bytes of a file from an offset on; raises `CannotStream` or JobFailure."""

MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
WHITEOUT = ".wh."
"""Prefix of a file that, in an image, deletes files of lower layers."""
MODEL_DIRECTORY_SUFFIXES = (".onnx", ".savedmodel")
"""Directories that are models themselves; removing them from the path would lose their name."""

MAC_NAMES = frozenset({"__MACOSX", ".DS_Store", ".Spotlight-V100", ".Trashes", ".fseventsd"})
MAC_PREFIX = "._"
"""Prefix of a file that holds what a file system other than the Mac's cannot keep."""


class CannotStream(Exception):
    """A file that was to be read from its store must be fetched to disk; nothing is wrong."""


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One regular file."""

    name: str
    """Relative path with slashes."""
    path: Path
    sha256: str | None = None
    """64 hex digits that its store promises; None where it promises nothing."""
    stream: ByteStream | None = None
    """Reads it from its store, and `path` has its size alone; None where it lies at `path`."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a model or golden set, in byte order of their names."""

    files: tuple[TreeFile, ...]
    download_digest: str | None = None
    """``sha256:…`` of the downloaded file; None where the source is not one file."""
    origin: str | None = None
    """Address at which the same bytes are found for ever; None where the source's may change."""
    is_private: bool = False
    """True where no other program can change the files, and they may be moved."""
    confirm: Callable[[], None] | None = None
    """To be called after the last file was streamed: raises `CannotStream` unless all files were
    those of one moment."""
    version: str | None = None
    """What its store says of these bytes and of no others; None where it says nothing."""

    @property
    def streamed(self) -> tuple[TreeFile, ...]:
        """The files that do not lie here."""
        return tuple(file for file in self.files if file.stream is not None)

    def __getitem__(self, name: str) -> Path:
        """Return the path of a file.

        Raises:
            KeyError: there is no file of that name.

        """
        for file in self.files:
            if file.name == name:
                return file.path
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all files."""
        return tuple(file.name for file in self.files)


def make_tree(
    files: Iterable[TreeFile],
    download_digest: str | None = None,
    *,
    origin: str | None = None,
    is_private: bool = False,
    confirm: Callable[[], None] | None = None,
    version: str | None = None,
) -> Tree:
    """Return the tree without a single top directory, in byte order of the names.

    Archives often wrap their content in a directory whose name means nothing, so it is removed from
    the names. A directory that is a number (a model version) or a model itself stays.
    """
    entries = sorted(files, key=lambda file: file.name.encode())
    while (top := _single_top_directory(entries)) is not None:
        entries = [replace(file, name=file.name[len(top) + 1 :]) for file in entries]
    return Tree(tuple(entries), download_digest, origin, is_private, confirm, version)


def leave_out_mac_files(tree: Tree) -> tuple[Tree, list[str]]:
    """Return the tree without the files that only macOS reads, and a sentence about them if any.

    Finder and tar on a Mac add them to archives, where their owner does not see them. Without them,
    the rest may have a single top directory.
    """
    kept = [file for file in tree.files if not _is_mac_file(file.name)]
    found = [file.name for file in tree.files if _is_mac_file(file.name)]
    if not found:
        return tree, []

    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        make_tree(kept, tree.download_digest, origin=tree.origin, is_private=tree.is_private),
        [f"left out {found[0]}{more}: only macOS reads such files"],
    )


def walk_files(
    root: Path, *, skip: frozenset[str] = frozenset(), links_inside: Path | None = None
) -> Iterator[TreeFile]:
    """Yield the regular files below `root`, without the top entries named in `skip`.

    Args:
        root: the directory.
        skip: names of entries of `root` itself.
        links_inside: the directory, itself without links, in which a link may lead to anything.
            None: links are refused.

    Raises:
        JobFailure: SourceRefused for a link that is not allowed, a device, a forbidden name or an
            unreadable entry.

    """
    return _walk_folder(root, "", skip, links_inside)


def _walk_folder(
    folder: Path,
    prefix: str,
    skip: frozenset[str],
    links_inside: Path | None,
    *,
    is_linked: bool = False,
) -> Iterator[TreeFile]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        _refuse_unreadable(error)

    for entry in entries:
        if entry.name in skip:
            continue
        name = f"{prefix}{entry.name}"
        path = _require_plain(name, entry, links_inside)
        if path.is_file():
            yield TreeFile(name, path)
            continue

        # Links in what a link leads to could go in circles, or multiply a few files to millions.
        is_link = entry.is_symlink()
        if is_link and is_linked:
            raise JobFailure(
                Reason.SOURCE_REFUSED,
                f"source: {name!r} is a symbolic link to a directory, inside of another one; "
                "expected a directory",
            )
        yield from _walk_folder(
            path, f"{name}/", frozenset(), links_inside, is_linked=is_linked or is_link
        )


def name_problem(name: str) -> str | None:
    """Return what is wrong with a relative file name from outside; None where nothing is."""
    parts = PurePosixPath(name).parts
    if name.startswith("/"):
        return "is absolute; expected a relative path"
    if ".." in parts:
        return "contains '..'; expected a path inside the source"
    if not parts:
        return "is empty"

    if any(part.startswith(WHITEOUT) for part in parts):
        return f"begins with {WHITEOUT!r}, which would delete files in an image"
    if "\\" in name or any(not character.isprintable() for character in name):
        return "contains a backslash or an unprintable character"

    longest_part = max(len(part.encode()) for part in parts)
    if len(name.encode()) > MAX_NAME_BYTES or longest_part > MAX_PART_BYTES:
        return (
            f"is longer than {MAX_NAME_BYTES} bytes, or than {MAX_PART_BYTES} between two slashes"
        )
    return None


def _is_mac_file(name: str) -> bool:
    return any(part in MAC_NAMES or part.startswith(MAC_PREFIX) for part in name.split("/"))


def _single_top_directory(files: list[TreeFile]) -> str | None:
    tops = {file.name.partition("/")[0] for file in files}
    if len(tops) != 1 or any("/" not in file.name for file in files):
        return None

    (top,) = tops
    return None if top.isdigit() or top.endswith(MODEL_DIRECTORY_SUFFIXES) else top


def _require_plain(relative: str, path: Path, links_inside: Path | None) -> Path:
    """Return where a file or directory lies, after following the links that are allowed."""
    problem = name_problem(relative)
    found = path
    if problem is None and path.is_symlink():
        if links_inside is None:
            problem = "is a symbolic link; expected only files and directories"
        else:
            found, problem = _follow_link(path, links_inside)

    if problem is None and not (found.is_dir() or found.is_file()):
        problem = "is a device, pipe or socket; expected only files and directories"
    if problem is not None:
        raise JobFailure(Reason.SOURCE_REFUSED, f"source: {relative!r} {problem}")
    return found


def _follow_link(path: Path, links_inside: Path) -> tuple[Path, str | None]:
    """Return where a link leads, and what is wrong with it; None where nothing is."""
    try:
        found = path.resolve()
    except (OSError, RuntimeError):
        return path, "is a symbolic link that leads to itself"
    # Before exists(): the answer must not reveal what lies outside.
    if not found.is_relative_to(links_inside):
        return path, "is a symbolic link that leads out of the claim"
    if not found.exists():
        return path, "is a symbolic link to nothing"
    return found, None


def _refuse_unreadable(error: OSError) -> NoReturn:
    raise JobFailure(
        Reason.SOURCE_REFUSED,
        f"source: {error.filename} is not readable for user {os.getuid()}: {error.strerror}",
    ) from error
