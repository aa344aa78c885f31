"""The endpoints of a running server, by tritonclient.

Two kinds of trouble are told apart: an `ErrorResponse` is the model's own answer and counts against
it, `Unreachable` says nothing about the model and is retried.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import aiohttp
import grpc
from tritonclient import grpc as grpc_types
from tritonclient import http as http_types
from tritonclient.grpc import aio as grpc_client
from tritonclient.http import aio as http_client
from tritonclient.utils import InferenceServerException

from slipway.answers.tensors import Tensor, Tensors
from slipway.api.base import Manifest
from slipway.api.result import Signature
from slipway.errors import SlipwayError
from slipway.jobs.check.exchange import (
    PLAIN,
    Exchange,
    join_responses,
    list_parts,
    read_exchange,
)
from slipway.jobs.check.signature import read_signature

SERVER_ERROR = 500
NO_ANSWER_STATUS = frozenset({502, 503, 504})
"""A proxy did not reach Triton, or Triton is too busy to take the request."""

GRPC_UNREACHABLE = frozenset({"StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"})
GRPC_TRANSIENT = frozenset({"StatusCode.INTERNAL", "StatusCode.UNKNOWN", "StatusCode.ABORTED"})

MAX_MESSAGE_BYTES = 2**31 - 1
MAX_RESPONSES = 10_000
"""Responses of one stream that are read: a model may stream until its client leaves."""


class Unreachable(SlipwayError):
    """The server did not answer."""


class ErrorResponse(SlipwayError):
    """The server answered with an error."""

    def __init__(self, message: str, *, is_transient: bool) -> None:
        """Take the message, and whether the error is the server's, so that a retry may help."""
        super().__init__(message)
        self.is_transient = is_transient


class ModelServer(Protocol):
    """An endpoint that serves the model; its methods raise `Unreachable` and `ErrorResponse`."""

    async def signature(self) -> Signature:
        """Return the model's inputs and outputs."""

    async def exchange(self) -> Exchange:
        """Return how the model is asked; plainly where its configuration may not be read."""

    async def infer(self, inputs: Tensors, exchange: Exchange = PLAIN) -> Tensors:
        """Return the model's outputs."""


class HttpServer:
    """An HTTP endpoint."""

    def __init__(self, client: Any, model: str) -> None:
        self._client = client
        self._model = model

    async def signature(self) -> Signature:
        """Return the signature, with the optional inputs if the configuration may be read."""
        metadata = await _call_http(self._client.get_model_metadata(self._model))
        return read_signature(metadata, await self._config())

    async def exchange(self) -> Exchange:
        """Return how the model is asked."""
        return read_exchange(await self._config())

    async def infer(self, inputs: Tensors, exchange: Exchange = PLAIN) -> Tensors:
        """Send the tensors in binary form, since JSON has no half precision.

        HTTP has no streams: a streaming model refuses the request.
        """
        request = _make_inputs(http_types.InferInput, inputs)
        call = self._client.infer(self._model, request, **exchange.start_sequence())
        result = await _call_http(call)
        outputs = result.get_response().get("outputs", [])
        return _read_outputs(result, ((output["name"], output["datatype"]) for output in outputs))

    async def exchanges_of_all_parts(self) -> list[Exchange] | None:
        """Return how the model is asked, and the parts of an ensemble, at any depth.

        None: one of the configurations may not be read.
        """
        found: dict[str, Exchange] = {}
        names = [self._model]
        while names:
            name = names.pop()
            if name in found:
                continue
            config = await self._config(name)
            if config is None:
                return None
            found[name] = read_exchange(config)
            names += list_parts(config)
        return list(found.values())

    async def _config(self, model: str | None = None) -> Manifest | None:
        call = self._client.get_model_config(model or self._model)
        try:
            config: Manifest = await _call_http(call)
        except ErrorResponse:
            return None
        return config


class GrpcServer:
    """A gRPC endpoint."""

    def __init__(self, client: Any, model: str) -> None:
        self._client = client
        self._model = model

    async def signature(self) -> Signature:
        """Return the signature, with the optional inputs if the configuration may be read."""
        call = self._client.get_model_metadata(self._model, as_json=True)
        return read_signature(await _call_grpc(call), await self._config())

    async def exchange(self) -> Exchange:
        """Return how the model is asked."""
        return read_exchange(await self._config())

    async def infer(self, inputs: Tensors, exchange: Exchange = PLAIN) -> Tensors:
        """Send the tensors in binary form; the responses of a stream are joined."""
        request = _make_inputs(grpc_types.InferInput, inputs)
        parameters = exchange.start_sequence()
        if exchange.is_streaming:
            asked = {"model_name": self._model, "inputs": request, **parameters}
            return join_responses(await _call_grpc(self._read_stream(asked)))
        call = self._client.infer(self._model, request, **parameters)
        return _read_grpc_outputs(await _call_grpc(call))

    async def _read_stream(self, request: Manifest) -> list[Tensors]:
        """Return the responses to one request; Triton closes the stream after the last."""
        responses: list[Tensors] = []
        stream = self._client.stream_infer(_iterate_once(request))

        try:
            async for result, error in stream:
                if error is not None:
                    raise error
                responses.append(_read_grpc_outputs(result))
                if len(responses) >= MAX_RESPONSES:
                    break
        finally:
            stream.cancel()
        return responses

    async def _config(self) -> Manifest | None:
        try:
            answer = await _call_grpc(self._client.get_model_config(self._model, as_json=True))
        except ErrorResponse:
            return None
        config: Manifest = answer.get("config", {})
        return config


@asynccontextmanager
async def open_http_server(address: str, model: str) -> AsyncIterator[HttpServer]:
    """Open the HTTP endpoint ``host:port``; callers limit the time of their requests.

    All connections are closed at the end: an open one would delay the drain of the server.
    """
    async with http_client.InferenceServerClient(address, conn_timeout=None) as client:
        yield HttpServer(client, model)


@asynccontextmanager
async def open_grpc_server(address: str, model: str) -> AsyncIterator[GrpcServer]:
    """Open the gRPC endpoint ``host:port``."""
    options = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.enable_http_proxy", 0),
    ]
    async with grpc_client.InferenceServerClient(address, channel_args=options) as client:
        yield GrpcServer(client, model)


async def _call_http(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except InferenceServerException as error:
        status = int(error.status() or 0)
        if not status or status in NO_ANSWER_STATUS:
            raise Unreachable(str(error)) from error
        raise ErrorResponse(
            f"the server answered {status}: {error.message()}", is_transient=status >= SERVER_ERROR
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error


async def _call_grpc(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except InferenceServerException as error:
        raise _grpc_error(error.status(), error.message()) from error
    except grpc.aio.AioRpcError as error:  # from a stream: the client does not wrap it
        raise _grpc_error(str(error.code()), error.details() or "") from error


def _grpc_error(status: str | None, message: str) -> Unreachable | ErrorResponse:
    """Return what a failed call means; an error inside a stream has no status."""
    if status in GRPC_UNREACHABLE:
        return Unreachable(f"[{status}] {message}")
    code = "" if status is None else f" {status.removeprefix('StatusCode.')}"
    return ErrorResponse(
        f"the server answered{code}: {message}",
        is_transient=status is None or status in GRPC_TRANSIENT,
    )


async def _iterate_once(request: Manifest) -> AsyncIterator[Manifest]:
    yield request


def _make_inputs(kind: Callable[[str, list[int], str], Any], tensors: Tensors) -> list[Any]:
    return [
        kind(name, list(tensor.shape), tensor.datatype).set_data_from_numpy(tensor.array)
        for name, tensor in tensors.items()
    ]


def _read_outputs(result: Any, outputs: Any) -> Tensors:
    return {name: Tensor(datatype, result.as_numpy(name)) for name, datatype in outputs}


def _read_grpc_outputs(result: Any) -> Tensors:
    outputs = result.get_response().outputs
    return _read_outputs(result, ((output.name, output.datatype) for output in outputs))
