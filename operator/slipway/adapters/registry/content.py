"""Manifests and blobs of repositories."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import urllib3
from urllib3.exceptions import HTTPError

from slipway.adapters.http import BLOCK_BYTES, for_people
from slipway.adapters.registry.client import Registry, Scopes, pull, push, refusal
from slipway.errors import RegistryRefused, RegistryUnavailable

OK, CREATED, ACCEPTED, NO_CONTENT, PARTIAL, NOT_FOUND = 200, 201, 202, 204, 206, 404
RANGE_REFUSED = 416
MOST_MANIFEST_BYTES = 4 * 2**20
"""The distribution spec asks registries to take at least this much."""


class Blob(Protocol):
    """Bytes that can be sent, again and from the middle."""

    @property
    def digest(self) -> str:
        """``sha256:…``."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from `offset` on."""


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """A small blob."""

    data: bytes

    @property
    def digest(self) -> str:
        """``sha256:…``."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Yield the rest at once."""
        yield self.data[offset:]


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or index as the registry has it."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry."""

    registry: Registry
    name: str

    def manifest(self, version: str, accept: Sequence[str]) -> RawManifest | None:
        """Read the manifest of a tag or digest; None where there is none.

        Raises:
            RegistryRefused: it may not be read, or is not what its digest says.
            RegistryUnavailable: no answer.

        """
        url = self._url(f"manifests/{version}")
        response = self.registry.call("GET", url, self._pull, headers={"Accept": ", ".join(accept)})
        if response.status == NOT_FOUND:
            return None
        if response.status != OK:
            raise refusal("GET", url, response)
        digest = f"sha256:{hashlib.sha256(response.data).hexdigest()}"
        if version.startswith("sha256:") and digest != version:
            raise RegistryRefused(
                f"registry {for_people(url)}: expected {version}, found content with {digest}"
            )
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return RawManifest(response.data, media_type, digest)

    def put_manifest(self, version: str, data: bytes, media_type: str) -> str:
        """Write a manifest under a tag, and return its digest.

        Raises:
            RegistryRefused: not allowed, or the registry stored something else.
            RegistryUnavailable: no answer.

        """
        url = self._url(f"manifests/{version}")
        headers = {"Content-Type": media_type}
        response = self.registry.call("PUT", url, self._push, headers=headers, body=data)
        if response.status not in {OK, CREATED}:
            raise refusal("PUT", url, response)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise RegistryRefused(f"registry {for_people(url)}: sent {digest}, it stored {stored}")
        return digest

    def read(self, digest: str, limit: int = MOST_MANIFEST_BYTES) -> bytes:
        """Read a small blob, such as an image's configuration, and verify it.

        Raises:
            RegistryRefused: it is missing, larger than `limit` bytes, or not what its digest says.
            RegistryUnavailable: no answer.

        """
        data = b""
        for block in self.stream(digest, 0):
            data += block
            if len(data) > limit:
                raise RegistryRefused(f"blob {digest} of {self.name}: more than {limit} bytes")
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise RegistryRefused(f"blob {digest} of {self.name}: its content has another digest")
        return data

    def stream(self, digest: str, offset: int) -> Iterator[bytes]:
        """Yield a blob's bytes from `offset` on.

        Raises:
            RegistryRefused: it is missing or may not be read.
            RegistryUnavailable: no answer, or the connection broke.

        """
        url = self._url(f"blobs/{digest}")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.registry.call("GET", url, self._pull, headers=headers, stream=True)
        try:
            if response.status not in {OK, PARTIAL}:
                raise refusal("GET", url, response)
            skip = offset if response.status == OK else 0
            for block in response.stream(BLOCK_BYTES, decode_content=False):
                yield block[skip:]
                skip = max(0, skip - len(block))
        except HTTPError as error:
            raise RegistryUnavailable(f"registry GET {for_people(url)}: cut off") from error
        finally:
            response.close()

    def has(self, digest: str) -> bool:
        """Tell whether the blob is there."""
        response = self.registry.call("HEAD", self._url(f"blobs/{digest}"), self._push)
        return response.status == OK

    def mount(self, digest: str, origin: str) -> bool:
        """Ask the registry to take a blob over from another of its repositories."""
        scopes = (push(self.name), pull(origin))
        url = self._url(f"blobs/uploads/?mount={digest}&from={origin}")
        response = self.registry.call("POST", url, scopes, body=b"")
        if response.status == ACCEPTED:  # no: it opened an ordinary upload instead
            session = self.registry.location(response, url)
            self.registry.call("DELETE", session, self._push)
        return response.status == CREATED

    def push(self, blob: Blob) -> bool:
        """Send a blob unless it is there; return whether it was sent.

        A broken connection goes on at the byte where the registry says that it stopped.

        Raises:
            RegistryRefused: not allowed, or the content has another digest.
            RegistryUnavailable: no end after all attempts.

        """
        if self.has(blob.digest):
            return False
        backoff = self.registry.backoff
        upload, failures = _Upload(self, self._begin()), 0
        while True:
            try:
                upload.send(blob)
            except RegistryUnavailable:
                failures += 1
                if failures >= backoff.attempts:
                    raise
                backoff.wait(failures)
                if self.has(blob.digest):  # all was well but the last answer
                    return True
                upload = upload.resumed() or _Upload(self, self._begin())
            else:
                return True

    def _begin(self) -> str:
        url = self._url("blobs/uploads/")
        response = self.registry.call("POST", url, self._push, body=b"")
        if response.status != ACCEPTED:
            raise refusal("POST", url, response)
        return self.registry.location(response, url)

    def _url(self, path: str) -> str:
        return self.registry.url(self.name, path)

    @property
    def _pull(self) -> Scopes:
        return (pull(self.name),)

    @property
    def _push(self) -> Scopes:
        return (push(self.name),)


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload session: where it goes on, and from which byte."""

    repository: Repository
    location: str
    offset: int = 0

    def send(self, blob: Blob) -> None:
        location = self.location
        if self.offset < blob.size:
            location = self._patch(blob)
        joint = "&" if "?" in location else "?"
        url = f"{location}{joint}digest={blob.digest}"
        response = self._registry.call("PUT", url, self._scopes, body=b"")
        if response.status == NOT_FOUND:
            raise RegistryUnavailable(f"registry PUT {for_people(url)}: the upload is gone")
        if response.status not in {CREATED, NO_CONTENT}:
            raise refusal("PUT", url, response)

    def resumed(self) -> "_Upload | None":
        """Ask how far it got; None where the session is lost."""
        response = self._registry.call("GET", self.location, self._scopes)
        if response.status != NO_CONTENT:
            return None
        _, _, last = response.headers.get("Range", "").partition("-")
        if not last.isdigit() or last == "0":  # "0-0" means nothing to some, one byte to others
            return None
        return _Upload(self.repository, self._next(response), int(last) + 1)

    def _patch(self, blob: Blob) -> str:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(blob.size - self.offset),
        }
        if self.offset:
            headers["Content-Range"] = f"{self.offset}-{blob.size - 1}"
        response = self._registry.once(
            "PATCH",
            self.location,
            self._scopes,
            headers=headers,
            body=lambda: blob.chunks(self.offset),
        )
        if response.status in {NOT_FOUND, RANGE_REFUSED}:
            raise RegistryUnavailable(
                f"registry PATCH {for_people(self.location)}: status {response.status}"
            )
        if response.status not in {ACCEPTED, CREATED, NO_CONTENT}:
            raise refusal("PATCH", self.location, response)
        return self._next(response)

    def _next(self, response: urllib3.BaseHTTPResponse) -> str:
        if "Location" not in response.headers:
            return self.location
        return self._registry.location(response, self.location)

    @property
    def _registry(self) -> Registry:
        return self.repository.registry

    @property
    def _scopes(self) -> Scopes:
        return (push(self.repository.name),)
