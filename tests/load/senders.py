"""One request over HTTP or gRPC, and what came of it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.load.ledger import NO_REVISION, Answer
from tests.load.plan import LoadPlan

REVISION_HEADER = "x-slipway-revision"
SUCCESS = range(200, 300)
CONNECTIONS = 256
"""More than a healthy service ever needs at these rates; waiting for one counts as time."""
CHANNELS = 4
"""One channel is one connection, and a Service sends all of a connection to one router pod."""
STREAM_SECONDS = 5.0
"""After this time a stream takes no more messages, and another is begun: one that is never ended
is cut when its router pod goes."""


class Sender(Protocol):
    """Sends requests on connections that it keeps."""

    async def send(self, number: int) -> Answer:
        """Send one request, once; every end of it is an answer."""

    async def __aenter__(self) -> Self:
        """Open connections."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""


class HttpSender:
    """Sends JSON requests, encoded beforehand; aiohttp drops connections that say `close`."""

    def __init__(self, plan: LoadPlan, *, kept_seconds: float = 15.0) -> None:
        """Idle connections are kept for so long; by default as long as aiohttp keeps them."""
        self._plan = plan
        self._kept_seconds = kept_seconds
        self._headers = {"content-type": "application/json"}
        self._url = f"http://{plan.address}/v2/models/{plan.model}/infer"
        self._bodies = [http_body(plan.input, image) for image in plan.images]
        self._session: aiohttp.ClientSession | None = None

    async def send(self, number: int) -> Answer:
        """Send one request, once; every end of it is an answer."""
        assert self._session is not None
        body = self._bodies[number % len(self._bodies)]
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                content = await response.read()
        except TimeoutError:
            return Answer(cause=f"no answer in {self._plan.timeout_seconds:g} s")
        except aiohttp.ClientError as error:
            return Answer(cause=f"{type(error).__name__}: {error}")
        revision = response.headers.get(REVISION_HEADER, NO_REVISION)
        if response.status in SUCCESS:
            return Answer(revision)
        text = content.decode(errors="replace")
        return Answer(revision, f"{response.status} {text}", self.is_by_model(text))

    def is_by_model(self, text: str) -> bool:
        """Return whether the text of a failure is the model's own."""
        return self._plan.marker in text

    async def __aenter__(self) -> Self:
        """Open connections."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS, ttl_dns_cache=300, keepalive_timeout=self._kept_seconds
            ),
            timeout=aiohttp.ClientTimeout(total=self._plan.timeout_seconds),
            headers={**self._headers, **self._plan.headers},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        if self._session is not None:
            await self._session.close()


NOT_TAKEN = "Stream removed (GOAWAY received; Error code: 0"
"""What gRPC says of a call that it could not begin, since the server had just said GOAWAY.

Every gRPC client begins such a call again by itself on the next connection: it has not left, or the
server said that it did not look at it. With retries turned off, it is up to the caller.
"""
MOST_BEGINS = 3
"""Of one call that was not taken."""


async def begin_until_taken(begin: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return what became of a call that the server looked at, or of the last attempt."""
    for _ in range(MOST_BEGINS - 1):
        answer = await begin()
        if NOT_TAKEN not in answer.cause:
            return answer
    return await begin()


class GrpcSender:
    """Sends ModelInfer calls; gRPC itself moves on from a connection that says GOAWAY."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._requests = [grpc_request(plan, image) for image in plan.images]
        self._metadata = tuple(plan.headers.items())
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Any] = []

    async def send(self, number: int) -> Answer:
        """Send one request, once; every end of it is an answer."""
        return await begin_until_taken(partial(self._begin, number))

    async def _begin(self, number: int) -> Answer:
        call = self._calls[number % len(self._calls)](
            self._requests[number % len(self._requests)],
            timeout=self._plan.timeout_seconds,
            metadata=self._metadata,
        )
        try:
            await call
        except grpc.aio.AioRpcError as error:
            text = error.details() or ""
            metadata = (error.initial_metadata(), error.trailing_metadata())
            revision = next(filter(None, map(revision_of, metadata)), "")
            cause = f"{error.code().name} {text}"
            return Answer(revision or NO_REVISION, cause, self._plan.marker in text)
        return Answer(revision_of(await call.initial_metadata()) or NO_REVISION)

    async def __aenter__(self) -> Self:
        """Open connections."""
        for _ in range(CHANNELS):
            channel = open_channel(self._plan)
            self._channels.append(channel)
            self._calls.append(service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


@dataclass(slots=True)
class Stream:
    """A stream that is open, with no message on its way."""

    call: Any
    begun: float
    """On the monotonic clock."""


class StreamSender:
    """Sends ModelStreamInfer messages, one at a time on each stream, on streams that it ends."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._requests = [grpc_request(plan, image) for image in plan.images]
        self._channels: list[grpc.aio.Channel] = []
        self._idle: list[Stream] = []

    async def send(self, number: int) -> Answer:
        """Send one message, once; every end of it is an answer."""
        return await begin_until_taken(partial(self._begin, number))

    async def _begin(self, number: int) -> Answer:
        try:
            async with asyncio.timeout(self._plan.timeout_seconds):
                stream = await self._take(number)
                await stream.call.write(self._requests[number % len(self._requests)])
                message = await stream.call.read()
                if message is grpc.aio.EOF:
                    return Answer(cause=f"stream ended: {await stream.call.code()}")
                metadata = await stream.call.initial_metadata()
        except TimeoutError:
            return Answer(cause=f"no answer in {self._plan.timeout_seconds:g} s")
        except grpc.aio.AioRpcError as error:
            return Answer(cause=f"stream: {error.code().name} {error.details()}")
        except asyncio.InvalidStateError as error:
            return Answer(cause=f"stream: {error}")

        self._idle.append(stream)
        text = message.error_message
        by_model = bool(text) and self._is_ours(text)
        return Answer(revision_of(metadata) or NO_REVISION, text, by_model)

    async def _take(self, number: int) -> Stream:
        """Return a stream that takes another message."""
        now = time.monotonic()
        while self._idle:
            stream = self._idle.pop(0)
            if stream.call.done():
                continue
            if now - stream.begun < STREAM_SECONDS:
                return stream
            await stream.call.done_writing()
            await stream.call.read()
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channels[number % CHANNELS])
        return Stream(stub.ModelStreamInfer(metadata=tuple(self._plan.headers.items())), now)

    def _is_ours(self, text: str) -> bool:
        return self._plan.marker in text

    async def __aenter__(self) -> Self:
        """Open connections."""
        self._channels = [open_channel(self._plan) for _ in range(CHANNELS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def open_channel(plan: LoadPlan) -> grpc.aio.Channel:
    """Return a connection of its own that repeats nothing."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(plan.address, options=options)


def http_body(name: str, image: Sequence[float]) -> bytes:
    """Return a V2 inference request for one image."""
    tensor = {"name": name, "shape": [1, len(image)], "datatype": "FP32", "data": list(image)}
    return json.dumps({"inputs": [tensor]}).encode()


def grpc_request(plan: LoadPlan, image: Sequence[float]) -> Any:
    """Return a ModelInfer request for one image."""
    request = service_pb2.ModelInferRequest(model_name=plan.model)
    request.inputs.add(name=plan.input, datatype="FP32", shape=[1, len(image)])
    request.raw_input_contents.append(np.asarray(image, dtype="<f4").tobytes())
    return request


def revision_of(metadata: Any) -> str:
    """Return the revision that answered, by gRPC metadata; empty where none says."""
    found = dict(metadata or ()).get(REVISION_HEADER, "")
    return found.decode() if isinstance(found, bytes) else str(found)
