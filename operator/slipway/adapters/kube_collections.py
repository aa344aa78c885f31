"""Lists and watches of what Slipway made, in one namespace or in all of them."""

from collections.abc import AsyncGenerator
from http import HTTPStatus

import aiohttp

from slipway.adapters.api_errors import error_from, require_success
from slipway.adapters.connection import ApiResponse, Connection
from slipway.adapters.metadata import watch_selector
from slipway.api.kinds import Kind
from slipway.engine.follow import ListedObjects
from slipway.engine.watch_events import WatchEvent, parse_event, split_lines
from slipway.errors import ClusterUnavailable

PAGE = 100
"""Objects; larger pages leave more memory behind, once they have been read."""
PAGE_SECONDS = 30.0
SILENCE_SECONDS = 70.0
"""A watch without any sign of life for so long, bookmarks included, is reopened."""


class KubeCollections:
    """Fits `slipway.engine.follow.Collections`."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        """`namespace` None: all of them."""
        self._connection = connection
        self._namespace = namespace

    async def list(self, kind: Kind, rest: str = "") -> ListedObjects:
        """Read a page, as the protocol says."""
        path = kind.path(self._namespace)
        query = {"limit": str(PAGE), **_selector(kind)}
        if rest:
            query["continue"] = rest

        response = await self._connection.request(
            "GET", path, query=query, timeout_seconds=PAGE_SECONDS
        )
        page = require_success(response, f"GET {path}").json()

        items = [{**kind.type_meta, **item} for item in page.get("items") or ()]
        place = page["metadata"]
        return ListedObjects(items, place["resourceVersion"], place.get("continue") or "")

    async def watch(self, kind: Kind, version: str) -> AsyncGenerator[WatchEvent, None]:
        """Follow a collection, as the protocol says; the API server ends it within the hour."""
        path = kind.path(self._namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            **_selector(kind),
        }

        async with self._connection.stream(
            path, query, silence_seconds=SILENCE_SECONDS
        ) as response:
            await _require_stream(response, path)
            try:
                async for line in split_lines(response.content.iter_any()):
                    yield parse_event(line)
            except ValueError as error:
                raise ClusterUnavailable(f"watch of {path}: {error!r}") from error


def _selector(kind: Kind) -> dict[str, str]:
    labels = watch_selector(kind)
    return {} if labels is None else {"labelSelector": labels}


async def _require_stream(response: aiohttp.ClientResponse, path: str) -> None:
    if response.status != HTTPStatus.OK:
        refusal = ApiResponse(response.status, None, await response.read())
        raise error_from(refusal, f"watch of {path}")
