"""The content of a ControllerRevision: everything that a revision needs, fully resolved.

A revision's objects are applied from its snapshot and never rendered again, so an upgrade of the
operator changes nothing about revisions that exist.
"""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel, Digest, Manifest, Revision
from slipway.api.precision import Optimized
from slipway.api.protocol import Protocol
from slipway.api.request import PackageMode
from slipway.api.result import Signature, SignedFiles, Warnings

FORMAT = 1
"""Version of this format; increased when the meaning of a field changes."""


class RevisionSnapshot(ApiModel):
    """The data of a ControllerRevision."""

    format: int = FORMAT
    revision: Revision
    input: Annotated[str, Field(max_length=64)]
    """Hash of the input that the revision was made from."""
    version: str
    model_name: str
    mode: PackageMode
    model_digest: Digest
    base_digest: Digest | None = None
    image: str
    """Image of the server container; ``repository@sha256:…`` in Image mode."""
    model_image: str | None = None
    """Image that the model is mounted from, ``repository@sha256:…``; Volume mode only."""
    server_version: str | None = None
    signature: Signature | None = None
    signed: SignedFiles | None = None
    """Who signed the model's files; None where no signature was asked for."""
    optimized: Optimized | None = None
    """What the model was converted to; None where no conversion was asked for."""
    warnings: Warnings | None = None
    """What was changed or left out when the model was packaged; None where nothing was."""
    protocols: list[Protocol]
    start_seconds: int
    drain_seconds: int
    deployment: Manifest
    """Without `replicas`, which the scaler owns."""
    service: Manifest
