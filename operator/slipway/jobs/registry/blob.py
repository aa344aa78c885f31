"""Blobs: bytes that can be sent to a registry."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from slipway.jobs.file_tree import Block


class Blob(Protocol):
    """Bytes that can be sent repeatedly, and from any offset."""

    @property
    def digest(self) -> str:
        """``sha256:…``."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset` on."""


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """A blob in memory."""

    data: bytes

    @property
    def digest(self) -> str:
        """``sha256:…``."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def chunks(self, offset: int) -> Iterator[Block]:
        """Yield the bytes from `offset` on, in one piece."""
        yield self.data[offset:]
