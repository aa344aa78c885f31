"""Requests for a model of which only its metadata is known."""

import json
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype

from tests.load.binary_sender import MOST_BYTES, BinarySender, draw, make_bodies, render_head
from tests.load.plan import LoadPlan, Tensor, Wire
from tests.try_model.inputs import UnknownInputs, describe, render_request, tensors_of

DATATYPES = [
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64"),
]


def metadata(*inputs: tuple[str, str, list[int]]) -> dict[str, Any]:
    named = [dict(zip(("name", "datatype", "shape"), entry, strict=True)) for entry in inputs]
    return {"name": "mine", "inputs": named}


def test_dimensions_that_vary_are_one() -> None:
    made = tensors_of(metadata(("ids", "INT64", [-1, -1]), ("image", "FP32", [-1, 3, 8, 8])))

    assert made == [Tensor("ids", "INT64", [1, 1]), Tensor("image", "FP32", [1, 3, 8, 8])]
    assert describe(made) == "ids INT64 [1, 1], image FP32 [1, 3, 8, 8]"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(metadata(), "model mine names no inputs", id="none"),
        pytest.param(metadata(("x", "FP4", [1])), "input x: unknown datatype FP4", id="unknown"),
    ],
)
def test_a_model_that_cannot_be_asked_is_named(answer: dict[str, Any], words: str) -> None:
    with pytest.raises(UnknownInputs, match=words):
        tensors_of(answer)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_numbers_have_the_size_that_triton_gives_their_datatype(datatype: str) -> None:
    drawn = draw(Tensor("x", datatype, [2, 3]), np.random.default_rng(1))

    values = np.frombuffer(drawn, dtype=triton_to_np_dtype(datatype))
    assert values.shape == (6,)
    assert np.all((values >= 0) & (values < 10))


def test_texts_are_short_and_read_as_triton_reads_them() -> None:
    drawn = draw(Tensor("x", "BYTES", [2]), np.random.default_rng(1))

    texts = deserialize_bytes_tensor(drawn)
    assert [text.decode()[:5] for text in texts] == ["word-", "word-"]


def test_a_float_of_sixteen_bits_is_the_upper_half_of_one_of_thirty_two() -> None:
    drawn = draw(Tensor("x", "BF16", [100]), np.random.default_rng(1))

    values = (np.frombuffer(drawn, "<u2").astype("<u4") << 16).view("<f4")
    assert np.all((values >= 0) & (values < 1))
    assert values.std() > 0.1


def test_a_body_is_what_its_head_says_and_the_same_at_every_run() -> None:
    tensors = [Tensor("ids", "INT32", [1, 3]), Tensor("text", "BYTES", [1, 2])]
    head = render_head(tensors)
    sizes = [entry["parameters"]["binary_data_size"] for entry in json.loads(head)["inputs"]]

    bodies = make_bodies(tensors, head)

    assert {len(body) for body in bodies} == {len(head) + sum(sizes)}
    assert len(set(bodies)) > 1
    assert make_bodies(tensors, head) == bodies


def test_large_requests_are_few() -> None:
    tensors = [Tensor("image", "FP32", [1, MOST_BYTES // 16])]

    assert len(make_bodies(tensors, render_head(tensors))) == 3


@pytest.mark.parametrize(
    ("text", "by_model"),
    [
        pytest.param('{"error":"unexpected shape"}', True, id="Triton's error"),
        pytest.param('{"error":"slipway router: no healthy upstream"}', False, id="router's"),
        pytest.param("upstream connect error", False, id="text"),
        pytest.param("[]", False, id="other JSON"),
    ],
)
def test_only_what_the_model_says_itself_is_its_failure(text: str, by_model: bool) -> None:
    plan = LoadPlan("mine:8000", "mine", tensors=[Tensor("x", "FP32", [1])], wire=Wire.BINARY)

    assert BinarySender(plan).is_by_model(text) is by_model


def test_a_request_for_people_is_json_that_triton_takes() -> None:
    tensors = [
        Tensor("ids", "INT64", [1, 2]),
        Tensor("text", "BYTES", [1]),
        Tensor("x", "FP32", [3]),
    ]

    ids, text, numbers = json.loads(render_request(tensors))["inputs"]

    assert (ids["shape"], text["data"]) == ([1, 2], ["a word"])
    assert all(isinstance(value, int) for value in ids["data"])
    assert len(numbers["data"]) == 3
    assert max(len(str(value)) for value in numbers["data"]) <= 5


@pytest.mark.parametrize(
    "tensor", [Tensor("x", "FP16", [1]), Tensor("image", "FP32", [3, 224, 224])]
)
def test_a_request_that_json_cannot_hold_or_nobody_reads_is_none(tensor: Tensor) -> None:
    assert render_request([tensor]) == ""
