"""Sending a blob: once if it is not there, and on from where a connection broke."""

from dataclasses import dataclass

import urllib3

from slipway.errors import RegistryUnavailable
from slipway.jobs.http import without_secrets
from slipway.jobs.registry.blob import Blob
from slipway.jobs.registry.client import unexpected_status
from slipway.jobs.registry.repository import Repository

CREATED, ACCEPTED, NO_CONTENT, NOT_FOUND, RANGE_REFUSED = 201, 202, 204, 404, 416


def push_blob(target: Repository, blob: Blob) -> bool:
    """Send a blob unless it is there; return whether it was sent.

    A broken connection goes on at the byte where the registry says that it stopped; a registry
    that does not remember (docker-registry is one) gets it all again.

    Raises:
        RegistryRefused: not allowed, or the content has another digest.
        RegistryUnavailable: no end after all attempts.

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
            if target.has(blob.digest):  # all was well but the last answer
                return True
            upload = upload.resumed() or _begin_upload(target)
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
    """An upload session: where it goes on, and from which byte."""

    target: Repository
    location: str
    offset: int = 0

    def send(self, blob: Blob) -> None:
        location = self.location
        if self.offset < blob.size:
            location = self._patch(blob)
        joint = "&" if "?" in location else "?"
        url = f"{location}{joint}digest={blob.digest}"
        response = self.target.registry.call("PUT", url, self.target.scopes, body=b"")
        if response.status == NOT_FOUND:
            raise RegistryUnavailable(f"registry PUT {without_secrets(url)}: the upload is gone")
        if response.status not in {CREATED, NO_CONTENT}:
            raise unexpected_status("PUT", url, response)

    def resumed(self) -> "_Upload | None":
        """Ask how far it got; None where the session is lost."""
        response = self.target.registry.call("GET", self.location, self.target.scopes)
        if response.status != NO_CONTENT:
            return None
        _, _, last = response.headers.get("Range", "").partition("-")
        if not last.isdigit() or last == "0":  # "0-0" means nothing to some, one byte to others
            return None
        return _Upload(self.target, self._next(response), int(last) + 1)

    def _patch(self, blob: Blob) -> str:
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(blob.size - self.offset),
        }
        if self.offset:
            headers["Content-Range"] = f"{self.offset}-{blob.size - 1}"
        response = self.target.registry.once(
            "PATCH",
            self.location,
            self.target.scopes,
            headers=headers,
            body=lambda: blob.chunks(self.offset),
        )
        if response.status in {NOT_FOUND, RANGE_REFUSED}:
            raise RegistryUnavailable(
                f"registry PATCH {without_secrets(self.location)}: status {response.status}"
            )
        if response.status not in {ACCEPTED, CREATED, NO_CONTENT}:
            raise unexpected_status("PATCH", self.location, response)
        return self._next(response)

    def _next(self, response: urllib3.BaseHTTPResponse) -> str:
        if "Location" not in response.headers:
            return self.location
        return self.target.registry.location(response, self.location)
