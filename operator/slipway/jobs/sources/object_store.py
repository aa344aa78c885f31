"""Sources ``s3://``, ``gs://``, ``az://``: an archive, a model file, or all files of a prefix."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from slipway.api.canonical_json import sha256_of
from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import CannotStream, Tree, TreeFile, make_tree, name_problem
from slipway.jobs.http import (
    CONNECT_SECONDS,
    READ_SECONDS,
    USER_AGENT,
    Backoff,
    further_authorities,
)
from slipway.jobs.sources.access import SourceAccess
from slipway.jobs.sources.archive import MAX_FILES, is_archive, make_empty_directory
from slipway.jobs.sources.object_errors import StoreAnswer, explain_error
from slipway.jobs.sources.one_file import make_tree_of_file
from slipway.jobs.sources.parts import (
    SLOWED_DOWN_ATTEMPTS,
    GaveUp,
    Interrupted,
    PartDownload,
    RemoteFile,
    Replaced,
)
from slipway.jobs.sources.progress import Progress
from slipway.jobs.sources.store_settings import (
    AZURE_TOKEN_FILE,
    azure_settings,
    find_metadata_hosts,
    google_settings,
    s3_settings,
)
from slipway.jobs.sources.streaming import can_stream, make_streamed_file, read_ahead

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger(__name__)

LISTED_AT_ONCE = 1000
STREAMED_BYTES = 256 * 2**10
"""What is lost at most where a connection breaks."""
MOST_CHANGES = 3
"""How often files may change while they are fetched, before the Job gives up."""


def fetch_from_object_store(access: SourceAccess, scratch: Path, backoff: Backoff) -> Tree:
    """Return the files below a prefix, or the one object that has the name.

    Raises:
        JobFailure: SourceNotFound, SourceRefused or SourceTooLarge; SourceUnavailable or
            SourceChanged, which are transient; or the archive's own reasons.

    """
    bucket, key = _split_address(access.request.uri)
    remote = _Remote(access, _open_store(access, bucket), bucket, key, backoff)
    folder = make_empty_directory(scratch / "download")
    if access.may_stream and (tree := _stream_large(remote, folder)) is not None:
        return tree
    files, download = _fetch_all(remote, folder)

    if len(files) == 1 and files[0].key == key:
        return make_tree_of_file(access, download.path(files[0]), files[0].name, scratch)
    return make_tree([TreeFile(file.name, download.path(file)) for file in files], is_private=True)


def _split_address(uri: str) -> tuple[str, str]:
    bucket, _, path = uri.partition("://")[2].partition("/")
    return bucket, unquote(path)


def _stream_large(remote: "_Remote", folder: Path) -> Tree | None:
    """Return the files, of which the large ones stay in the store; None where there is none."""
    files = remote.list_files()
    large = [
        file for file in files if file.version is not None and can_stream(file.name, file.size)
    ]
    is_packed = len(files) == 1 and files[0].key == remote.key and is_archive(files[0].name)
    if not large or is_packed:
        return None

    progress = Progress(sum(file.size for file in files))
    download = PartDownload(folder, remote.read, remote.backoff, progress)
    try:
        download.run([file for file in files if file not in large])
    except (Replaced, GaveUp) as problem:
        log.info("%s; fetching all files to disk", problem)
        return None

    def confirm() -> None:
        if remote.list_files() != files:
            raise CannotStream("the files changed while they were read")

    return make_tree(
        [
            make_streamed_file(
                file.name, download.path(file), file.size, _Stream(remote, file, progress)
            )
            if file in large
            else TreeFile(file.name, download.path(file))
            for file in files
        ],
        is_private=True,
        confirm=confirm,
        version=_version_of(files),
    )


def _version_of(files: list[RemoteFile]) -> str | None:
    """Return what tells these files from all others; None where the store has no ETags."""
    listed = [(file.key, file.size, file.version) for file in files]
    return None if any(version is None for _, _, version in listed) else sha256_of(listed)


def _fetch_all(remote: "_Remote", folder: Path) -> tuple[list[RemoteFile], PartDownload]:
    """Fetch all files, and make sure that they were those of one moment."""
    files = remote.list_files()
    progress = Progress(sum(file.size for file in files))
    download = PartDownload(folder, remote.read, remote.backoff, progress)
    log.info("found %d files of %d bytes", len(files), progress.total)

    for _ in range(MOST_CHANGES):
        try:
            download.run(files)
        except Replaced as change:
            log.info("%s; listing again", change)
        except GaveUp as problem:
            raise remote.access.failure(
                Reason.SOURCE_UNAVAILABLE, str(problem), transient=True
            ) from problem

        # Files of two uploads must never be mixed: what is there must be what was fetched.
        before, files = files, remote.list_files()
        if files == before:
            log.info("%s", progress.describe())
            return files, download
        progress.total = sum(file.size for file in files)

    raise remote.access.failure(
        Reason.SOURCE_CHANGED,
        f"the files changed {MOST_CHANGES} times while they were fetched, expected that nobody "
        "writes to them",
        transient=True,
    )


@dataclass(frozen=True, slots=True)
class _Remote:
    """The files of a source in an object store."""

    access: SourceAccess
    store: "ObjectStore"
    bucket: str
    key: str
    backoff: Backoff

    def list_files(self) -> list[RemoteFile]:
        """Return the files of the source, in byte order of their names.

        Raises:
            JobFailure: there are none, they must not be read, or they are too large.

        """
        failures = 0
        while True:
            try:
                return self._list_once()
            except Interrupted as problem:
                failures += 1
                if failures >= self.backoff.attempts:
                    raise self.access.failure(
                        Reason.SOURCE_UNAVAILABLE,
                        f"{problem}, {failures} times in a row",
                        transient=True,
                    ) from problem
                self.backoff.wait(failures)

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[memoryview]:
        """Yield a part of a file, as `RangeReader`."""
        import obstore  # noqa: PLC0415 - it takes time and memory that only Jobs have

        condition: Any = {"range": (start, end)}
        if file.version is not None:
            condition["if_match"] = file.version
        try:
            answer = obstore.get(self.store, file.key, options=condition)
            for block in answer.stream(min_chunk_size=STREAMED_BYTES):
                yield memoryview(block)
        except Exception as error:
            if StoreAnswer.parse(error).is_missing:
                raise Replaced(f"{file.key} is gone") from error
            raise self._explained(error, file.key) from error

    def fill(self, file: RemoteFile, start: int, part: memoryview, progress: Progress) -> None:
        """Read a part of a file; what arrived of it is not asked for again.

        Raises:
            CannotStream: the file is another one now.
            JobFailure: there was no progress in several attempts, or another would not help.

        """
        size, failures = 0, 0
        while size < len(part):
            before = size
            problem = Interrupted("the answer ended early")
            try:
                for block in self.read(file, start + size, start + len(part)):
                    part[size : size + len(block)] = block
                    size += len(block)
                    progress.add(len(block))
            except Replaced as change:
                raise CannotStream(str(change)) from change
            except Interrupted as interrupted:
                problem = interrupted
            if size == len(part):
                return

            failures = 1 if size > before else failures + 1
            patience = SLOWED_DOWN_ATTEMPTS if problem.slow_down else 1
            if failures >= self.backoff.attempts * patience:
                raise self.access.failure(
                    Reason.SOURCE_UNAVAILABLE,
                    f"{problem}, {failures} times in a row at byte {start + size} of "
                    f"{file.key}; {progress.describe()}",
                    transient=True,
                )
            self.backoff.wait(failures)

    def _list_once(self) -> list[RemoteFile]:
        found = None if not self.key or self.key.endswith("/") else self._find_object()
        files = [found] if found is not None else self._list_prefix()
        if not files:
            raise self.access.failure(
                Reason.SOURCE_NOT_FOUND,
                f"found no object {self.key!r} and none below it in {self.bucket}",
            )

        total = sum(file.size for file in files)
        if total > self.access.request.max_bytes:
            raise self.access.failure(
                Reason.SOURCE_TOO_LARGE,
                f"found {total} bytes, expected at most {self.access.request.max_bytes}",
            )
        return files

    def _find_object(self) -> RemoteFile | None:
        """Return the object with exactly this name; None where there is none."""
        import obstore  # noqa: PLC0415 - as in `read`

        try:
            entry = obstore.head(self.store, self.key)
        except Exception as error:
            answer = StoreAnswer.parse(error)
            if answer.is_missing:
                return None
            if answer.is_unexplained:
                error = self._error_of_get() or error
            raise self._explained(error, self.key) from error
        return self._to_file(entry, self.key.rpartition("/")[2])

    def _error_of_get(self) -> Exception | None:
        """Return how a GET fails: the answer to a HEAD has no body that says why."""
        import obstore  # noqa: PLC0415 - as in `read`

        try:
            obstore.get(self.store, self.key, options={"range": (0, 1)})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is explained
            return error
        return None

    def _list_prefix(self) -> list[RemoteFile]:
        import obstore  # noqa: PLC0415 - as in `read`

        prefix = self.key.rstrip("/")
        entries: list[Any] = []
        try:
            for chunk in obstore.list(self.store, prefix or None, chunk_size=LISTED_AT_ONCE):
                entries += chunk
                if len(entries) > MAX_FILES:
                    break
        except Exception as error:
            raise self._explained(error, prefix) from error
        if len(entries) > MAX_FILES:
            raise self.access.failure(Reason.SOURCE_TOO_LARGE, f"found more than {MAX_FILES} files")

        skip = len(prefix) + 1 if prefix else 0
        files = [self._to_file(entry, entry["path"][skip:]) for entry in entries]
        files = [file for file in _without_markers(files) if file.name]
        return sorted(files, key=lambda file: file.name.encode())

    def _to_file(self, entry: Any, name: str) -> RemoteFile:
        problem = name_problem(name) if name else None
        if problem is not None:
            raise self.access.failure(Reason.SOURCE_REFUSED, f"the file name {name!r} {problem}")
        return RemoteFile(name, entry["path"], entry["size"], entry.get("e_tag"))

    def _explained(self, error: Exception, key: str) -> Exception:
        if isinstance(error, JobFailure | Interrupted | Replaced):
            return error
        return explain_error(self.access, self.bucket, key, error)


@dataclass(frozen=True, slots=True)
class _Stream:
    """Reads a large file, as `ByteStream`."""

    remote: _Remote
    file: RemoteFile
    progress: Progress

    def __call__(self, offset: int) -> Iterator[memoryview]:
        def fill(start: int, part: memoryview) -> None:
            self.remote.fill(self.file, start, part, self.progress)

        return read_ahead(fill, offset, self.file.size)


def _without_markers(files: list[RemoteFile]) -> list[RemoteFile]:
    """Return the files without empty objects that stand for a directory, as consoles make them."""
    folders = {
        "/".join(parts[:depth])
        for file in files
        for parts in [file.name.split("/")]
        for depth in range(1, len(parts))
    }
    return [
        file
        for file in files
        if file.size or not (file.name in folders or file.name.rpartition("/")[2].isdigit())
    ]


def _open_store(access: SourceAccess, bucket: str) -> "ObjectStore":
    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415 - as in `_Remote.read`

    authorities, proxy = further_authorities(access.ca_file()), access.proxy
    client: Any = {
        "user_agent": USER_AGENT,
        "connect_timeout": f"{CONNECT_SECONDS:.0f}s",
        "read_timeout": f"{READ_SECONDS:.0f}s",
        "timeout": "1day",  # of a whole answer: the limit is on silence
        "allow_http": True,
    }
    if authorities is not None:
        client["root_certificate"] = authorities
    if proxy is not None:
        excluded = [*proxy.without, *find_metadata_hosts()]
        client |= {"proxy_url": proxy.url, "proxy_excludes": ",".join(excluded)}

    # Attempts are counted where it is known how far a part is.
    options: Any = {
        "client_options": client,
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(minutes=1)},
    }
    settings: Any
    try:
        match access.request.uri.partition("://")[0]:
            case "s3":
                settings = s3_settings(access, bucket)
                return S3Store(bucket, config=settings, **options)
            case "gs":
                settings = google_settings(access)
                return GCSStore(bucket, config=settings, **options)
            case _:
                settings = azure_settings(access)
                if access.asked.secret is not None:
                    # obstore would prefer the pod's identity to a token or client of the Secret.
                    os.environ.pop(AZURE_TOKEN_FILE, None)
                return AzureStore(bucket, config=settings, **options)
    except JobFailure:
        raise
    except Exception as error:
        raise explain_error(access, bucket, "", error) from error
