"""Calls that a server had not looked at when it said GOAWAY: no cluster, real sockets."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.load.plan import LoadPlan, Wire
from tests.load.senders import MOST_BEGINS, NOT_TAKEN, GrpcSender
from tests.unit.load.serving import serving


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Fails as many calls as it is told, and counts all of them."""

    def __init__(self) -> None:
        self.failures = 0
        self.text = f"{NOT_TAKEN}; Debug Text: )"
        self.calls = 0

    async def ModelInfer(  # noqa: N802 -- the protocol's name
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Any:
        del request
        self.calls += 1
        if self.calls <= self.failures:
            await context.abort(grpc.StatusCode.UNAVAILABLE, self.text)
        return service_pb2.ModelInferResponse()


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def sender(server: Server) -> AsyncIterator[GrpcSender]:
    async with serving(server) as address:
        plan = LoadPlan(
            address=address, model="digits", images=[[0.5]], wire=Wire.GRPC, marker="PLANTED"
        )
        async with GrpcSender(plan) as sender:
            yield sender


async def test_a_call_that_was_not_taken_is_begun_again(server: Server, sender: GrpcSender) -> None:
    server.failures = 1
    answer = await sender.send(0)
    assert (answer.cause, server.calls) == ("", 2)


async def test_it_is_lost_where_that_goes_on(server: Server, sender: GrpcSender) -> None:
    server.failures = 100
    answer = await sender.send(0)
    assert NOT_TAKEN in answer.cause
    assert server.calls == MOST_BEGINS


async def test_a_call_that_failed_otherwise_is_never_sent_again(
    server: Server, sender: GrpcSender
) -> None:
    server.failures, server.text = 1, "Stream removed (Broken pipe)"
    answer = await sender.send(0)
    assert "Broken pipe" in answer.cause
    assert server.calls == 1
