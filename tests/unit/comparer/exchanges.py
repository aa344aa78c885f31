"""Answers of servers, as Envoy hands them over."""

import json
import struct

from slipway.comparer.copied import Part
from tritonclient.grpc import service_pb2


def http(values: list[float], *, name: str = "y", datatype: str = "FP32") -> Part:
    output = {"name": name, "datatype": datatype, "shape": [len(values)], "data": values}
    return part(json.dumps({"outputs": [output]}).encode(), **{":status": "200"})


def http_error(status: int) -> Part:
    return part(b'{"error":"no"}', **{":status": str(status)})


def grpc(values: list[float], *, status: int = 0) -> Part:
    answer = service_pb2.ModelInferResponse()
    answer.outputs.add(name="y", datatype="FP32", shape=[len(values)])
    answer.raw_output_contents.append(struct.pack(f"<{len(values)}f", *values))
    message = answer.SerializeToString()
    framed = b"\0" + len(message).to_bytes(4) + message
    headers = {":status": "200", "content-type": "application/grpc", "grpc-status": str(status)}
    return part(b"" if status else framed, **headers)


def part(body: bytes, **headers: str) -> Part:
    return Part(headers=headers, pieces=[body], size=len(body), is_whole=True)
