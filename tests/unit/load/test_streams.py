"""The client of streams against a server that ends them: no cluster, real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.load import senders
from tests.load.plan import LoadPlan, Wire
from tests.load.senders import StreamSender
from tests.unit.load.serving import serving

REVISION = (("x-slipway-revision", "aaaa0001"),)
MARKER = "PLANTED"


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers so many messages on each stream; then it ends the stream, or fails it."""

    def __init__(self) -> None:
        self.streams = 0
        self.messages = 1000
        self.error = ""
        self.cut = False

    async def ModelStreamInfer(  # noqa: N802 -- the protocol's name
        self, messages: AsyncIterator[Any], context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[Any]:
        self.streams += 1
        await context.send_initial_metadata(REVISION)
        answered = 0
        async for _ in messages:
            if self.cut:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
            yield service_pb2.ModelStreamInferResponse(error_message=self.error)
            answered += 1
            if answered == self.messages:
                return


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def sender(server: Server) -> AsyncIterator[StreamSender]:
    async with serving(server) as address:
        plan = LoadPlan(
            address=address,
            model="digits",
            images=[[0.0, 0.5]],
            marker=MARKER,
            wire=Wire.STREAM,
            timeout_seconds=5,
        )
        async with StreamSender(plan) as made:
            yield made


async def test_messages_share_a_stream_and_are_answered_by_a_revision(
    sender: StreamSender, server: Server
) -> None:
    answers = [await sender.send(number) for number in range(5)]
    assert {(answer.revision, answer.cause) for answer in answers} == {("aaaa0001", "")}
    assert server.streams == 1


async def test_an_old_stream_is_ended_by_the_client_and_another_begun(
    sender: StreamSender, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "STREAM_SECONDS", 0.0)
    assert [(await sender.send(number)).cause for number in range(3)] == ["", "", ""]
    assert server.streams == 3


async def test_a_message_that_a_stream_takes_along_is_lost(
    sender: StreamSender, server: Server
) -> None:
    server.cut = True
    answer = await sender.send(0)
    assert "UNAVAILABLE" in answer.cause
    assert not answer.by_model


@pytest.mark.parametrize(
    ("text", "by_model"),
    [
        pytest.param(f"{MARKER}: told to", True, id="the marker says that the model failed"),
        pytest.param("boom", False, id="without it the message is lost"),
    ],
)
async def test_an_error_in_a_message_fails_it(
    sender: StreamSender, server: Server, text: str, *, by_model: bool
) -> None:
    server.error = text
    answer = await sender.send(0)
    assert (answer.cause, answer.by_model) == (text, by_model)
