"""The cache of Fetch mode: models that pods of this node, or of this claim, have fetched before.

An entry is named by its model digest and proves itself: it has the list of which the digest is the
sha256, and every file is hashed while it is copied out. Whatever a crash or another pod left there
is never served. The cache only saves time, so nothing about it makes a fetch fail.
"""

import fcntl
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from slipway.api.names import USED_SUFFIX
from slipway.jobs.file_tree import Tree, TreeFile, name_problem
from slipway.jobs.model_digest import FileDigest, TreeDigest, read_blocks
from slipway.jobs.sources.archive import make_empty_directory

log = logging.getLogger(__name__)

LIST = "sha256sums"
"""What ``sha256sum`` prints for the files; its own sha256 is the model digest."""
FILES = "files"
LOCK_SUFFIX, PART_SUFFIX = ".lock", ".part"
MAX_LIST_BYTES = 200 * 2**20


class _Unusable(Exception):
    """An entry is not what its name says."""


@dataclass(frozen=True, slots=True)
class ModelCache:
    """A directory that pods share."""

    root: Path
    max_bytes: int
    """Size of all models in it; those that were used longest ago go first, and none whose pod runs:
    `slipway.jobs.hold` has a lock on its file beside the entry."""

    @contextmanager
    def hold(self, digest: str) -> Iterator[None]:
        """Keep other pods from fetching the same model, or removing it, at the same time.

        The lock ends with the process, whatever becomes of it. Where the file system has no locks,
        two pods may fetch the same: that costs time, and harms nothing.
        """
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(self._lock_file(digest).open("a"))
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                log.warning("the cache cannot be locked: %s", error)
            yield

    def take(self, digest: str, into: Path) -> tuple[Tree, TreeDigest] | None:
        """Return a copy of the model in the directory `into`; None where there is none.

        An entry that was damaged or changed is removed.
        """
        entry = self._entry(digest)
        if not (entry / LIST).is_file():
            return None
        try:
            return self._copy_out(entry, digest, make_empty_directory(into))
        except _Unusable as problem:
            log.warning("removing %s from the cache: %s", digest, problem)
            shutil.rmtree(entry, ignore_errors=True)
        except OSError as error:
            log.warning("the cache cannot be read: %s", error)
        make_empty_directory(into)
        return None

    def put(self, tree: Tree, found: TreeDigest) -> None:
        """Keep a model that was fetched and verified, if there is room."""
        entry = self._entry(found.digest)
        part = entry.with_name(f"{entry.name}{PART_SUFFIX}")
        try:
            self._remove_remains()
            if entry.exists() or not self._make_room(found.size, keep=entry):
                return
            _write_entry(tree, found, make_empty_directory(part))
            # Only a whole entry gets its name; what a crash leaves is a part.
            part.rename(entry)
            _flush(self.root)
        except OSError as error:
            log.warning("the model is not kept in the cache: %s", error)
            shutil.rmtree(part, ignore_errors=True)

    def _copy_out(self, entry: Path, digest: str, into: Path) -> tuple[Tree, TreeDigest]:
        listed = _read_list(entry / LIST, digest)
        files = []
        for name, sha256 in listed:
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            size, got = _copy(entry / FILES / name, target)
            if got != sha256:
                raise _Unusable(f"{name!r} has sha256 {got}, expected {sha256}")
            files.append((TreeFile(name, target), FileDigest(name, got, size)))

        os.utime(entry / LIST)
        tree = Tree(tuple(file for file, _ in files), is_private=True)
        return tree, TreeDigest(tuple(found for _, found in files))

    def _make_room(self, size: int, keep: Path) -> bool:
        """Remove what was used longest ago until there is room; return whether there is."""
        if size > self.max_bytes:
            log.info("the model is larger than the cache (%d bytes)", self.max_bytes)
            return False

        entries = []
        for path in self.root.iterdir():
            with suppress(OSError):  # another pod may remove it meanwhile
                entries.append(((path / LIST).stat().st_mtime, _size_of(path), path))
        entries.sort()
        total = sum(taken for _, taken, _ in entries)
        for _, taken, path in entries:
            if total + size <= self.max_bytes:
                break
            if path != keep and self._remove_unless_held(path, LOCK_SUFFIX, USED_SUFFIX):
                total -= taken
        return total + size <= self.max_bytes

    def _remove_remains(self) -> None:
        """Remove what pods left that ended while they wrote."""
        for path in self.root.glob(f"*{PART_SUFFIX}"):
            self._remove_unless_held(path, LOCK_SUFFIX)

    def _remove_unless_held(self, path: Path, *locks: str) -> bool:
        """Remove an entry or a part; `locks` are the suffixes of the files that nobody may hold."""
        name = path.name.removesuffix(PART_SUFFIX)
        try:
            with ExitStack() as stack:
                for suffix in locks:
                    file = stack.enter_context((self.root / f"{name}{suffix}").open("a"))
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # First it loses its name, so that half of it is never taken for the whole.
                gone = self.root / f"{name}{PART_SUFFIX}"
                if path != gone:
                    shutil.rmtree(gone, ignore_errors=True)
                    path.rename(gone)
                shutil.rmtree(gone)
        except OSError as error:
            log.info("%s stays in the cache: %s", path.name, error)
            return False
        return True

    def _entry(self, digest: str) -> Path:
        return self.root / digest.removeprefix("sha256:")

    def _lock_file(self, digest: str) -> Path:
        return self.root / f"{digest.removeprefix('sha256:')}{LOCK_SUFFIX}"


def _read_list(path: Path, digest: str) -> list[tuple[str, str]]:
    """Return names and digests of the files, after proving that the list is the digest's."""
    if path.stat().st_size > MAX_LIST_BYTES:
        raise _Unusable("its list is too long")
    data = path.read_bytes()
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if found != digest:
        raise _Unusable(f"its list has the digest {found}")

    lines = [line.partition("  ") for line in data.decode().splitlines()]
    if any(name_problem(name) is not None for _, _, name in lines):
        raise _Unusable("its list has a forbidden name")
    return [(name, sha256) for sha256, _, name in lines]


def _write_entry(tree: Tree, found: TreeDigest, folder: Path) -> None:
    for file, digest in zip(tree.files, found.files, strict=True):
        target = folder / FILES / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(file.path, target)
        if target.stat().st_size != digest.size:
            raise OSError(f"{file.name!r} changed while it was copied")
    list_ = folder / LIST
    list_.write_text(found.text)
    _flush(list_)
    _flush(folder)


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file to disk; return its size, and the sha256 of what was read."""
    hasher, size = hashlib.sha256(), 0
    try:
        with target.open("wb") as file:
            for block in read_blocks(source):
                hasher.update(block)
                file.write(block)
                size += len(block)
    except FileNotFoundError as error:
        raise _Unusable(f"{error.filename} is missing") from error
    return size, hasher.hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size_of(entry: Path) -> int:
    return sum(path.stat().st_size for path in (entry / FILES).rglob("*") if path.is_file())
