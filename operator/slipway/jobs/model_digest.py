r"""The model digest: the same files have the same digest, wherever they came from.

It is the sha256 of the text that ``sha256sum`` prints over all regular files, in byte order of
their names: ``(cd model && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum |
sha256sum)``.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree

BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileDigest:
    """One file's content."""

    name: str
    sha256: str
    """64 hex digits."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """A tree's content."""

    files: tuple[FileDigest, ...]

    @property
    def digest(self) -> str:
        """The model digest, ``sha256:…``."""
        text = "".join(f"{file.sha256}  {file.name}\n" for file in self.files)
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def hash_tree(tree: Tree) -> TreeDigest:
    """Read every file once.

    Raises:
        JobFailure: a file cannot be read.

    """
    return TreeDigest(tuple(_hash_file(file.name, file.path) for file in tree.files))


def require_digest(tree: Tree, found: TreeDigest, expected: str | None, *, what: str) -> None:
    """Compare with the pinned digest, where there is one.

    Raises:
        JobFailure: they differ; the message has what a person needs to pin the right one.

    """
    if expected is None or expected == found.digest:
        return
    download = f"; the downloaded file has {tree.download_digest}" if tree.download_digest else ""
    raise JobFailure(
        Reason.DIGEST_MISMATCH,
        f"{what}: expected {expected}, found {found.digest} over {len(found.files)} "
        f"files{download}",
    )


def read_blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's content in blocks of a good size for hashing and sending."""
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _hash_file(name: str, path: Path) -> FileDigest:
    hasher = hashlib.sha256()
    size = 0
    try:
        for block in read_blocks(path):
            hasher.update(block)
            size += len(block)
    except PermissionError as error:
        raise JobFailure(
            Reason.SOURCE_REFUSED, f"source: {name!r} cannot be read by user {os.getuid()}"
        ) from error
    return FileDigest(name, hasher.hexdigest(), size)
