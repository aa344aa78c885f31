"""Unpacking of untrusted archives: only regular files, only inside the target, within limits.

The limits cover what the standard library reads into memory by itself, too: the headers of a tar
and the directory of a zip. A tar is only taken for whole where its end says so.
"""

import bz2
import gzip
import io
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_IFMT, S_IFREG
from typing import IO, NoReturn, Self

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import TreeFile, name_problem

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ZIP_SUFFIXES = (".zip",)
BLOCK_BYTES = 2**20
ENCRYPTED_FLAG = 0x1
MAX_TAR_HEADER_BYTES = 2**20
"""Largest header of one tar member, with its pax records and long names; also of what all global
records together may take. Real ones have a few KiB."""
MAX_ALL_TAR_HEADER_BYTES = 512 * 2**20
"""Most bytes of all headers of a tar together; 100,000 real ones have a third of it. They are no
part of what an archive unpacks to, and take time."""
MAX_ZIP_DIRECTORY_BYTES = 16 * 2**20
"""Largest directory of a zip: about 100,000 entries. Reading it takes twenty times its size."""
MAX_PADDING_BYTES = 64 * 2**20
"""Most zeros behind the end of a tar; tar itself pads to at most 1 MiB."""
COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], gzip.GzipFile | bz2.BZ2File]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
}
"""Ways to read a compressed tar by its first bytes. Not xz, whose files choose how much memory
reading them takes."""
REFUSED_COMPRESSIONS = {b"\xfd7z": "xz", b"(\xb5/": "zstd"}
ZIP_COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2})

MAX_FILES = 100_000
"""Most files of a source."""

PlainBytes = IO[bytes] | gzip.GzipFile | bz2.BZ2File

CORRUPT_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # zipfile: an unknown compression
    UnicodeError,
    ValueError,  # tarfile: a pax record that is no number
    RecursionError,  # tarfile: headers of headers
)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may unpack to."""

    max_bytes: int
    max_files: int = MAX_FILES
    """Files and directories."""
    max_ratio: int = 200
    """Unpacked bytes per packed byte; weights never compress that well, archive bombs do."""
    ratio_floor_bytes: int = 256 * 2**20
    """Unpacked size below which the ratio does not matter."""


def is_archive(name: str) -> bool:
    """Return whether a file name has the suffix of an archive that is unpacked."""
    return name.lower().endswith(TAR_SUFFIXES + ZIP_SUFFIXES)


def unpack_archive(
    archive: Path, name: str, into: Path, limits: ArchiveLimits
) -> tuple[TreeFile, ...]:
    """Unpack an archive into an empty directory, and return its files.

    Args:
        archive: where the archive lies.
        name: its name at the source; the suffix decides how it is read.
        into: an empty directory.
        limits: how much it may unpack to.

    Raises:
        JobFailure: UnsafeArchive, SourceTooLarge or CorruptArchive.

    """
    target = _Target(into, name, limits, packed_bytes=archive.stat().st_size)

    with _naming_damage(name):
        if name.lower().endswith(ZIP_SUFFIXES):
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, target)
    return tuple(target.files)


def list_tar(archive: Path, name: str, limits: ArchiveLimits) -> Iterator[str]:
    """Yield the names in a tar that stays as it is: links are allowed, and the end may lack.

    Raises:
        JobFailure: SourceTooLarge or CorruptArchive.

    """
    target = _Target(Path(), name, limits, packed_bytes=archive.stat().st_size)
    with _naming_damage(name), archive.open("rb") as file, _decompress(file) as plain:
        bounded = _BoundedReads(plain, target, MAX_TAR_HEADER_BYTES, MAX_ALL_TAR_HEADER_BYTES)
        with tarfile.TarFile(fileobj=bounded) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # as in `_unpack_tar`
                target.check_global_records(tar.pax_headers)
                target.count(member.size)
                yield str(PurePosixPath(member.name))
                bounded.set_limit(MAX_TAR_HEADER_BYTES)


@contextmanager
def _naming_damage(name: str) -> Iterator[None]:
    """Say of which archive it is that something in it cannot be read."""
    try:
        yield
    except (*CORRUPT_ARCHIVE_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk failed, not the archive: BadGzipFile has no errno
        raise JobFailure(
            Reason.CORRUPT_ARCHIVE, f"archive {name}: damaged or incomplete: {error}"
        ) from error


@dataclass(slots=True)
class _Target:
    """The directory that an archive is unpacked into, and how much it has grown."""

    into: Path
    archive: str
    limits: ArchiveLimits
    packed_bytes: int
    files: list[TreeFile] = field(default_factory=list)
    written: int = 0
    entries: int = 0

    def check(self, name: str, problem: str | None = None) -> str:
        """Return the entry's name without ``.`` parts.

        Raises:
            JobFailure: the name or the kind of the entry is not allowed, or it is one too many.

        """
        self.entries += 1
        if self.entries > self.limits.max_files:
            self.refuse_size(f"has more than {self.limits.max_files} entries")

        problem = problem or name_problem(name)
        if problem is not None:
            raise JobFailure(Reason.UNSAFE_ARCHIVE, f"archive {self.archive}: {name!r} {problem}")
        return str(PurePosixPath(name))

    def count(self, size: int) -> None:
        """Count an entry that is not unpacked.

        Raises:
            JobFailure: it is one too many, or the archive would unpack to too much.

        """
        self.entries += 1
        if self.entries > self.limits.max_files:
            self.refuse_size(f"has more than {self.limits.max_files} entries")
        self._add_bytes(size)

    def write(self, name: str, content: IO[bytes]) -> None:
        """Write a file block by block, within the limits.

        Raises:
            JobFailure: the name is taken, or the archive unpacks to too much.

        """
        path = self.into / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise JobFailure(
                Reason.UNSAFE_ARCHIVE,
                f"archive {self.archive}: {name!r} occurs twice, or as both file and directory",
            ) from error

        with file:
            while block := content.read(BLOCK_BYTES):
                self._add_bytes(len(block))
                file.write(block)
        self.files.append(TreeFile(name, path))

    def _add_bytes(self, size: int) -> None:
        self.written += size
        if self.written > self.limits.max_bytes:
            self.refuse_size(f"unpacks to more than {self.limits.max_bytes} bytes")

        allowed = max(self.packed_bytes * self.limits.max_ratio, self.limits.ratio_floor_bytes)
        if self.written > allowed:
            self.refuse_size(
                f"unpacks to more than {self.limits.max_ratio} times its {self.packed_bytes} bytes"
            )

    def check_global_records(self, records: Mapping[str, str]) -> None:
        """Refuse a tar whose global pax records, which hold for all that follows, grow too large.

        Raises:
            JobFailure: SourceTooLarge.

        """
        if sum(len(key) + len(value) for key, value in records.items()) > MAX_TAR_HEADER_BYTES:
            self.refuse_size(f"has global headers of more than {MAX_TAR_HEADER_BYTES} bytes")

    def refuse_size(self, problem: str) -> NoReturn:
        """Raise a SourceTooLarge."""
        raise JobFailure(Reason.SOURCE_TOO_LARGE, f"archive {self.archive}: {problem}")


def _unpack_tar(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file, _decompress(file) as plain:
        bounded = _BoundedReads(plain, target, MAX_TAR_HEADER_BYTES, MAX_ALL_TAR_HEADER_BYTES)
        with tarfile.TarFile(fileobj=bounded, tarinfo=_StrictHeader) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # tarfile keeps every member, with its records
                target.check_global_records(tar.pax_headers)

                bounded.lift_limit()
                _unpack_member(tar, member, target)
                bounded.set_limit(MAX_TAR_HEADER_BYTES)

        _require_end(plain, target)


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: _Target) -> None:
    if member.name in {".", "./"} and member.isdir():
        return
    name = target.check(member.name, _tar_problem(member))
    if not member.isdir():
        with _open_member(tar, member) as content:
            target.write(name, content)


def _require_end(plain: PlainBytes, target: _Target) -> None:
    """Require that only zeros follow, up to the end that the compression has a checksum for.

    Raises:
        JobFailure: SourceTooLarge.
        tarfile.ReadError: there is something behind the end.

    """
    padding = 0
    while block := plain.read(BLOCK_BYTES):
        padding += len(block)
        if padding > MAX_PADDING_BYTES:
            target.refuse_size(f"has more than {MAX_PADDING_BYTES} bytes behind its end")
        if block.count(0) != len(block):
            raise tarfile.ReadError("found data behind the end of the archive")


def _decompress(file: IO[bytes]) -> PlainBytes:
    """Return a tar's plain bytes; the returned file does not close `file`."""
    first = file.read(max(map(len, COMPRESSIONS)))
    file.seek(0)

    for magic, decompress in COMPRESSIONS.items():
        if first.startswith(magic):
            return decompress(file)
    for magic, kind in REFUSED_COMPRESSIONS.items():
        if first.startswith(magic):
            raise tarfile.ReadError(f"found {kind} compression, expected gzip or none")
    return file


class _StrictHeader(tarfile.TarInfo):
    """A header whose absence or damage is an error; tarfile takes either for the end.

    Only a block of zeros ends an archive. Without it, nothing tells that the rest is missing.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            # The classes have no public names; that of a zero block is the only good one.
            if type(error).__name__ == "EOFHeaderError":
                raise
            raise tarfile.ReadError(f"{error} at byte {tar.offset}") from error


class _BoundedReads(io.BufferedIOBase):
    """A file of which only so much may be read until the limit is set anew."""

    def __init__(
        self, file: PlainBytes, target: _Target, limit: int, in_all: int | None = None
    ) -> None:
        self._file = file
        self._target = target
        self._limit = limit
        self._left: int | None = limit
        self._left_in_all = limit if in_all is None else in_all

    def set_limit(self, limit: int) -> None:
        self._left = self._limit = limit

    def lift_limit(self) -> None:
        self._left = None

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = -1 if size is None else size
        if self._left is None:
            return self._file.read(wanted)

        if wanted > self._left:
            self._refuse()
        data = self._file.read(wanted if wanted >= 0 else self._left + 1)
        if len(data) > min(self._left, self._left_in_all):
            self._refuse()
        self._left -= len(data)
        self._left_in_all -= len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def _refuse(self) -> NoReturn:
        self._target.refuse_size(f"has a header of more than {self._limit} bytes, or too many")


def _tar_problem(member: tarfile.TarInfo) -> str | None:
    if member.issym() or member.islnk():
        return "is a link; expected only files and directories"
    if not (member.isreg() or member.isdir()):
        return "is a device, a pipe or of an unknown kind; expected only files and directories"
    return None


@contextmanager
def _open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[IO[bytes]]:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with content:
        yield content


def _unpack_zip(archive: Path, target: _Target) -> None:
    with archive.open("rb") as file:
        bounded = _BoundedReads(file, target, MAX_ZIP_DIRECTORY_BYTES)
        packed = zipfile.ZipFile(bounded)
        bounded.lift_limit()

        for info in packed.infolist():
            name = target.check(info.filename, _zip_problem(info))
            if info.is_dir():
                continue
            with packed.open(info) as content:
                target.write(name, content)


def _zip_problem(info: zipfile.ZipInfo) -> str | None:
    if S_IFMT(info.external_attr >> 16) not in {0, S_IFREG} and not info.is_dir():
        return "is a link or a device; expected only files and directories"
    if info.flag_bits & ENCRYPTED_FLAG:
        return "is encrypted; expected a plain file"
    if info.compress_type not in ZIP_COMPRESSIONS:
        return "is compressed in an unusual way; expected stored or deflated"
    return None


def make_empty_directory(folder: Path) -> Path:
    """Make `folder` an empty directory, whatever an earlier attempt left there; return it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder
