"""A download that survives broken connections: it resumes where it stopped, if the server can."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import CannotStream
from slipway.jobs.http import BLOCK_BYTES, TRANSIENT_STATUS, Backoff, is_untrusted, without_secrets
from slipway.jobs.sources.progress import Progress
from slipway.policy.canonical_input import is_signed

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ABSENT = frozenset({404, 410})
OK, PARTIAL, RANGE_REFUSED, UNAUTHORIZED = 200, 206, 416, 401
REFUSED = frozenset({UNAUTHORIZED, 403})


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded file."""

    path: Path
    digest: str
    """``sha256:…`` of its bytes."""
    size: int
    """Bytes."""
    url: str
    """Where it was found, after all redirects."""
    headers: Mapping[str, str]
    """Those of the last answer."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a file."""

    authorization: str | None = None
    """Value of a header, which is sent to the host of the address only, never on to another."""
    name: str = "no credentials"
    """For messages."""
    advice: str = ""
    """What to set where the server asks for credentials; for messages."""


ANYBODY = Visitor()


class _TransientProblem(Exception):
    """The download was interrupted; another attempt may complete it."""

    def __init__(self, problem: str, retry_after: str | None = None) -> None:
        super().__init__(problem)
        self.retry_after = retry_after


def open_download(
    pool: urllib3.PoolManager,
    url: str,
    *,
    max_bytes: int,
    backoff: Backoff,
    visitor: Visitor = ANYBODY,
) -> "OpenDownload":
    """Ask for `url`, and return the answer, of which nothing but the headers was read yet.

    Consecutive failures are counted; progress beyond what any earlier attempt reached resets the
    count, so that a large file may take many attempts.

    Raises:
        JobFailure: SourceNotFound, SourceRefused or SourceTooLarge; or SourceUnavailable, which is
            transient, after the last attempt.

    """
    answer = OpenDownload(_FileTransfer(pool, url, max_bytes, visitor), backoff)
    answer.persist(answer.transfer.begin)
    return answer


@dataclass(slots=True)
class OpenDownload:
    """A file that a server has begun to send."""

    transfer: "_FileTransfer"
    backoff: Backoff
    _failures: int = 0
    _reached: int = 0

    @property
    def size(self) -> int | None:
        """Bytes, as announced; None where nothing is."""
        return self.transfer.expected

    @property
    def url(self) -> str:
        """Where it was found, after all redirects."""
        return self.transfer.found_at

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of the last answer."""
        return self.transfer.found_headers

    def save(self, path: Path) -> Download:
        """Write it to `path`.

        Raises:
            JobFailure: as `open_download`.

        """
        transfer = self.transfer
        with path.open("wb") as file:
            self.persist(lambda: transfer.run(file))
        digest = f"sha256:{transfer.hasher.hexdigest()}"
        return Download(path, digest, transfer.size, self.url, self.headers)

    def stream(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, as `ByteStream`, over as many requests as it takes.

        Raises:
            CannotStream: the server cannot go on where a connection broke, or has another file now.
            JobFailure: as `open_download`.

        """
        transfer = self.transfer
        transfer.move_to(offset)
        while transfer.size != transfer.expected:
            if not transfer.is_open:
                self.persist(transfer.resume)
            try:
                yield from transfer.blocks()
            except _TransientProblem as problem:
                self._wait_after(problem)

    def persist(self, attempt: Callable[[], None]) -> None:
        """Repeat an attempt until there is no more transient trouble, or it was the last one."""
        while True:
            try:
                attempt()
            except _TransientProblem as problem:
                self._wait_after(problem)
            else:
                return

    def _wait_after(self, problem: "_TransientProblem") -> None:
        transfer = self.transfer
        self._failures = 1 if transfer.size > self._reached else self._failures + 1
        self._reached = max(self._reached, transfer.size)
        if self._failures >= self.backoff.attempts:
            raise JobFailure(
                Reason.SOURCE_UNAVAILABLE,
                f"source {without_secrets(transfer.url)}: {problem}, {self._failures} times in a "
                f"row at byte {transfer.size}",
                transient=True,
            ) from problem
        self.backoff.wait(self._failures, problem.retry_after)


class _FileTransfer:
    """A file that is being downloaded, over as many requests as it takes."""

    def __init__(
        self, pool: urllib3.PoolManager, url: str, max_bytes: int, visitor: Visitor
    ) -> None:
        self.url = url
        self._pool = pool
        self._file: IO[bytes] | None = None
        self._max_bytes = max_bytes
        self._visitor = visitor
        self._progress = Progress(None)
        self._validator: str | None = None
        self._response: urllib3.BaseHTTPResponse | None = None
        self.hasher = hashlib.sha256()
        self.size = 0
        self.expected: int | None = None
        self.found_at = url
        self.found_headers: Mapping[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether there is an answer that was not read to its end."""
        return self._response is not None

    def begin(self) -> None:
        """Send a request, and read the headers of the answer.

        Raises:
            _TransientProblem: the answer is about transient trouble.
            JobFailure: another request would get the same answer.

        """
        with self._explained():
            self._response = self._open()
            self._accept(self._response)

    def run(self, file: IO[bytes]) -> None:
        """Write what the answer has, or another request returns.

        Raises:
            _TransientProblem: the answer is incomplete, or about transient trouble.
            JobFailure: another request would get the same answer.

        """
        self._file = file
        if not self.is_open:
            self.begin()
        for block in self.blocks():
            self.hasher.update(block)
            file.write(block)

    def resume(self) -> None:
        """Send a request for what follows, as `begin`.

        Raises:
            CannotStream: the server sends something else.

        """
        before = self.size, self.expected, self._validator
        self.begin()
        if self._validator is None or before != (self.size, self.expected, self._validator):
            self.close()
            raise CannotStream("the server does not go on where the connection broke")

    def move_to(self, offset: int) -> None:
        """Go on at another byte; an answer that is at another one is given up."""
        if offset != self.size:
            self.close()
            self._progress.add(offset - self.size)
            self.size = offset

    def blocks(self) -> Iterator[bytes]:
        """Yield what the answer has, and count it.

        Raises:
            _TransientProblem: it is incomplete.
            JobFailure: it is larger than allowed.

        """
        response = self._response
        if response is None:
            return
        with self._explained():
            try:
                for block in response.stream(BLOCK_BYTES, decode_content=False):
                    self._count(block)
                    yield block
            finally:
                self.close()
        if self.expected is not None and self.size != self.expected:
            raise _TransientProblem(f"found {self.size} of {self.expected} bytes")

    def close(self) -> None:
        """Give the answer up."""
        if self._response is not None:
            self._response.close()
            self._response = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Translate what goes wrong on the way, after giving the answer up."""
        try:
            yield
        except (LocationParseError, HTTPError, JobFailure, _TransientProblem) as error:
            self.close()
            if isinstance(error, LocationParseError):
                raise self._failure(Reason.SOURCE_REFUSED, "not a valid address") from error
            if not isinstance(error, HTTPError):
                raise
            if is_untrusted(error):
                raise self._failure(
                    Reason.SOURCE_REFUSED,
                    "the server's certificate is not trusted, set connection.caConfigMapRef if a "
                    f"private authority signed it: {error}",
                ) from error
            raise _TransientProblem(f"incomplete answer ({type(error).__name__})") from error

    def _open(self) -> urllib3.BaseHTTPResponse:
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._pool.request(
                "GET", url, headers=self._headers(url), preload_content=False, redirect=False
            )
            if response.status not in REDIRECTS:
                self.found_at, self.found_headers = url, response.headers
                return response
            response.close()
            url = self._next(url, response.headers.get("Location"))
        raise self._failure(
            Reason.SOURCE_REFUSED, f"found more than {MAX_REDIRECTS} redirects in a row"
        )

    def _headers(self, url: str) -> dict[str, str]:
        headers = dict[str, str](self._pool.headers)
        if self._visitor.authorization is not None and _origin(url) == _origin(self.url):
            headers["Authorization"] = self._visitor.authorization
        if self._validator is not None and self.size:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._validator}
        return headers

    def _next(self, url: str, location: str | None) -> str:
        if location is None:
            raise self._failure(Reason.SOURCE_REFUSED, "found a redirect without a Location")

        target = urljoin(url, location)
        secure = urlsplit(url).scheme == "https"
        if urlsplit(target).scheme not in ({"https"} if secure else {"http", "https"}):
            raise self._failure(
                Reason.SOURCE_REFUSED,
                f"found a redirect to {without_secrets(target)}, expected https",
            )
        return target

    def _accept(self, response: urllib3.BaseHTTPResponse) -> None:
        self._require_success(response)
        if response.status == OK or not self._continues(response):
            self._start_over()
        if response.status == PARTIAL and self.size == 0:
            raise _TransientProblem("found a part that was not requested")

        self._validator = _range_validator(response)
        # Checked before the first byte, so that an oversized file is not downloaded at all.
        announced = response.length_remaining
        self.expected = None if announced is None else self.size + announced
        if self.expected is not None and self.expected > self._max_bytes:
            self._refuse_size()
        self._progress.total = self.expected

    def _require_success(self, response: urllib3.BaseHTTPResponse) -> None:
        status = response.status
        if status in {OK, PARTIAL}:
            return
        if status == RANGE_REFUSED and self.size:
            self._start_over()
            raise _TransientProblem("the server refused to resume")
        if status in TRANSIENT_STATUS or status >= 500:  # noqa: PLR2004 - the server's own trouble
            raise _TransientProblem(f"found status {status}", response.headers.get("Retry-After"))

        reason = Reason.SOURCE_NOT_FOUND if status in ABSENT else Reason.SOURCE_REFUSED
        raise self._failure(reason, f"found status {status}, expected 200{self._explain(status)}")

    def _explain(self, status: int) -> str:
        """Return what an answer may mean, and what to do about it."""
        visitor = self._visitor
        if status not in ABSENT and is_signed(self.url):
            return (
                ": the address is signed, and its signature may have expired; sign it again, or "
                "use the store's own scheme with a Secret"
            )
        if status not in REFUSED:
            return ""
        if visitor.authorization is None:
            return f": the server asks for credentials; {visitor.advice}" if visitor.advice else ""
        verb = "does not accept" if status == UNAUTHORIZED else "does not let in"
        return f": the server {verb} {visitor.name}"

    def _continues(self, response: urllib3.BaseHTTPResponse) -> bool:
        return response.headers.get("Content-Range", "").startswith(f"bytes {self.size}-")

    def _start_over(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()
        self._progress.add(-self.size)
        self.hasher = hashlib.sha256()
        self.size = 0

    def _count(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self._max_bytes:
            self._refuse_size()
        self._progress.add(len(block))

    def _refuse_size(self) -> None:
        raise self._failure(
            Reason.SOURCE_TOO_LARGE, f"found more than the allowed {self._max_bytes} bytes"
        )

    def _failure(self, reason: Reason, problem: str) -> JobFailure:
        return JobFailure(reason, f"source {without_secrets(self.url)}: {problem}")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _range_validator(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return the header that proves that a later part belongs to the same file; None without."""
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")
