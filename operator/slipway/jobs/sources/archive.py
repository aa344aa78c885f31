"""Unpacking of untrusted archives: only regular files, only inside the target, within limits."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from stat import S_IFMT, S_IFREG
from typing import IO

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import TreeFile, name_problem

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
ZIP_SUFFIXES = (".zip",)
BLOCK_BYTES = 2**20
ENCRYPTED_FLAG = 0x1

CORRUPT_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,  # zipfile: an unknown compression
    UnicodeError,
)


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much an archive may unpack to."""

    max_bytes: int
    max_files: int = 100_000
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

    try:
        if name.lower().endswith(ZIP_SUFFIXES):
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, target)
    except (*CORRUPT_ARCHIVE_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk failed, not the archive: BadGzipFile has no errno
        raise JobFailure(
            Reason.CORRUPT_ARCHIVE, f"archive {name}: damaged or incomplete: {error}"
        ) from error

    return tuple(target.files)


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
            self._refuse_size(f"has more than {self.limits.max_files} entries")

        problem = problem or name_problem(name)
        if problem is not None:
            raise JobFailure(Reason.UNSAFE_ARCHIVE, f"archive {self.archive}: {name!r} {problem}")
        return str(PurePosixPath(name))

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
            self._refuse_size(f"unpacks to more than {self.limits.max_bytes} bytes")

        allowed = max(self.packed_bytes * self.limits.max_ratio, self.limits.ratio_floor_bytes)
        if self.written > allowed:
            self._refuse_size(
                f"unpacks to more than {self.limits.max_ratio} times its {self.packed_bytes} bytes"
            )

    def _refuse_size(self, problem: str) -> None:
        raise JobFailure(Reason.SOURCE_TOO_LARGE, f"archive {self.archive}: {problem}")


def _unpack_tar(archive: Path, target: _Target) -> None:
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if member.name in {".", "./"} and member.isdir():
                continue
            name = target.check(member.name, _tar_problem(member))
            if member.isdir():
                continue
            with _open_member(tar, member) as content:
                target.write(name, content)


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
    with zipfile.ZipFile(archive) as packed:
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
    return None


def make_empty_directory(folder: Path) -> Path:
    """Make `folder` an empty directory, whatever an earlier attempt left there; return it."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder
