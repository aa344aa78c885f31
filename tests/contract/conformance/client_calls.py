"""Triton's own Python clients, each flavour, with and without compression."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from tritonclient.utils import InferenceServerException

from tests.contract.conformance.answer import Answer, Request, digest
from tests.contract.conformance.pair import Way

PACKINGS = (None, "gzip", "deflate")
Client = Any
"""tritonclient has no types."""

READS: dict[str, Callable[[Client], Any]] = {
    "is_server_live": lambda client: client.is_server_live(),
    "is_server_ready": lambda client: client.is_server_ready(),
    "is_model_ready": lambda client: client.is_model_ready("digits"),
    "get_server_metadata": lambda client: client.get_server_metadata(),
    "get_model_metadata": lambda client: client.get_model_metadata("digits"),
    "get_model_config": lambda client: client.get_model_config("digits"),
    "get_inference_statistics": lambda client: client.get_inference_statistics("unknown"),
    "get_model_repository_index": lambda client: client.get_model_repository_index(),
    "get_trace_settings": lambda client: client.get_trace_settings(),
    "get_log_settings": lambda client: client.get_log_settings(),
    "get_system_shared_memory_status": lambda client: client.get_system_shared_memory_status(),
}
FLAVOURS = {
    "tritonclient.http": tritonclient.http,
    "tritonclient.http.aio": tritonclient.http.aio,
    "tritonclient.grpc": tritonclient.grpc,
    "tritonclient.grpc.aio": tritonclient.grpc.aio,
}


def client_calls() -> list[Request]:
    """Return the calls of all flavours."""
    return [request for flavour in FLAVOURS for request in _calls_of(flavour)]


def _calls_of(flavour: str) -> Iterator[Request]:
    for name, read in READS.items():
        yield _request(flavour, name, read)
    for packing in PACKINGS:
        name = f"infer in {packing}" if packing else "infer"
        yield _request(flavour, name, _infer(flavour, packing))
    if flavour == "tritonclient.http":
        yield _request(flavour, "async_infer", _infer_later)
    if flavour == "tritonclient.grpc":
        yield _request(flavour, "start_stream", _stream)
    if flavour == "tritonclient.grpc.aio":
        yield _request(flavour, "stream_infer", _stream_aio)


def _request(flavour: str, name: str, use: Callable[[Client], Any]) -> Request:
    def send(way: Way) -> Answer:
        address = way.grpc if ".grpc" in flavour else way.http
        try:
            found = asyncio.run(_use(FLAVOURS[flavour], address, use))
        except InferenceServerException as error:
            status = error.status() or ""
            return Answer(f"{status} {error.message()}".strip())
        return Answer("OK", digest(str(found).encode()))

    return Request(f"{flavour} {name}", send)


async def _use(module: Any, address: str, use: Callable[[Client], Any]) -> Any:
    client = module.InferenceServerClient(address)
    try:
        found = use(client)
        return await found if inspect.isawaitable(found) else found
    finally:
        closed = client.close()
        if inspect.isawaitable(closed):
            await closed


def _tensor(module: Any, name: str, values: Any) -> Any:
    array = np.array([values], dtype=np.float32)
    tensor = module.InferInput(name, list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    return tensor


def _infer(flavour: str, packing: str | None) -> Callable[[Client], Any]:
    """Return the call; HTTP packs request and answer, gRPC names one algorithm for both."""
    module = FLAVOURS[flavour]
    options: dict[str, Any] = {}
    if packing and ".http" in flavour:
        options = {
            "request_compression_algorithm": packing,
            "response_compression_algorithm": packing,
        }
    elif packing:
        options = {"compression_algorithm": packing}

    def infer(client: Client) -> Any:
        tensor = _tensor(module, "pixels", [0.1, 0.9, 0.2, 0.3])
        found = client.infer("digits", [tensor], request_id="7", **options)
        return _arrays_later(found) if inspect.isawaitable(found) else _arrays(found)

    return infer


async def _arrays_later(found: Awaitable[Any]) -> str:
    return _arrays(await found)


def _arrays(result: Any) -> str:
    return f"{result.as_numpy('probabilities')} {result.as_numpy('label')}"


def _infer_later(client: Client) -> str:
    tensor = _tensor(tritonclient.http, "pixels", [0.1, 0.9, 0.2, 0.3])
    return _arrays(client.async_infer("digits", [tensor]).get_result())


def _stream(client: Client) -> str:
    answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    client.async_stream_infer("stream", [_tensor(tritonclient.grpc, "x", [1, 2, 3])])
    found = [answers.get(timeout=60) for _ in range(2)]
    client.stop_stream()
    return str([(result.as_numpy("y").tolist(), error) for result, error in found])


async def _stream_aio(client: Client) -> str:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        tensor = _tensor(tritonclient.grpc.aio, "x", [1, 2, 3])
        yield {"model_name": "stream", "inputs": [tensor]}

    found = [
        (result.as_numpy("y").tolist(), error)
        async for result, error in client.stream_infer(requests())
    ]
    return str(found)
