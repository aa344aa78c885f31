"""Manifests and blobs of repositories."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from urllib3.exceptions import HTTPError

from slipway.errors import RegistryRefused, RegistryUnavailable
from slipway.jobs.http import BLOCK_BYTES, without_secrets
from slipway.jobs.registry.client import (
    RegistryClient,
    Scopes,
    pull_scope,
    push_scope,
    unexpected_status,
)

OK, CREATED, ACCEPTED, PARTIAL, NOT_FOUND = 200, 201, 202, 206, 404
MAX_MANIFEST_BYTES = 4 * 2**20
"""The distribution spec asks registries to take at least this much."""


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or index as the registry has it."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of a registry."""

    registry: RegistryClient
    name: str
    is_writable: bool = False
    """True asks for the right to write from the start: many registries deny reading a repository
    that does not exist yet to whoever may not create it."""

    def manifest(self, version: str, accept: Sequence[str]) -> RawManifest | None:
        """Read the manifest of a tag or digest; None where there is none.

        Raises:
            RegistryRefused: it may not be read, or is not what its digest says.
            RegistryUnavailable: no answer.

        """
        url = self.url(f"manifests/{version}")
        response = self.registry.call(
            "GET", url, self.scopes, headers={"Accept": ", ".join(accept)}
        )
        if response.status == NOT_FOUND:
            return None
        if response.status != OK:
            raise unexpected_status("GET", url, response)
        digest = f"sha256:{hashlib.sha256(response.data).hexdigest()}"
        if version.startswith("sha256:") and digest != version:
            raise RegistryRefused(
                f"registry {without_secrets(url)}: expected {version}, found content with {digest}"
            )
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return RawManifest(response.data, media_type, digest)

    def put_manifest(self, version: str, data: bytes, media_type: str) -> str:
        """Write a manifest under a tag, and return its digest.

        Raises:
            RegistryRefused: not allowed, or the registry stored something else.
            RegistryUnavailable: no answer.

        """
        url = self.url(f"manifests/{version}")
        headers = {"Content-Type": media_type}
        response = self.registry.call("PUT", url, self.scopes, headers=headers, body=data)
        if response.status not in {OK, CREATED}:
            raise unexpected_status("PUT", url, response)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise RegistryRefused(
                f"registry {without_secrets(url)}: sent {digest}, it stored {stored}"
            )
        return digest

    def read(self, digest: str, limit: int = MAX_MANIFEST_BYTES) -> bytes:
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
        url = self.url(f"blobs/{digest}")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.registry.call("GET", url, self.scopes, headers=headers, stream=True)
        try:
            if response.status not in {OK, PARTIAL}:
                raise unexpected_status("GET", url, response)
            skip = offset if response.status == OK else 0
            for block in response.stream(BLOCK_BYTES, decode_content=False):
                yield block[skip:]
                skip = max(0, skip - len(block))
        except HTTPError as error:
            raise RegistryUnavailable(f"registry GET {without_secrets(url)}: cut off") from error
        finally:
            response.close()

    def has(self, digest: str) -> bool:
        """Tell whether the blob is there."""
        response = self.registry.call("HEAD", self.url(f"blobs/{digest}"), self.scopes)
        return response.status == OK

    def mount(self, digest: str, origin: str) -> bool:
        """Ask the registry to take a blob over from another of its repositories."""
        scopes = (*self.scopes, pull_scope(origin))
        url = self.url(f"blobs/uploads/?mount={digest}&from={origin}")
        response = self.registry.call("POST", url, scopes, body=b"")
        if response.status == ACCEPTED:  # no: it opened an ordinary upload instead
            session = self.registry.location(response, url)
            self.registry.call("DELETE", session, self.scopes)
        return response.status == CREATED

    def url(self, path: str) -> str:
        """Return the address of something in this repository."""
        return self.registry.url(self.name, path)

    @property
    def scopes(self) -> Scopes:
        """The rights that requests need."""
        return (push_scope(self.name) if self.is_writable else pull_scope(self.name),)
