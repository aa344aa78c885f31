"""What is kept of a file that streams by is all that anybody reads of it."""

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from slipway.jobs.file_tree import CannotStream
from slipway.jobs.package.onnx_graph import read_graph
from slipway.jobs.package.skeleton import HEAD_BYTES, Skeleton

LONG = "n" * 9000
"""A name that is longer than what is kept of other fields."""


def a_graph() -> bytes:
    weights = np.random.default_rng(1).random((300, 700), dtype=np.float32)
    old = np.zeros(20_000, np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["h"]),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(old, "c")),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 300]),
            helper.make_tensor_value_info("weights", TensorProto.FLOAT, [300, 700]),
            helper.make_tensor_value_info(LONG, TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("h", TensorProto.FLOAT, ["batch", 700])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(old[:3], "bias")],
    )
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def follow(folder: Path, name: str, data: bytes, cuts: list[int]) -> Path:
    """Let the bytes stream by in blocks that end at these offsets."""
    path = folder / name
    with path.open("wb") as file:
        file.truncate(len(data))
    skeleton = Skeleton({"target": path})
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        skeleton("target", begin, memoryview(data)[begin:end])
    return path


@pytest.mark.parametrize("seed", range(20))
def test_the_graph_of_a_skeleton_is_that_of_the_file(tmp_path: Path, seed: int) -> None:
    data = a_graph()
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(data)), chance.choice([1, 50, 5000])))
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(data)
    onnx.load_model_from_string(data)

    path = follow(tmp_path, "model.onnx", data, cuts)

    assert read_graph(path) == read_graph(whole)
    assert path.stat().st_size == len(data)
    assert path.stat().st_blocks * 512 < len(data) / 8


def test_of_other_files_the_beginning_is_kept(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(1_000_000)

    path = follow(tmp_path, "model.plan", data, [1, 4000, 5000, 900_000])

    assert path.read_bytes() == data[:HEAD_BYTES] + bytes(len(data) - HEAD_BYTES)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\xff" * 100_000, id="no number"),
        pytest.param(b"\x07" * 100_000, id="no kind of field"),
        pytest.param(b"\x3a\xff\xff\xff\x7f" + bytes(100_000), id="longer than the file"),
        pytest.param(b"\x3a\x04\x2a\xff\x7f" + bytes(100_000), id="longer than the graph"),
    ],
)
def test_what_is_no_graph_cannot_be_streamed(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CannotStream):
        follow(tmp_path, "model.onnx", data, [50_000])


def test_a_file_of_tiny_fields_is_given_up_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.jobs.package.skeleton.MAX_FIELDS", 100)

    with pytest.raises(CannotStream, match="more than 100 fields"):
        follow(tmp_path, "model.onnx", b"\x08\x01" * 101, [100])
