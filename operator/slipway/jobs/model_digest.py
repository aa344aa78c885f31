r"""The model digest: the same files have the same digest, whatever source they came from.

It is the sha256 of what ``sha256sum`` prints for all regular files, in byte order of their names:
``(cd model && find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)``.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree

BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileDigest:
    """The digest of one file."""

    name: str
    sha256: str
    """64 hex digits."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """The digests of all files of a tree."""

    files: tuple[FileDigest, ...]

    @property
    def digest(self) -> str:
        """The model digest, ``sha256:…``."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    @property
    def text(self) -> str:
        """What ``sha256sum`` prints for the files."""
        return "".join(f"{file.sha256}  {file.name}\n" for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


def hash_tree(tree: Tree, known: Mapping[str, str] | None = None) -> TreeDigest:
    """Return the digests of all files; reads every file once, but for those in `known`.

    Raises:
        JobFailure: SourceRefused for a file that is not readable, SourceChanged for one that is not
            what its store promises.

    """
    hashed = known or {}
    found = TreeDigest(
        tuple(
            FileDigest(file.name, hashed[file.name], file.path.stat().st_size)
            if file.name in hashed
            else _hash_file(file.name, file.path)
            for file in tree.files
        )
    )
    for file, digest in zip(tree.files, found.files, strict=True):
        if file.sha256 is not None and file.sha256 != digest.sha256:
            raise JobFailure(
                Reason.SOURCE_CHANGED,
                f"source: {file.name!r} has sha256 {digest.sha256}, its store promises "
                f"{file.sha256}",
                transient=True,
            )
    return found


def require_digest(tree: Tree, found: TreeDigest, expected: str | None, *, what: str) -> None:
    """Compare the digest with the pinned one; None accepts any.

    Raises:
        JobFailure: DigestMismatch; the message has what a person needs to pin the right one.

    """
    if expected is None or expected == found.digest:
        return

    # A common mistake is to pin the sha256 of the archive, so the message shows that one too.
    download = f"; the downloaded file has {tree.download_digest}" if tree.download_digest else ""
    raise JobFailure(
        Reason.DIGEST_MISMATCH,
        f"{what}: expected digest {expected}, found {found.digest} over {len(found.files)} "
        f"files{download}",
    )


def read_blocks(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the content of a file from `offset` on in blocks, for hashing and sending."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
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
            Reason.SOURCE_REFUSED, f"source: {name!r} is not readable for user {os.getuid()}"
        ) from error
    return FileDigest(name, hasher.hexdigest(), size)
