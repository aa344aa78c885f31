"""Answers Envoy's polls for endpoints and certificates, over a UNIX socket.

A poll is held until the resource differs from the one that Envoy has, so nothing moves at rest.
Before the first `publish` every poll is held, so a restarting agent never takes anything away.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from slipway.api.base import Manifest
from slipway.render.access import JWKS_PATH
from slipway.render.envoy import ENDPOINTS_PATH, HOLD_PATH, SECRETS_PATH

REFUSED_PAUSE_SECONDS = 5.0
"""Envoy repeats a poll at once after it refused the answer."""


class Discovery:
    """Holds the newest version of every resource of one type, such as a cluster's endpoints."""

    def __init__(self) -> None:
        self._documents: Mapping[str, Manifest] = {}
        self._sent: dict[str, str | None] = {}
        """By resource: the version that Envoy has, or is about to have."""
        self._refused: dict[str, str | None] = {}
        """By resource: the version that Envoy refused last."""
        self._changed = asyncio.Event()

    def publish(self, documents: Mapping[str, Manifest]) -> set[str]:
        """Replace all resources, and answer the polls for those that differ; return which do."""
        if documents == self._documents:
            return set()

        before, self._documents = self._documents, dict(documents)
        self._sent = {name: each for name, each in self._sent.items() if name in documents}
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()
        return {name for name, each in documents.items() if before.get(name) != each}

    def version(self, name: str) -> str | None:
        """Return the version of the newest resource of that name."""
        document = self._documents.get(name)
        return None if document is None else str(document["version_info"])

    def is_in_force(self, name: str, observed: str | None) -> bool:
        """Return whether Envoy reports the newest resource, and no other is on its way."""
        newest = self.version(name)
        return observed == newest and self._sent.get(name, newest) in (None, newest)

    def is_refused(self, name: str) -> bool:
        """Return whether Envoy refused the newest resource of that name."""
        return name in self._refused and self._refused[name] == self.version(name)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a poll when there is something new for it."""
        poll = _Poll.parse(await request.content.read())
        if poll.refused:
            self._refused[poll.name] = self._sent.get(poll.name)
            await asyncio.sleep(REFUSED_PAUSE_SECONDS)

        self._sent[poll.name] = poll.version
        while self.version(poll.name) in (None, poll.version):
            await self._changed.wait()

        self._sent[poll.name] = self.version(poll.name)
        return web.json_response(self._documents[poll.name])


def serve_discovery(
    endpoints: Discovery,
    secrets: Discovery,
    key_set: Callable[[str], str | None],
    hold: Callable[[web.Request], Awaitable[web.Response]],
) -> web.Application:
    """Return the HTTP application for the socket.

    `key_set` returns the one of a name, if any; `hold` answers when a request may go on.
    """

    async def answer_key_set(request: web.Request) -> web.Response:
        found = key_set(f"{request.match_info['route']}/{request.match_info['tokens']}")
        if found is None:
            return web.Response(status=503)
        return web.Response(text=found, content_type="application/json")

    application = web.Application()
    application.router.add_post(ENDPOINTS_PATH, endpoints.answer)
    application.router.add_post(SECRETS_PATH, secrets.answer)
    application.router.add_route("*", f"{HOLD_PATH}/{{route}}", hold)
    application.router.add_get(f"{JWKS_PATH}/{{route}}/{{tokens}}", answer_key_set)
    return application


@dataclass(frozen=True, slots=True)
class _Poll:
    """The three fields of a poll that matter; the rest is 300 kB about Envoy's extensions."""

    name: str
    version: str | None
    refused: bool

    @classmethod
    def parse(cls, body: bytes) -> "_Poll":
        found = json.loads(body)
        name = str(found["resource_names"][0])
        return cls(name, found.get("version_info"), "error_detail" in found)
