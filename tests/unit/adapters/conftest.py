"""A small API server, and a connection to it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from kubernetes.aio import client
from slipway.adapters.connection import Connection


@dataclass
class Server:
    """Answers with what the test put on the list, then with 200 and an empty object."""

    answers: list[web.Response] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    stream: list[bytes] | None = None
    """Pieces of a response without an end, which a watch gets; None: it gets an answer."""
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.stream is None or "watch" not in request.query:
            return self.answers.pop(0) if self.answers else web.json_response({})

        response = web.StreamResponse()
        await response.prepare(request)
        for piece in self.stream:
            await response.write(piece)
        await asyncio.Event().wait()
        return response


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    configuration = client.Configuration(host=f"http://127.0.0.1:{server.port}")
    connection = Connection(configuration, user_agent="slipway-operator/test")
    yield connection
    await connection.close()
