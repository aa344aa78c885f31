"""Pods that fetch a model, asked how far they are."""

import json

from slipway.adapters.pod_pages import PodPages
from slipway.api import names
from slipway.api.download import PATH, DownloadProgress
from slipway.api.reasons import Why

MAX_BYTES = 1024


class FetchingPods:
    """Fits `slipway.reconcile.ports.DownloadSource`."""

    def __init__(self, *, port: int = names.DOWNLOAD_PORT) -> None:
        self._pages = PodPages(port, most_bytes=MAX_BYTES)

    async def read(self, address: str) -> DownloadProgress | None:
        """Read one pod (``<pod IP>``); None where it does not say in time, or nothing that fits."""
        page = await self._pages.read(address, PATH)
        if isinstance(page, Why):
            return None
        try:
            return DownloadProgress.model_validate(json.loads(page))
        except (ValueError, RecursionError):
            return None

    async def close(self) -> None:
        """Close all connections."""
        await self._pages.close()
