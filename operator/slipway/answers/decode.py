"""Answers from their bytes: KServe's V2 protocol over HTTP and gRPC, compressed or not; pure.

Whatever a server sends becomes tensors or an `Undecodable`.
"""

import struct
import zlib
from typing import Any

from google.protobuf.message import DecodeError
from tritonclient.grpc import InferResult as GrpcResult
from tritonclient.grpc import service_pb2
from tritonclient.http import InferResult as HttpResult
from tritonclient.utils import InferenceServerException

from slipway.answers.tensors import Tensor, Tensors

CODINGS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""Window bits of the content codings that Triton and its clients speak."""
FRAME_HEAD = 5
"""Bytes before a message of gRPC: one for compression, four for its length."""


_BROKEN = (
    ArithmeticError,
    AttributeError,
    DecodeError,
    InferenceServerException,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the client's own decoders raise on bytes that are no answer."""


class Undecodable(ValueError):
    """A body is no answer, or no request, that can be compared."""


def decompress(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Return a body without its content coding.

    Raises:
        Undecodable: the coding is unknown, or the body is broken or larger than `most_bytes`.

    """
    if coding in ("", "identity"):
        return body
    if coding not in CODINGS:
        raise Undecodable(f"found coding {coding!r}, expected gzip or deflate")

    stream = zlib.decompressobj(CODINGS[coding])
    try:
        plain = stream.decompress(body, most_bytes)
    except zlib.error as error:
        raise Undecodable(f"broken {coding}: {error}") from error
    if not stream.eof:
        raise Undecodable(f"the {coding} body breaks off, or exceeds {most_bytes} bytes")
    return plain


def unframe(body: bytes, coding: str, most_bytes: int) -> bytes:
    """Return the one message of a gRPC body.

    Raises:
        Undecodable: there is not exactly one, or it is broken.

    """
    if len(body) < FRAME_HEAD or FRAME_HEAD + int.from_bytes(body[1:FRAME_HEAD]) != len(body):
        raise Undecodable("the body is not exactly one gRPC message")
    message = body[FRAME_HEAD:]
    return decompress(message, coding, most_bytes) if body[0] else message


def decode_http_answer(body: bytes, header_length: int | None) -> Tensors:
    """Return the outputs of an answer over HTTP.

    Args:
        body: the answer, without its content coding.
        header_length: bytes of JSON before binary tensors; None: JSON alone.

    Raises:
        Undecodable: it is no answer of the V2 protocol.

    """
    try:
        result = HttpResult.from_response_body(body, header_length=header_length)
        outputs = result.get_response()["outputs"]
        return {
            str(each["name"]): _tensor(str(each["datatype"]), result.as_numpy(each["name"]))
            for each in outputs
        }
    except _BROKEN as error:
        raise Undecodable(f"no answer of the V2 protocol: {type(error).__name__}") from error


def decode_grpc_answer(message: bytes) -> Tensors:
    """Return the outputs of a ModelInferResponse.

    Raises:
        Undecodable: it is none, or its outputs are not in raw form, as Triton sends them.

    """
    try:
        answer = service_pb2.ModelInferResponse.FromString(message)
        result = GrpcResult(answer)
        return {
            each.name: _tensor(each.datatype, result.as_numpy(each.name)) for each in answer.outputs
        }
    except _BROKEN as error:
        raise Undecodable(f"no ModelInferResponse: {type(error).__name__}") from error


def _tensor(datatype: str, array: Any) -> Tensor:
    if array is None:
        raise Undecodable("an output has no data")
    return Tensor(datatype, array)
