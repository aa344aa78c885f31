"""A download that survives broken connections: it resumes where it stopped, if the server can."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
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


def download_file(
    pool: urllib3.PoolManager,
    url: str,
    path: Path,
    *,
    max_bytes: int,
    backoff: Backoff,
    visitor: Visitor = ANYBODY,
) -> Download:
    """Download `url` to `path`.

    Consecutive failures are counted; progress beyond what any earlier attempt reached resets the
    count, so that a large file may take many attempts.

    Raises:
        JobFailure: SourceNotFound, SourceRefused or SourceTooLarge; or SourceUnavailable, which is
            transient, after the last attempt.

    """
    with path.open("wb") as file:
        transfer = _FileTransfer(pool, url, file, max_bytes, visitor)
        failures, reached = 0, 0

        while True:
            try:
                transfer.run()
                return Download(
                    path,
                    f"sha256:{transfer.hasher.hexdigest()}",
                    transfer.size,
                    transfer.found_at,
                    transfer.found_headers,
                )
            except _TransientProblem as problem:
                failures = 1 if transfer.size > reached else failures + 1
                reached = max(reached, transfer.size)
                if failures >= backoff.attempts:
                    raise JobFailure(
                        Reason.SOURCE_UNAVAILABLE,
                        f"source {without_secrets(url)}: {problem}, {failures} times in a row "
                        f"at byte {transfer.size}",
                        transient=True,
                    ) from problem
                backoff.wait(failures, problem.retry_after)


class _FileTransfer:
    """A file that is being downloaded, over as many requests as it takes."""

    def __init__(
        self,
        pool: urllib3.PoolManager,
        url: str,
        file: IO[bytes],
        max_bytes: int,
        visitor: Visitor,
    ) -> None:
        self._pool = pool
        self._url = url
        self._file = file
        self._max_bytes = max_bytes
        self._visitor = visitor
        self._progress = Progress(None)
        self._validator: str | None = None
        self.hasher = hashlib.sha256()
        self.size = 0
        self.found_at = url
        self.found_headers: Mapping[str, str] = {}

    def run(self) -> None:
        """Send one request, and write what it returns.

        Raises:
            _TransientProblem: the answer is incomplete, or about transient trouble.
            JobFailure: another request would get the same answer.

        """
        try:
            response = self._open()
            try:
                self._receive(response)
            finally:
                response.close()

        except LocationParseError as error:
            raise self._failure(Reason.SOURCE_REFUSED, "not a valid address") from error
        except HTTPError as error:
            if is_untrusted(error):
                raise self._failure(
                    Reason.SOURCE_REFUSED,
                    "the server's certificate is not trusted, set connection.caConfigMapRef if a "
                    f"private authority signed it: {error}",
                ) from error
            raise _TransientProblem(f"incomplete answer ({type(error).__name__})") from error

    def _open(self) -> urllib3.BaseHTTPResponse:
        url = self._url
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
        if self._visitor.authorization is not None and _origin(url) == _origin(self._url):
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

    def _receive(self, response: urllib3.BaseHTTPResponse) -> None:
        self._require_success(response)
        if response.status == OK or not self._continues(response):
            self._start_over()
        if response.status == PARTIAL and self.size == 0:
            raise _TransientProblem("found a part that was not requested")

        self._validator = _range_validator(response)
        # Checked before the first byte, so that an oversized file is not downloaded at all.
        announced = response.length_remaining
        expected = None if announced is None else self.size + announced
        if expected is not None and expected > self._max_bytes:
            self._refuse_size()
        self._progress.total = expected

        for block in response.stream(BLOCK_BYTES, decode_content=False):
            self._write(block)
        if expected is not None and self.size != expected:
            raise _TransientProblem(f"found {self.size} of {expected} bytes")

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
        if status not in ABSENT and is_signed(self._url):
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
        self._file.seek(0)
        self._file.truncate()
        self._progress.add(-self.size)
        self.hasher = hashlib.sha256()
        self.size = 0

    def _write(self, block: bytes) -> None:
        self.size += len(block)
        if self.size > self._max_bytes:
            self._refuse_size()
        self.hasher.update(block)
        self._file.write(block)
        self._progress.add(len(block))

    def _refuse_size(self) -> None:
        raise self._failure(
            Reason.SOURCE_TOO_LARGE, f"found more than the allowed {self._max_bytes} bytes"
        )

    def _failure(self, reason: Reason, problem: str) -> JobFailure:
        return JobFailure(reason, f"source {without_secrets(self._url)}: {problem}")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _range_validator(response: urllib3.BaseHTTPResponse) -> str | None:
    """Return the header that proves that a later part belongs to the same file; None without."""
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")
