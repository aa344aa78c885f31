"""Uploading a blob: only if it is missing, and resumed where a connection broke."""

from dataclasses import dataclass

import urllib3

from slipway.errors import RegistryUnavailable
from slipway.jobs.http import without_secrets
from slipway.jobs.registry.blob import Blob
from slipway.jobs.registry.client import unexpected_status
from slipway.jobs.registry.repository import Repository

CREATED, ACCEPTED, NO_CONTENT, NOT_FOUND, RANGE_REFUSED = 201, 202, 204, 404, 416


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
            upload.send(blob)
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


def _begin_upload(target: Repository) -> "_Upload":
    url = target.url("blobs/uploads/")
    response = target.registry.call("POST", url, target.scopes, body=b"")
    if response.status != ACCEPTED:
        raise unexpected_status("POST", url, response)
    return _Upload(target, target.registry.location(response, url))


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload session: the address to continue at, and the byte to continue from."""

    target: Repository
    location: str
    offset: int = 0

    def send(self, blob: Blob) -> None:
        """Send the rest of the blob, and complete the upload."""
        location = self.location
        if self.offset < blob.size:
            location = self._send_rest(blob)

        joint = "&" if "?" in location else "?"
        url = f"{location}{joint}digest={blob.digest}"
        response = self.target.registry.call("PUT", url, self.target.scopes, body=b"")
        if response.status == NOT_FOUND:
            raise RegistryUnavailable(
                f"registry PUT {without_secrets(url)}: the upload no longer exists"
            )
        if response.status not in {CREATED, NO_CONTENT}:
            raise unexpected_status("PUT", url, response)

    def resume(self) -> "_Upload | None":
        """Return the upload as far as the registry has it; None if the registry forgot it."""
        response = self.target.registry.call("GET", self.location, self.target.scopes)
        if response.status != NO_CONTENT:
            return None

        _, _, last = response.headers.get("Range", "").partition("-")
        if not last.isdigit() or last == "0":  # some registries mean no byte by "0-0", others one
            return None
        return _Upload(self.target, self._next_location(response), int(last) + 1)

    def _send_rest(self, blob: Blob) -> str:
        """Send the bytes from the offset on, and return the address to continue at."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(blob.size - self.offset),
        }
        if self.offset:
            headers["Content-Range"] = f"{self.offset}-{blob.size - 1}"

        # Without retries: after a broken connection the registry has to say how much it has.
        response = self.target.registry.send_once(
            "PATCH",
            self.location,
            self.target.scopes,
            headers,
            body=lambda: blob.chunks(self.offset),
        )

        if response.status in {NOT_FOUND, RANGE_REFUSED}:
            raise RegistryUnavailable(
                f"registry PATCH {without_secrets(self.location)}: status {response.status}"
            )
        if response.status not in {ACCEPTED, CREATED, NO_CONTENT}:
            raise unexpected_status("PATCH", self.location, response)
        return self._next_location(response)

    def _next_location(self, response: urllib3.BaseHTTPResponse) -> str:
        if "Location" not in response.headers:
            return self.location
        return self.target.registry.location(response, self.location)
