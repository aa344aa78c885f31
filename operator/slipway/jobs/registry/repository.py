"""Repositories: reading and writing their manifests and blobs."""

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
"""Size that the distribution spec requires registries to accept."""


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest or index, byte for byte as the registry has it."""

    data: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a registry."""

    registry: RegistryClient
    name: str
    is_writable: bool = False
    """True asks for the right to write from the start: many registries refuse to read a repository
    that does not exist yet, unless one may create it."""

    def manifest(self, version: str, accept: Sequence[str]) -> RawManifest | None:
        """Return the manifest of a tag or digest; None if there is none.

        Raises:
            RegistryRefused: reading is not allowed, or the content has another digest.
            RegistryUnavailable: the registry does not answer.

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
                f"registry {without_secrets(url)}: expected digest {version}, found {digest}"
            )

        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return RawManifest(response.data, media_type, digest)

    def put_manifest(self, version: str, data: bytes, media_type: str) -> str:
        """Write a manifest under a tag, and return its digest.

        Raises:
            RegistryRefused: writing is not allowed, or the registry stored something else.
            RegistryUnavailable: the registry does not answer.

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
                f"registry {without_secrets(url)}: sent a manifest with digest {digest}, the "
                f"registry stored {stored}"
            )
        return digest

    def read(self, digest: str, limit: int = MAX_MANIFEST_BYTES) -> bytes:
        """Return a small blob, such as an image's configuration, after verifying it.

        Raises:
            RegistryRefused: it is missing, larger than `limit` bytes, or has another digest.
            RegistryUnavailable: the registry does not answer.

        """
        data = b""
        for block in self.stream(digest, 0):
            data += block
            if len(data) > limit:
                raise RegistryRefused(
                    f"blob {digest} of {self.name}: found more than {limit} bytes"
                )

        found = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if found != digest:
            raise RegistryRefused(
                f"blob {digest} of {self.name}: found content with digest {found}"
            )
        return data

    def stream(self, digest: str, offset: int) -> Iterator[bytes]:
        """Yield a blob's bytes from `offset` on.

        Raises:
            RegistryRefused: it is missing, or reading is not allowed.
            RegistryUnavailable: the registry does not answer, or the connection broke.

        """
        url = self.url(f"blobs/{digest}")
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self.registry.call("GET", url, self.scopes, headers=headers, stream=True)

        try:
            if response.status not in {OK, PARTIAL}:
                raise unexpected_status("GET", url, response)

            # A registry may ignore Range and send everything.
            skip = offset if response.status == OK else 0
            for block in response.stream(BLOCK_BYTES, decode_content=False):
                yield block[skip:]
                skip = max(0, skip - len(block))

        except HTTPError as error:
            raise RegistryUnavailable(
                f"registry GET {without_secrets(url)}: the connection broke"
            ) from error
        finally:
            response.close()

    def has(self, digest: str) -> bool:
        """Return whether the repository has the blob."""
        response = self.registry.call("HEAD", self.url(f"blobs/{digest}"), self.scopes)
        return response.status == OK

    def mount(self, digest: str, origin: str) -> bool:
        """Take a blob over from another repository of the same registry; return whether it did."""
        scopes = (*self.scopes, pull_scope(origin))
        url = self.url(f"blobs/uploads/?mount={digest}&from={origin}")
        response = self.registry.call("POST", url, scopes, body=b"")

        if response.status == ACCEPTED:  # refused: the registry began an ordinary upload instead
            session = self.registry.location(response, url)
            self.registry.call("DELETE", session, self.scopes)
        return response.status == CREATED

    def url(self, path: str) -> str:
        """Return the URL of a path in this repository."""
        return self.registry.url(self.name, path)

    @property
    def scopes(self) -> Scopes:
        """The rights that requests to this repository need."""
        return (push_scope(self.name) if self.is_writable else pull_scope(self.name),)
