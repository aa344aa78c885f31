"""What a ControllerRevision freezes: everything that a revision needs, as resolved.

Live objects are applied only from here and never rendered again, so that an operator upgrade is a
no-op for every revision that exists.
"""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Digest, Manifest, Revision
from slipway.api.protocol import Protocol
from slipway.api.request import PackageMode
from slipway.api.result import Signature

FORMAT = 1
"""Raised when the meaning of a field changes."""


class RevisionSnapshot(ApiModel):
    """The data of a ControllerRevision."""

    format: int = FORMAT
    revision: Revision
    input: Annotated[str, Field(max_length=64)]
    version: str
    model_name: str
    mode: PackageMode
    model_digest: Digest
    base_digest: Digest | None = None
    image: str
    """What the pods run: ``repository@sha256:…`` in Image mode."""
    server_version: str | None = None
    signature: Signature | None = None
    protocols: list[Protocol]
    start_seconds: int
    drain_seconds: int
    deployment: Manifest
    """Without replicas: the scaler owns them."""
    service: Manifest
