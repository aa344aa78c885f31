"""The lines of a watch, and what each of them says."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from slipway.api.base import Manifest
from slipway.errors import ClusterUnavailable


class WatchExpired(ClusterUnavailable):
    """The API server no longer has the version from which to continue: list again."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    object: Manifest

    @property
    def version(self) -> str:
        """The version from which a new watch continues."""
        return str(self.object["metadata"]["resourceVersion"])


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split by line; aiohttp's own reader refuses lines as long as a big EndpointSlice."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line


def parse_event(line: bytes) -> WatchEvent:
    """Return what one line says.

    Raises:
        WatchExpired: the version from which the watch began is too old.
        ClusterUnavailable: the API server ends the watch, and says why.
        ValueError: this is no line of a watch.

    """
    body = json.loads(line)
    if body["type"] == "ERROR":
        status = body["object"]
        if status.get("code") == HTTPStatus.GONE:
            raise WatchExpired(str(status.get("message")))
        raise ClusterUnavailable(f"watch: {status.get('message')}")
    return WatchEvent(body["type"], body["object"])
