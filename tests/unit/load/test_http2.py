"""The HTTP/2 client against a server that goes away as Envoy does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

from tests.load.http2 import Http2Sender
from tests.load.ledger import Answer
from tests.load.plan import LoadPlan, Wire
from tests.unit.agent.waiting import until

GOAWAY_SO_FAR = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00"
"""Of Envoy's drain: no stream is refused yet, and the client is asked to begin none."""


@dataclass
class Server:
    """Answers each stream once it is told to."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    leaves: bool = True
    hangs_up: bool = False
    connections: int = 0
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        if not self.hangs_up:
            await self._converse(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.open -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        writer.write(state.data_to_send())
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.StreamEnded):
                        await self._answer(event.stream_id, state, writer)
                writer.write(state.data_to_send())

    async def _answer(
        self, stream: int, state: h2.connection.H2Connection, writer: asyncio.StreamWriter
    ) -> None:
        if self.leaves:
            writer.write(state.data_to_send() + GOAWAY_SO_FAR)
        self.asked.set()
        await self.answers.wait()
        head = [(":status", "200"), ("x-slipway-revision", "aaaaaaaa")]
        state.send_headers(stream, head)
        state.send_data(stream, b"{}", end_stream=True)


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Http2Sender]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    plan = LoadPlan(f"127.0.0.1:{port}", "digits", [[0.5]], wire=Wire.HTTP2)
    async with listening:
        async with Http2Sender(plan) as sender:
            yield sender
        await until("all connections are closed", lambda: server.open == 0)


async def test_what_is_under_way_at_a_goaway_is_answered_and_the_next_goes_elsewhere() -> None:
    server = Server()
    async with serving(server) as sender:
        first = asyncio.create_task(sender.send(0))
        await server.asked.wait()
        server.leaves = False
        server.answers.set()
        assert await first == Answer("aaaaaaaa")
        assert await sender.send(0) == Answer("aaaaaaaa")
    assert server.connections == 2


async def test_a_connection_that_breaks_off_is_a_failure() -> None:
    server = Server(hangs_up=True)
    async with serving(server) as sender:
        answer = await sender.send(0)
    assert answer.cause
