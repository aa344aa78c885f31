"""Image layers: the same files give the same bytes, and are streamed twice but never copied.

The first pass hashes, the second one sends. Layers are not compressed: weights hardly shrink, and
compressed bytes would differ between versions of zlib.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.model_digest import read_blocks
from slipway.jobs.package.python_environment import file_mode

FOLDER_MODE = 0o755
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file of a layer."""

    target: str
    """Absolute path in the image without the leading slash."""
    content: Path | bytes
    size: int
    """Bytes."""
    sha256: str | None = None
    """Digest that the content must have, 64 hex digits; None where nothing can change it."""


def make_text_file(target: str, text: str) -> LayerFile:
    """Return a file with the given text."""
    data = text.encode()
    return LayerFile(target, data, len(data))


@dataclass(frozen=True, slots=True)
class Layer:
    """An uncompressed tar that is made while it is read; a `registry.blob.Blob`."""

    files: tuple[LayerFile, ...]
    folders: tuple[str, ...]
    """All directories."""
    size: int
    """Bytes of the tar."""
    digest: str
    """``sha256:…`` of the tar; also its diff id, since it is not compressed."""

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on."""
        for chunk in _tar_chunks(self.folders, self.files):
            if offset < len(chunk):
                yield chunk[offset:]
            offset = max(0, offset - len(chunk))


def make_layer(files: Iterable[LayerFile], empty_folders: Iterable[str] = ()) -> Layer:
    """Return the layer of these files and empty directories; reads every file once.

    Raises:
        JobFailure: SourceChanged, which is transient: a file is no longer what was hashed.

    """
    ordered = tuple(sorted(files, key=lambda file: file.target.encode()))

    folders = _all_folders(ordered, empty_folders)

    hasher = hashlib.sha256()
    size = 0
    for chunk in _tar_chunks(folders, ordered, verify=True):
        hasher.update(chunk)
        size += len(chunk)

    return Layer(ordered, folders, size, f"sha256:{hasher.hexdigest()}")


def _tar_chunks(
    folders: tuple[str, ...], files: tuple[LayerFile, ...], *, verify: bool = False
) -> Iterator[bytes]:
    for folder in folders:
        yield _tar_header(folder, kind=tarfile.DIRTYPE, mode=FOLDER_MODE)
    for file in files:
        yield _tar_header(
            file.target, kind=tarfile.REGTYPE, mode=file_mode(file.target), size=file.size
        )
        yield from _file_chunks(file, verify=verify)
        yield bytes(-file.size % tarfile.BLOCKSIZE)
    yield END_OF_ARCHIVE


def _file_chunks(file: LayerFile, *, verify: bool) -> Iterator[bytes]:
    verify = verify and file.sha256 is not None
    chunks = [file.content] if isinstance(file.content, bytes) else read_blocks(file.content)

    hasher = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > file.size:  # a byte more than the header says would shift all that follows
            break
        if verify:
            hasher.update(chunk)
        yield chunk

    if size != file.size or (verify and file.sha256 != hasher.hexdigest()):
        raise JobFailure(
            Reason.SOURCE_CHANGED,
            f"source: the file of {file.target} changed while it was being packaged",
            transient=True,
        )


def _all_folders(files: Iterable[LayerFile], empty_folders: Iterable[str]) -> tuple[str, ...]:
    """Return the directories of files, the empty ones, and all that lead to them."""
    parents = {parent for file in files for parent in PurePosixPath(file.target).parents}
    for folder in map(PurePosixPath, empty_folders):
        parents |= {folder, *folder.parents}
    return tuple(sorted((str(parent) for parent in parents - {PurePosixPath()}), key=str.encode))


def _tar_header(name: str, *, kind: bytes, mode: int, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mode = mode
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT)
