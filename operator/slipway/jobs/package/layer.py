"""Image layers: the same files give the same bytes, and are never copied.

Of files that lie here, the first pass hashes and the second one sends; of files that lie in their
store, one pass does both. Layers are not compressed: weights hardly shrink, and compressed bytes
would differ between versions of zlib.
"""

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NoReturn, Self

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Block, ByteStream
from slipway.jobs.model_digest import read_blocks
from slipway.jobs.package.python_environment import file_mode

FOLDER_MODE = 0o755
_HASHERS = ThreadPoolExecutor(1, thread_name_prefix="hash")
END_OF_ARCHIVE = bytes(2 * tarfile.BLOCKSIZE)


Watcher = Callable[[str, int, memoryview], None]
"""Takes a file's target, the offset in it, and the bytes there."""


@dataclass(frozen=True, slots=True)
class LayerFile:
    """A file of a layer."""

    target: str
    """Absolute path in the image without the leading slash."""
    content: Path | bytes | ByteStream
    size: int
    """Bytes."""
    sha256: str | None = None
    """Digest that the content must have, 64 hex digits; None where nothing can change it."""
    is_new: bool = False
    """Whether its digest is not known yet, and wanted."""

    @property
    def needs_digest(self) -> bool:
        """Whether its digest is to be compared, or wanted."""
        return self.sha256 is not None or self.is_new

    def read(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset` on."""
        if isinstance(self.content, bytes):
            return iter([self.content[offset:]])
        if isinstance(self.content, Path):
            return read_blocks(self.content, offset)
        return self.content(offset)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of the tar: a header, a file or what fills up a block."""

    size: int
    read: ByteStream
    file: LayerFile | None = None


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

    @classmethod
    def known(cls, files: Iterable[LayerFile], digest: str) -> Self:
        """Return the layer of files whose digest somebody knows: nothing is read."""
        layer = MeasuredLayer.of(files)
        return cls(layer.files, layer.folders, layer.size, digest)

    def chunks(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset` on."""
        for piece in _tar_pieces(self.folders, self.files):
            if offset < piece.size:
                yield from _read_exactly(piece, offset)
            offset = max(0, offset - piece.size)


def make_layer(files: Iterable[LayerFile], empty_folders: Iterable[str] = ()) -> Layer:
    """Return the layer of these files and empty directories; reads every file once.

    Raises:
        JobFailure: SourceChanged, which is transient: a file is no longer what was hashed.

    """
    layer = MeasuredLayer.of(files, empty_folders)
    for _ in layer.chunks(0):
        pass
    return layer.finish()


@dataclass(slots=True)
class MeasuredLayer:
    """A layer whose digest is known when it was read to its end, wherever the reading begins anew.

    What was hashed once is not hashed again, and the files have the digests that they had then.
    """

    files: tuple[LayerFile, ...]
    folders: tuple[str, ...]
    size: int
    watch: Watcher | None = None
    """Sees the first bytes and all that follow of every file, in order and only once."""
    hashed: int = 0
    """Bytes, from the start."""
    digests: dict[str, str] = field(default_factory=dict)
    """64 hex digits of the files' contents by target, as far as they were read."""
    _tar: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _file: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @classmethod
    def of(
        cls,
        files: Iterable[LayerFile],
        empty_folders: Iterable[str] = (),
        watch: Watcher | None = None,
    ) -> Self:
        """Return the layer of these files and empty directories."""
        ordered = tuple(sorted(files, key=lambda file: file.target.encode()))
        folders = _all_folders(ordered, empty_folders)
        size = sum(piece.size for piece in _tar_pieces(folders, ordered))
        return cls(ordered, folders, size, watch)

    def chunks(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset`, which is at most `hashed`, and hash those that are new.

        Raises:
            JobFailure: SourceChanged, which is transient: a file is no longer what was hashed.

        """
        begin = 0
        for piece in _tar_pieces(self.folders, self.files):
            end = begin + piece.size
            if offset < end or piece.size == 0:
                yield from self._measure(piece, begin, max(0, offset - begin))
            begin = end

    def finish(self) -> Layer:
        """Return the layer, which was read to its end."""
        return Layer(self.files, self.folders, self.size, f"sha256:{self._tar.hexdigest()}")

    def _measure(self, piece: _Piece, begin: int, offset: int) -> Iterator[Block]:
        position = begin + offset
        for chunk in _read_exactly(piece, offset):
            new = memoryview(chunk)[max(0, self.hashed - position) :]
            if new:
                self._add(piece, begin, new)
            position += len(chunk)
            yield chunk

        if piece.file is not None and piece.file.target not in self.digests:
            self._finish_file(piece.file)

    def _add(self, piece: _Piece, begin: int, new: memoryview) -> None:
        if piece.file is not None and self.watch is not None:
            self.watch(piece.file.target, self.hashed - begin, new)
        if piece.file is None or not piece.file.needs_digest:
            self._tar.update(new)
        else:
            # On two cores two digests take the time of one.
            other = _HASHERS.submit(self._file.update, new)
            self._tar.update(new)
            other.result()
        self.hashed += len(new)

    def _finish_file(self, file: LayerFile) -> None:
        if file.needs_digest:
            found = self._file.hexdigest()
            self.digests[file.target] = found
            self._file = hashlib.sha256()
            if file.sha256 not in {None, found}:
                _refuse_change(file)


def _read_exactly(piece: _Piece, offset: int) -> Iterator[Block]:
    """Yield the bytes from `offset` on; one more or less would shift all that follows."""
    position = offset
    for chunk in piece.read(offset):
        position += len(chunk)
        if position > piece.size:
            break
        yield chunk
    if position != piece.size:
        _refuse_change(piece.file)


def _refuse_change(file: LayerFile | None) -> NoReturn:
    name = "" if file is None else file.target
    raise JobFailure(
        Reason.SOURCE_CHANGED,
        f"source: the file of {name} changed while it was being packaged",
        transient=True,
    )


def _tar_pieces(folders: tuple[str, ...], files: tuple[LayerFile, ...]) -> Iterator[_Piece]:
    for folder in folders:
        yield _bytes_piece(_tar_header(folder, kind=tarfile.DIRTYPE, mode=FOLDER_MODE))
    for file in files:
        yield _bytes_piece(
            _tar_header(
                file.target, kind=tarfile.REGTYPE, mode=file_mode(file.target), size=file.size
            )
        )
        yield _Piece(file.size, file.read, file)
        yield _bytes_piece(bytes(-file.size % tarfile.BLOCKSIZE))
    yield _bytes_piece(END_OF_ARCHIVE)


def _bytes_piece(data: bytes) -> _Piece:
    return _Piece(len(data), lambda offset: iter([data[offset:]]))


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
