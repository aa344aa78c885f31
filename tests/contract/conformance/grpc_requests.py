"""Requests over gRPC: every method of the service, and what else clients ask a gRPC server."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf.json_format import MessageToJson
from slipway.render import envoy
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.contract.conformance.answer import Answer, Request, digest
from tests.contract.conformance.http_requests import BINARY_SIZE, PIXELS
from tests.contract.conformance.pair import Way

SECONDS = 60
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
]

Ask = Callable[[grpc.Channel], Answer]


def through(name: str, ask: Ask) -> Request:
    """Open a channel for one request."""

    def send(way: Way) -> Answer:
        with grpc.insecure_channel(way.grpc, options=OPTIONS) as channel:
            try:
                return ask(channel)
            except grpc.RpcError as error:
                return Answer(f"{error.code().name} {error.details()}")

    return Request(f"gRPC {name}", send)


def call(method: str, message: Any, **options: Any) -> Ask:
    """Call a method that has one answer."""

    def ask(channel: grpc.Channel) -> Answer:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answer = getattr(stub, method)(message, timeout=SECONDS, **options)
        return Answer("OK", digest(MessageToJson(answer, sort_keys=True).encode()))

    return ask


def grpc_requests() -> list[Request]:
    """Return all requests over gRPC."""
    return [*_methods(), *_closed_methods(), *_inference(), *_streams(), *_around()]


def _methods() -> Iterator[Request]:
    for method, message in (
        ("ServerLive", pb.ServerLiveRequest()),
        ("ServerReady", pb.ServerReadyRequest()),
        ("ServerMetadata", pb.ServerMetadataRequest()),
        ("ModelReady", pb.ModelReadyRequest(name="digits")),
        ("ModelMetadata", pb.ModelMetadataRequest(name="digits", version="1")),
        ("ModelConfig", pb.ModelConfigRequest(name="digits")),
    ):
        yield through(method, call(method, message))
    yield through("ModelReady of an unknown model", call("ModelReady", _ready("unknown")))
    unknown = pb.ModelMetadataRequest(name="unknown")
    yield through("ModelMetadata of an unknown model", call("ModelMetadata", unknown))


def _ready(model: str) -> pb.ModelReadyRequest:
    return pb.ModelReadyRequest(name=model)


def _closed_methods() -> Iterator[Request]:
    for method, message in (
        ("ModelStatistics", pb.ModelStatisticsRequest(name="unknown")),
        ("RepositoryIndex", pb.RepositoryIndexRequest()),
        ("RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="digits")),
        ("RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="nobody")),
        ("TraceSetting", pb.TraceSettingRequest()),
        ("LogSettings", pb.LogSettingsRequest()),
        ("SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest()),
        ("CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest()),
    ):
        yield through(method, call(method, message))


def infer(model: str, values: Sequence[float], name: str, **extra: Any) -> pb.ModelInferRequest:
    """Return a request with one FP32 tensor of one row."""
    message = pb.ModelInferRequest(model_name=model, **extra)
    tensor = message.inputs.add(name=name, datatype="FP32", shape=[1, len(values)])
    tensor.contents.fp32_contents.extend(values)
    return message


def _inference() -> Iterator[Request]:
    digits = infer("digits", PIXELS, "pixels", id="7")
    yield through("ModelInfer", call("ModelInfer", digits))
    yield through("ModelInfer with raw contents", call("ModelInfer", _raw(16)))
    for name, compression in (
        ("gzip", grpc.Compression.Gzip),
        ("deflate", grpc.Compression.Deflate),
    ):
        packed = call("ModelInfer", digits, compression=compression)
        yield through(f"ModelInfer in {name}", packed)
    for size in (2**20, 5 * 2**20, BINARY_SIZE):
        name = f"ModelInfer of {size // 2**20} MB"
        yield through(name, _echo(size))
    packed_echo = _echo(2**22, compression=grpc.Compression.Gzip)
    yield through("ModelInfer of 4 MB in gzip", packed_echo)

    wrong = infer("digits", PIXELS[:3], "pixels")
    yield through("ModelInfer with a wrong shape", call("ModelInfer", wrong))
    yield through("ModelInfer of an unknown model", call("ModelInfer", infer("no", [1], "x")))
    refused = infer("digits", [-1, 0, 0, 0], "pixels")
    yield through("ModelInfer that the model refuses", call("ModelInfer", refused))
    empty = pb.ModelInferRequest(model_name="digits")
    yield through("ModelInfer without inputs", call("ModelInfer", empty))
    shared = pb.ModelInferRequest(model_name="digits")
    region = shared.inputs.add(name="pixels", datatype="FP32", shape=[1, 4])
    region.parameters["shared_memory_region"].string_param = "mine"
    region.parameters["shared_memory_byte_size"].int64_param = 16
    yield through("ModelInfer from shared memory", call("ModelInfer", shared))
    three = infer("stream", [1, 2, 3], "x")
    yield through("ModelInfer of a streaming model", call("ModelInfer", three))
    yield through("ModelInfer past its deadline", _past_deadline)
    yield through("ModelInfer that the client cancels", _cancelled)


def _echo(size: int, **options: Any) -> Ask:
    def ask(channel: grpc.Channel) -> Answer:
        message = _raw(size)  # built only now: 64 MB
        return call("ModelInfer", message, **options)(channel)

    return ask


def _raw(size: int) -> pb.ModelInferRequest:
    values = np.arange(size // 4, dtype=np.float32)
    message = pb.ModelInferRequest(model_name="echo")
    message.inputs.add(name="x", datatype="FP32", shape=[values.size])
    message.raw_input_contents.append(values.tobytes())
    return message


def _past_deadline(channel: grpc.Channel) -> Answer:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    try:
        stub.ModelInfer(_slow(), timeout=0.05)
    except grpc.RpcError as error:
        return Answer(error.code().name)
    return Answer("OK")


def _cancelled(channel: grpc.Channel) -> Answer:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    pending = stub.ModelInfer.future(_slow(), timeout=SECONDS)
    pending.cancel()
    again = stub.ModelReady(_ready("slow"), timeout=SECONDS)
    return Answer(f"{pending.code().name}, then ready={again.ready}")


def _slow() -> pb.ModelInferRequest:
    message = infer("slow", [1, 2, 3], "x")
    message.inputs[0].shape[:] = [3]
    return message


def _streams() -> Iterator[Request]:
    three = infer("stream", [1, 2, 3], "x", id="a")
    yield through("ModelStreamInfer of a streaming model", _stream([three]))
    yield through("ModelStreamInfer in gzip", _stream([three], compression=grpc.Compression.Gzip))
    several = [infer("stream", [n, 2, 3], "x", id=str(n)) for n in range(5)]
    yield through("ModelStreamInfer of five requests", _stream(several))
    mixed = [infer("stream", [-1, 2, 3], "x", id="bad"), three]
    yield through("ModelStreamInfer with an error first", _stream(mixed))
    yield through("ModelStreamInfer of a plain model", _stream([infer("sum", [1, 2, 3], "x")]))
    yield through("ModelStreamInfer of an unknown model", _stream([infer("no", [1], "x")]))
    yield through("ModelStreamInfer without a request", _stream([]))
    marked = infer("stream", [1, 2, 3], "x", id="a")
    marked.parameters["triton_enable_empty_final_response"].bool_param = True
    yield through("ModelStreamInfer with a final mark", _stream([marked]))


def _stream(messages: Sequence[pb.ModelInferRequest], **options: Any) -> Ask:
    def ask(channel: grpc.Channel) -> Answer:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = list(stub.ModelStreamInfer(iter(messages), timeout=SECONDS, **options))
        content = sorted(MessageToJson(answer, sort_keys=True) for answer in answers)
        failed = sum(bool(answer.error_message) for answer in answers)
        return Answer(f"{len(answers)} answers, {failed} errors", digest("".join(content).encode()))

    return ask


HEALTH = "/grpc.health.v1.Health/"
REFLECTION = "ServerReflection/ServerReflectionInfo"
LIST_SERVICES = b"\x3a\x00"
"""A ServerReflectionRequest with `list_services`."""


def _around() -> Iterator[Request]:
    yield through("health check", _bytes(f"{HEALTH}Check"))
    yield through("health check of the service", _bytes(f"{HEALTH}Check", _service_name()))
    yield through("health check of an unknown service", _bytes(f"{HEALTH}Check", b"\x0a\x02no"))
    yield through("health watch", _bytes_of_a_stream(f"{HEALTH}Watch", b""))
    for version in ("v1", "v1alpha"):
        path = f"/grpc.reflection.{version}.{REFLECTION}"
        yield through(f"reflection {version}", _bytes_of_a_talk(path, LIST_SERVICES))
    yield through("unknown method", _bytes(f"/{envoy.GRPC_SERVICE}/Nothing"))
    yield through("unknown service", _bytes("/other.Service/Nothing"))
    yield through("broken message", _bytes(f"/{envoy.GRPC_SERVICE}/ModelInfer", b"\xff"))
    yield through("metadata of an answer", _metadata)
    given = [("x-request-id", "7"), ("key-bin", b"\x00\xff"), ("authorization", "Bearer x")]
    message = pb.ModelReadyRequest(name="digits")
    yield through("metadata of a request", call("ModelReady", message, metadata=given))


def _service_name() -> bytes:
    name = envoy.GRPC_SERVICE.encode()
    return bytes([0x0A, len(name)]) + name


def _bytes(path: str, message: bytes = b"") -> Ask:
    def ask(channel: grpc.Channel) -> Answer:
        answer = channel.unary_unary(path)(message, timeout=SECONDS)
        return Answer("OK", answer.hex())

    return ask


def _bytes_of_a_stream(path: str, message: bytes) -> Ask:
    def ask(channel: grpc.Channel) -> Answer:
        answers = channel.unary_stream(path)(message, timeout=SECONDS)
        first = next(answers)
        answers.cancel()
        return Answer("OK", first.hex())

    return ask


def _bytes_of_a_talk(path: str, message: bytes) -> Ask:
    def ask(channel: grpc.Channel) -> Answer:
        answers = list(channel.stream_stream(path)(iter([message]), timeout=SECONDS))
        return Answer(f"{len(answers)} answers", digest(b"".join(answers)))

    return ask


def _metadata(channel: grpc.Channel) -> Answer:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    _, pending = stub.ModelReady.with_call(_ready("digits"), timeout=SECONDS)
    found = [*pending.initial_metadata(), *pending.trailing_metadata()]
    return Answer(", ".join(sorted(name for name, _ in found)) or "none")
