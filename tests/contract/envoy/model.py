"""A stand-in for one Triton pod that answers, or fails, as it is told."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
from aiohttp import web
from tritonclient.grpc import service_pb2, service_pb2_grpc

READY_PATH = "/v2/models/digits/ready"


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


@dataclass
class Model:
    """Speaks the V2 protocol over HTTP and gRPC on loopback ports of its own."""

    revision: str
    host: str = "127.0.0.1"
    http_status: int = 200
    grpc_status: grpc.StatusCode = grpc.StatusCode.OK
    delay_seconds: float = 0.0
    break_off: bool = False
    """Close the connection in the middle of the response."""
    output: list[float] | None = None
    """One FP32 output "y" of every inference; None: an answer without outputs."""
    answers_per_message: int = 1
    """On a gRPC stream; a stream that gets none hangs."""
    headers_seen: list[dict[str, str]] = field(default_factory=list)
    """Of the last requests, without questions."""
    questions: int = 0
    """How often it was asked whether it is ready."""
    http_port: int = 0
    grpc_port: int = 0
    _runner: web.AppRunner | None = None
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        application = web.Application(client_max_size=2**28)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.http_port).start()
        self.http_port = self._runner.addresses[0][1]
        self._server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(self), self._server)
        self.grpc_port = self._server.add_insecure_port(f"{bracketed(self.host)}:{self.grpc_port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._server is not None:
            await self._server.stop(0)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if request.path == READY_PATH:
            self.questions += 1
        else:
            self.headers_seen.append(dict(request.headers))
            del self.headers_seen[:-10]
        await asyncio.sleep(self.delay_seconds)
        if self.break_off:
            answer = web.StreamResponse(headers={"Content-Length": "1000"})
            await answer.prepare(request)
            await answer.write(b"half of it")
            assert request.transport is not None
            request.transport.abort()
            return answer
        if self.output is not None and "Inference-Header-Content-Length" in request.headers:
            return self._answer_binary(self.output)
        whole = web.json_response(self._answer_json(), status=self.http_status)
        if self.output is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            whole.enable_compression(web.ContentCoding.gzip)
        return whole

    def _answer_json(self) -> dict[str, object]:
        if self.output is None:
            return {"model_name": "digits"}
        shape = [1, len(self.output)]
        output = {"name": "y", "datatype": "FP32", "shape": shape, "data": self.output}
        return {"model_name": "digits", "outputs": [output]}

    def _answer_binary(self, values: list[float]) -> web.Response:
        raw = struct.pack(f"<{len(values)}f", *values)
        about = {"name": "y", "datatype": "FP32", "shape": [1, len(values)]}
        output = {**about, "parameters": {"binary_data_size": len(raw)}}
        head = json.dumps({"model_name": "digits", "outputs": [output]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        return web.Response(body=head + raw, headers=headers, status=self.http_status)

    def answer_grpc(self, request: service_pb2.ModelInferRequest) -> service_pb2.ModelInferResponse:
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        if self.output is not None:
            answer.outputs.add(name="y", datatype="FP32", shape=[1, len(self.output)])
            answer.raw_output_contents.append(struct.pack(f"<{len(self.output)}f", *self.output))
        return answer


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, model: Model) -> None:
        self._model = model

    async def ModelInfer(  # noqa: N802 -- the protocol's name
        self, request: service_pb2.ModelInferRequest, context: grpc.aio.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        await asyncio.sleep(self._model.delay_seconds)
        if self._model.grpc_status is not grpc.StatusCode.OK:
            await context.abort(self._model.grpc_status, "as told")
        return self._model.answer_grpc(request)

    async def ModelStreamInfer(  # noqa: N802 -- the protocol's name
        self,
        requests: AsyncIterator[service_pb2.ModelInferRequest],
        context: grpc.aio.ServicerContext,  # noqa: ARG002 -- the protocol's
    ) -> AsyncIterator[service_pb2.ModelStreamInferResponse]:
        async for request in requests:
            answer = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
            for _ in range(self._model.answers_per_message):
                yield service_pb2.ModelStreamInferResponse(infer_response=answer)
