"""Uploading a blob: only if it is missing, and resumed where a connection broke.

The bytes are sent as one stream, and the digest behind them, so a blob may be sent while it is
still being made. A registry that takes no stream gets one request for all, and one that takes no
such request gets small ones.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import urllib3

from slipway.errors import DependencyError, RegistryRefused, RegistryUnavailable
from slipway.jobs.file_tree import Block
from slipway.jobs.http import without_secrets
from slipway.jobs.registry.blob import Blob
from slipway.jobs.registry.client import unexpected_status
from slipway.jobs.registry.repository import Repository

CREATED, ACCEPTED, NO_CONTENT, NOT_FOUND, RANGE_REFUSED = 201, 202, 204, 404, 416
TOO_LARGE = 413
NO_STREAM = frozenset({400, 405, 411, TOO_LARGE, 415, 501})
"""Answers of registries, or of what stands before them, that may take the bytes otherwise."""
CHUNK_BYTES = 8 * 2**20
"""Size of a request to a registry that takes no larger one; all of it is kept in memory."""


class StreamRefused(RegistryRefused):
    """The registry takes the bytes in another form, if at all."""


class Stream(Protocol):
    """Bytes that can be sent again from where they were; what they are shows at the end."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset` on."""


def push_blob(target: Repository, blob: Blob) -> bool:
    """Upload a blob unless the repository has it; return whether it was uploaded.

    After a broken connection the upload continues at the byte that the registry reports; a registry
    that forgot the upload (docker-registry does) gets everything again.

    Raises:
        RegistryRefused: uploading is not allowed, or the registry computed another digest.
        RegistryUnavailable: incomplete after all attempts.

    """
    if target.has(blob.digest):
        return False

    backoff = target.registry.backoff
    upload, failures = _begin_upload(target), 0
    while True:
        try:
            upload.send(blob).complete(blob.digest)
        except StreamRefused as refusal:
            _push_otherwise(target, blob, refusal)
            return True
        except RegistryUnavailable:
            failures += 1
            if failures >= backoff.attempts:
                raise
            backoff.wait(failures)

            if target.has(blob.digest):  # complete, and only the last answer was lost
                return True
            upload = upload.resume() or _begin_upload(target)
        else:
            return True


def send_stream(target: Repository, stream: Stream) -> "SentUpload":
    """Send bytes whose digest nobody knows yet; the repository has them when it is completed.

    Resumes and begins anew as `push_blob`.

    Raises:
        StreamRefused: the registry takes no stream.
        RegistryRefused: uploading is not allowed.
        RegistryUnavailable: incomplete after all attempts.

    """
    backoff = target.registry.backoff
    upload, failures = _begin_upload(target), 0
    while True:
        try:
            return upload.send(stream)
        except RegistryUnavailable:
            failures += 1
            if failures >= backoff.attempts:
                raise
            backoff.wait(failures)
            upload = upload.resume() or _begin_upload(target)
        except BaseException:
            upload.cancel()
            raise


def _push_otherwise(target: Repository, blob: Blob, refusal: StreamRefused) -> None:
    """Upload with one request, or with small ones; raise `refusal` where those are refused too."""
    backoff = target.registry.backoff
    ways = [_Upload.send_at_once, _Upload.send_in_chunks]
    failures = 0
    while ways:
        try:
            ways[0](_begin_upload(target), blob)
        except StreamRefused:
            ways.pop(0)
        except RegistryUnavailable:
            failures += 1
            if failures >= backoff.attempts:
                raise
            backoff.wait(failures)
        else:
            return
    raise refusal


def _begin_upload(target: Repository) -> "_Upload":
    url = target.url("blobs/uploads/")
    response = target.registry.call("POST", url, target.scopes, body=b"")
    if response.status != ACCEPTED:
        raise unexpected_status("POST", url, response)
    return _Upload(target, target.registry.location(response, url))


@dataclass(frozen=True, slots=True)
class SentUpload:
    """An upload of which the registry has all bytes, and that has no name yet."""

    target: Repository
    location: str

    def complete(self, digest: str) -> None:
        """Say what the bytes are.

        Raises:
            RegistryRefused: the registry computed another digest.
            RegistryUnavailable: no answer, or the registry forgot the upload.

        """
        url = _with_digest(self.location, digest)
        response = self.target.registry.call("PUT", url, self.target.scopes, body=b"")
        _require_created(response, url)

    def cancel(self) -> None:
        """Let the registry forget the bytes, where it answers."""
        with suppress(DependencyError, RegistryRefused):
            self.target.registry.send_once("DELETE", self.location, self.target.scopes, {}, b"")


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload session: the address to continue at, and the byte to continue from."""

    target: Repository
    location: str
    offset: int = 0

    def send(self, stream: Stream) -> SentUpload:
        """Send the rest."""
        if self.offset >= stream.size:
            return SentUpload(self.target, self.location)

        headers = _describe_body(stream.size - self.offset)
        if self.offset:
            headers["Content-Range"] = f"{self.offset}-{stream.size - 1}"

        # Without retries: after a broken connection the registry has to say how much it has.
        response = self.target.registry.send_once(
            "PATCH",
            self.location,
            self.target.scopes,
            headers,
            body=lambda: stream.chunks(self.offset),
        )
        return SentUpload(self.target, self._accepted(response))

    def send_at_once(self, blob: Blob) -> None:
        """Send all bytes with the request that says what they are."""
        url = _with_digest(self.location, blob.digest)
        response = self.target.registry.send_once(
            "PUT",
            url,
            self.target.scopes,
            _describe_body(blob.size),
            body=lambda: blob.chunks(0),
        )
        if response.status in NO_STREAM - {400}:  # 400: another digest
            raise _refused("PUT", url, response)
        _require_created(response, url)

    def send_in_chunks(self, blob: Blob) -> None:
        """Send the bytes with many requests, none of which is large."""
        location, offset = self.location, 0
        for chunk in _cut(blob.chunks(0)):
            end = offset + len(chunk)
            headers = {**_describe_body(len(chunk)), "Content-Range": f"{offset}-{end - 1}"}
            response = self.target.registry.send_once(
                "PATCH", location, self.target.scopes, headers, body=chunk
            )
            location = self._accepted(response)
            offset = end
        SentUpload(self.target, location).complete(blob.digest)

    def resume(self) -> "_Upload | None":
        """Return the upload as far as the registry has it; None if the registry forgot it."""
        response = self.target.registry.call("GET", self.location, self.target.scopes)
        if response.status != NO_CONTENT:
            return None

        _, _, last = response.headers.get("Range", "").partition("-")
        if not last.isdigit() or last == "0":  # some registries mean no byte by "0-0", others one
            return None
        return _Upload(self.target, self._next_location(response), int(last) + 1)

    def cancel(self) -> None:
        """Let the registry forget it, where it answers."""
        SentUpload(self.target, self.location).cancel()

    def _accepted(self, response: urllib3.BaseHTTPResponse) -> str:
        """Return the address to continue at, after the registry took the bytes of a PATCH."""
        if response.status in {NOT_FOUND, RANGE_REFUSED}:
            raise RegistryUnavailable(
                f"registry PATCH {without_secrets(self.location)}: status {response.status}"
            )
        if response.status in NO_STREAM:
            raise _refused("PATCH", self.location, response)
        if response.status not in {ACCEPTED, CREATED, NO_CONTENT}:
            raise unexpected_status("PATCH", self.location, response)
        return self._next_location(response)

    def _next_location(self, response: urllib3.BaseHTTPResponse) -> str:
        if "Location" not in response.headers:
            return self.location
        return self.target.registry.location(response, self.location)


def _describe_body(size: int) -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Content-Length": str(size)}


def _with_digest(location: str, digest: str) -> str:
    joint = "&" if "?" in location else "?"
    return f"{location}{joint}digest={digest}"


def _require_created(response: urllib3.BaseHTTPResponse, url: str) -> None:
    if response.status == NOT_FOUND:
        raise RegistryUnavailable(
            f"registry PUT {without_secrets(url)}: the upload no longer exists"
        )
    if response.status not in {CREATED, NO_CONTENT}:
        raise unexpected_status("PUT", url, response)


def _refused(method: str, url: str, response: urllib3.BaseHTTPResponse) -> StreamRefused:
    return StreamRefused(str(unexpected_status(method, url, response)))


def _cut(chunks: Iterator[Block]) -> Iterator[bytes]:
    """Yield the same bytes in pieces of `CHUNK_BYTES`, the last of which is smaller."""
    piece = bytearray()
    for chunk in chunks:
        for begin in range(0, len(chunk), CHUNK_BYTES):
            piece += chunk[begin : begin + CHUNK_BYTES]
            while len(piece) >= CHUNK_BYTES:
                yield bytes(piece[:CHUNK_BYTES])
                del piece[:CHUNK_BYTES]
    if piece:
        yield bytes(piece)
