"""A gRPC server on loopback."""

import contextlib
from collections.abc import AsyncIterator

import grpc
from tritonclient.grpc import service_pb2_grpc


@contextlib.asynccontextmanager
async def serving(
    servicer: service_pb2_grpc.GRPCInferenceServiceServicer,
) -> AsyncIterator[str]:
    """Serve until the end of the block; give the address."""
    listening = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    yield f"127.0.0.1:{port}"
    await listening.stop(None)
