"""HTTP/2 as a careful client speaks it: what is under way when a server says GOAWAY goes on."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.load.ledger import NO_REVISION, Answer
from tests.load.plan import LoadPlan
from tests.load.senders import REVISION_HEADER, http_body

CONNECTIONS = 4
READ_BYTES = 65_536
HEAD_BYTES = 9
GOAWAY = 7


@dataclass(slots=True)
class Response:
    """What came for one stream."""

    status: str = ""
    revision: str = NO_REVISION
    body: bytearray = field(default_factory=bytearray)
    broken: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, broken: str = "") -> None:
        """Note that no more will come, and why if that is too early."""
        if not self.ended.is_set():
            self.broken = broken
            self.ended.set()


class Connection:
    """One connection; `h2` closes its state machine at a GOAWAY, so it is kept from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._responses: dict[int, Response] = {}
        self._unread = b""
        self.takes_more = True
        """No GOAWAY has come, and the connection is open."""
        self._state.initiate_connection()
        self._flush()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, address: str) -> "Connection":
        """Connect without TLS, as a client that knows that the server speaks HTTP/2."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def post(self, address: str, path: str, body: bytes) -> Response:
        """Send one request, and return what came for it."""
        number, response = self._state.get_next_available_stream_id(), Response()
        self._responses[number] = response
        head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", address),
            (":path", path),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
        ]
        try:
            self._state.send_headers(number, head)
            self._state.send_data(number, body, end_stream=True)
            self._flush()
            await response.ended.wait()
        finally:
            del self._responses[number]
            if not self.takes_more and not self._responses:
                self._writer.close()
        return response

    def close(self) -> None:
        """Close it at once."""
        self.takes_more = False
        self._reading.cancel()
        self._writer.close()

    async def _read(self) -> None:
        broken = "the connection was closed"
        try:
            while data := await self._reader.read(READ_BYTES):
                for frame in self._frames(data):
                    self._take(frame)
                self._flush()
        except (OSError, h2.exceptions.ProtocolError) as error:
            broken = f"{type(error).__name__}: {error}"
        self.takes_more = False
        for response in self._responses.values():
            response.end(broken)

    def _frames(self, data: bytes) -> Iterator[bytes]:
        self._unread += data
        while len(self._unread) >= HEAD_BYTES:
            size = HEAD_BYTES + int.from_bytes(self._unread[:3])
            if len(self._unread) < size:
                return
            frame, self._unread = self._unread[:size], self._unread[size:]
            yield frame

    def _take(self, frame: bytes) -> None:
        if frame[3] == GOAWAY:
            self.takes_more = False
            last = int.from_bytes(frame[HEAD_BYTES : HEAD_BYTES + 4]) & 0x7FFFFFFF
            for number, response in self._responses.items():
                if number > last:
                    response.end("GOAWAY before it was looked at")
            return
        for event in self._state.receive_data(frame):
            self._note(event)

    def _note(self, event: h2.events.Event) -> None:
        response = self._responses.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, h2.events.DataReceived):
            self._state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if response is None:
            return

        if isinstance(event, h2.events.ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            response.status = headers.get(":status", "")
            response.revision = headers.get(REVISION_HEADER, NO_REVISION)
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
        elif isinstance(event, h2.events.StreamEnded):
            response.end()
        elif isinstance(event, h2.events.StreamReset):
            response.end(f"the stream was reset: {h2.errors.ErrorCodes(event.error_code).name}")

    def _flush(self) -> None:
        self._writer.write(self._state.data_to_send())


class Http2Sender:
    """Sends JSON requests on a few connections; one that says GOAWAY gets no more."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._path = f"/v2/models/{plan.model}/infer"
        self._bodies = [http_body(plan.input, image) for image in plan.images]
        self._connections: list[Connection | None] = [None] * CONNECTIONS
        self._opening = [asyncio.Lock() for _ in range(CONNECTIONS)]

    async def send(self, number: int) -> Answer:
        """Send one request, once; every end of it is an answer."""
        body = self._bodies[number % len(self._bodies)]
        try:
            async with asyncio.timeout(self._plan.timeout_seconds):
                connection = await self._take(number % CONNECTIONS)
                found = await connection.post(self._plan.address, self._path, body)
        except TimeoutError:
            return Answer(cause=f"no answer in {self._plan.timeout_seconds:g} s")
        except (OSError, h2.exceptions.ProtocolError) as error:
            return Answer(cause=f"{type(error).__name__}: {error}")

        if found.broken:
            return Answer(found.revision, found.broken)
        if found.status.startswith("2"):
            return Answer(found.revision)
        text = found.body.decode(errors="replace")
        return Answer(found.revision, f"{found.status} {text}", self._plan.marker in text)

    async def _take(self, place: int) -> Connection:
        async with self._opening[place]:
            known = self._connections[place]
            if known is None or not known.takes_more:
                known = await Connection.open(self._plan.address)
                self._connections[place] = known
            return known

    async def __aenter__(self) -> Self:
        """Connections are opened when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        for connection in self._connections:
            if connection is not None:
                connection.close()
