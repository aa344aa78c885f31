"""Whatever bytes a server sends become tensors, or an `Undecodable`."""

import contextlib
import gzip
import json
import random
import struct
import zlib

import pytest
from slipway.answers.decode import (
    Undecodable,
    decode_grpc_answer,
    decode_http_answer,
    decompress,
    unframe,
)
from tritonclient.grpc import service_pb2


def compress_gzip(body: bytes) -> bytes:
    """Return the same bytes at any time: test processes name cases by them, and must agree."""
    return gzip.compress(body, mtime=0)


PLAIN = b"a body " * 100
ABOUT = {"name": "y", "datatype": "FP32", "shape": [2]}


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("gzip", compress_gzip(PLAIN)),
        ("deflate", zlib.compress(PLAIN)),
    ],
)
def test_a_body_is_read_in_the_codings_of_triton(coding: str, body: bytes) -> None:
    assert decompress(body, coding, 10_000) == PLAIN


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", PLAIN),
        ("gzip", PLAIN),
        ("gzip", compress_gzip(PLAIN)[:-10]),
        ("gzip", compress_gzip(b"0" * 20_000)),
    ],
    ids=["unknown", "broken", "cut", "too large"],
)
def test_another_body_is_refused(coding: str, body: bytes) -> None:
    with pytest.raises(Undecodable):
        decompress(body, coding, 10_000)


def test_a_grpc_body_is_exactly_one_message() -> None:
    framed = b"\0" + (3).to_bytes(4) + b"abc"
    packed = compress_gzip(b"abc")
    assert unframe(framed, "", 100) == b"abc"
    assert unframe(b"\1" + len(packed).to_bytes(4) + packed, "gzip", 100) == b"abc"
    for broken in (b"", framed[:-1], framed * 2):
        with pytest.raises(Undecodable):
            unframe(broken, "", 100)


def test_outputs_over_http_are_read_from_json_and_from_binary() -> None:
    raw = struct.pack("<2f", 1.5, 2.5)
    output = {**ABOUT, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"outputs": [output]}).encode()
    text = json.dumps({"outputs": [{**ABOUT, "data": [1.5, 2.5]}]}).encode()
    for body, length in ((text, None), (head + raw, len(head))):
        found = decode_http_answer(body, length)
        assert (found["y"].datatype, found["y"].array.tolist()) == ("FP32", [1.5, 2.5])


def test_outputs_over_grpc_are_read_in_raw_form_alone() -> None:
    answer = service_pb2.ModelInferResponse()
    answer.outputs.add(name="y", datatype="FP32", shape=[2])
    with pytest.raises(Undecodable):
        decode_grpc_answer(answer.SerializeToString())
    answer.raw_output_contents.append(struct.pack("<2f", 1.5, 2.5))
    assert decode_grpc_answer(answer.SerializeToString())["y"].array.tolist() == [1.5, 2.5]


def test_no_bytes_raise_anything_else() -> None:
    chance = random.Random(13)
    seeds = [
        json.dumps({"outputs": [{**ABOUT, "data": [1.5, 2.5]}]}).encode(),
        json.dumps({"outputs": [{**ABOUT, "data": [[1], 2]}]}).encode(),
        b'{"outputs": 3}',
        b"[]",
        b"[" * 50_000,
    ]
    for number in range(400):
        body = bytearray(seeds[number % len(seeds)])
        for _ in range(chance.randint(0, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        for decode in (
            lambda given: decode_http_answer(given, None),
            lambda given: decode_http_answer(given, 20),
            decode_grpc_answer,
        ):
            with contextlib.suppress(Undecodable):
                decode(bytes(body))
