"""Answers Envoy's polls for endpoints, over a UNIX socket.

A poll is held until the cluster's endpoints differ from those that Envoy has, so nothing moves at
rest. Before the first `publish` every poll is held, so a restarting agent never takes endpoints
away.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from slipway.api.base import Manifest
from slipway.render.envoy import ENDPOINTS_PATH

REFUSED_PAUSE_SECONDS = 5.0
"""Envoy repeats a poll at once after it refused the answer."""


class Discovery:
    """Holds the newest endpoints of every cluster."""

    def __init__(self) -> None:
        self._documents: Mapping[str, Manifest] = {}
        self._sent: dict[str, str | None] = {}
        """By cluster: the version that Envoy has, or is about to have."""
        self._changed = asyncio.Event()

    def publish(self, documents: Mapping[str, Manifest]) -> set[str]:
        """Replace all endpoints, and answer the polls whose endpoints differ; return whose do."""
        if documents == self._documents:
            return set()

        before, self._documents = self._documents, dict(documents)
        self._sent = {name: each for name, each in self._sent.items() if name in documents}
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()
        return {name for name, each in documents.items() if before.get(name) != each}

    def version(self, cluster: str) -> str | None:
        """Return the version of a cluster's newest endpoints."""
        document = self._documents.get(cluster)
        return None if document is None else str(document["version_info"])

    def is_in_force(self, cluster: str, observed: str | None) -> bool:
        """Return whether Envoy reports the newest endpoints, and no others are on their way."""
        newest = self.version(cluster)
        return observed == newest and self._sent.get(cluster, newest) in (None, newest)

    def application(self) -> web.Application:
        """Return the HTTP application for the socket."""
        application = web.Application()
        application.router.add_post(ENDPOINTS_PATH, self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        poll = _Poll.parse(await request.content.read())
        if poll.refused:
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)

        self._sent[poll.cluster] = poll.version
        while self.version(poll.cluster) in (None, poll.version):
            await self._changed.wait()

        self._sent[poll.cluster] = self.version(poll.cluster)
        return web.json_response(self._documents[poll.cluster])


@dataclass(frozen=True, slots=True)
class _Poll:
    """The three fields of a poll that matter; the rest is 300 kB about Envoy's extensions."""

    cluster: str
    version: str | None
    refused: bool

    @classmethod
    def parse(cls, body: bytes) -> "_Poll":
        found = json.loads(body)
        cluster = str(found["resource_names"][0])
        return cls(cluster, found.get("version_info"), "error_detail" in found)
