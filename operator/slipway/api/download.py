"""How far a download is: the document that a fetching pod serves at ``/v1/download``."""

from typing import Annotated

from pydantic import Field

from slipway.api.base import ApiModel

PATH = "/v1/download"
MOST_BYTES = 10**15
MOST_SECONDS = 10**7
Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]


class DownloadProgress(ApiModel):
    """What one pod has fetched so far."""

    bytes: Bytes
    """Bytes that are there."""
    total_bytes: Bytes | None = None
    """Bytes that are expected; absent where the source does not say."""
    seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS)]
    """Since it began."""
