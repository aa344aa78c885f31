"""Downloads of many files in parallel parts, each of which goes on where it stopped.

What was fetched is never fetched again while the file stays the same: a part knows how far it is,
and a file that was replaced meanwhile begins anew. Files are written where they lie, so memory does
not depend on their size.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from slipway.jobs.http import Backoff
from slipway.jobs.sources.progress import Progress

AT_ONCE = 8
PART_BYTES = 16 * 2**20
SLOWED_DOWN_ATTEMPTS = 3
"""A store that asks to slow down is asked so many times as often as one that gives no answer."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in a store."""

    name: str
    """Relative to the source."""
    key: str
    """Name in the store."""
    size: int
    """Bytes."""
    version: str | None
    """What proves that a later part belongs to the same bytes: an ETag."""


class Interrupted(Exception):
    """A part was interrupted; another attempt may complete it."""

    def __init__(self, problem: str, *, slow_down: bool = False) -> None:
        """Take the problem, and whether the store asks for patience."""
        super().__init__(problem)
        self.slow_down = slow_down


class Replaced(Exception):
    """A file of the store is another one now, or gone."""


class GaveUp(Exception):
    """A part was interrupted too often in a row."""


class RangeReader(Protocol):
    """Reads a part of a file of a store."""

    def __call__(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes from `start` up to `end`, in order.

        Raises:
            Interrupted: another attempt may go on.
            Replaced: the file is another one now.

        """


@dataclass(slots=True)
class _Part:
    file: RemoteFile
    start: int
    end: int

    @property
    def is_done(self) -> bool:
        return self.start >= self.end


@dataclass(slots=True)
class PartDownload:
    """A download into a directory, which may be run again after files were replaced."""

    into: Path
    read: RangeReader
    backoff: Backoff
    progress: Progress
    _parts: dict[RemoteFile, list[_Part]] = field(default_factory=dict)

    def run(self, files: Sequence[RemoteFile]) -> None:
        """Fetch what is missing of these files, and forget those that are not among them.

        Raises:
            Replaced: a file is another one now; list the files again, and run again.
            GaveUp: there was no progress in several attempts.
            JobFailure: another attempt would get the same answer.

        """
        self._forget_all_but(frozenset(files))
        for file in files:
            if file not in self._parts:
                self._parts[file] = self._plan(file)

        missing = [part for file in files for part in self._parts[file] if not part.is_done]
        stop = threading.Event()
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
        try:
            futures = [pool.submit(self._fetch, part, stop) for part in missing]
            done = wait(futures, return_when=FIRST_EXCEPTION).done
            stop.set()
            # Before anyone runs again: two threads must never write the same part.
            pool.shutdown(cancel_futures=True)
        except BaseException:
            # A signal: the Job has its last words to write, and no time for a silent store.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        _raise_first(done)

    def path(self, file: RemoteFile) -> Path:
        """Return where a file is written."""
        return self.into / file.name

    def _forget_all_but(self, kept: frozenset[RemoteFile]) -> None:
        for file in self._parts.keys() - kept:
            left = sum(part.end - part.start for part in self._parts.pop(file))
            self.progress.add(left - file.size)
            self.path(file).unlink(missing_ok=True)

    def _plan(self, file: RemoteFile) -> list[_Part]:
        path = self.path(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as empty:
            empty.truncate(file.size)
        starts = range(0, file.size, PART_BYTES)
        return [_Part(file, start, min(start + PART_BYTES, file.size)) for start in starts]

    def _fetch(self, part: _Part, stop: threading.Event) -> None:
        """Fetch a part; progress resets the count of failures."""
        failures = 0
        handle = os.open(self.path(part.file), os.O_WRONLY)
        try:
            while not part.is_done and not stop.is_set():
                before = part.start
                try:
                    self._receive(part, handle, stop)
                except Interrupted as problem:
                    failures = 1 if part.start > before else failures + 1
                    patience = SLOWED_DOWN_ATTEMPTS if problem.slow_down else 1
                    if failures >= self.backoff.attempts * patience:
                        raise GaveUp(
                            f"{problem}, {failures} times in a row at byte {part.start} of "
                            f"{part.file.key}; {self.progress.describe()}"
                        ) from problem
                    self.backoff.wait(failures)
        finally:
            os.close(handle)

    def _receive(self, part: _Part, handle: int, stop: threading.Event) -> None:
        for block in self.read(part.file, part.start, part.end):
            if stop.is_set():
                return
            if len(block) > part.end - part.start:
                raise Interrupted("found more bytes than the part has")
            os.pwrite(handle, block, part.start)
            part.start += len(block)
            self.progress.add(len(block))
        if not part.is_done:
            raise Interrupted("the answer ended early")


def _raise_first(done: set[Future[None]]) -> None:
    """Raise what a part failed with; what another attempt cannot mend comes first."""
    errors = [error for future in done if (error := future.exception()) is not None]
    errors.sort(key=lambda error: isinstance(error, Replaced | GaveUp))
    if errors:
        raise errors[0]
