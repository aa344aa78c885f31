from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from slipway.api.result import TensorSpec
from slipway.jobs.package.onnx_graph import DATATYPES, GraphUnreadable, read_graph
from tritonclient.utils import np_to_triton_dtype


def tensor(
    name: str, shape: list[int | str | None] | None, element: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def save(
    folder: Path,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[onnx.TensorProto] | None = None,
) -> Path:
    graph = helper.make_graph([], "g", inputs, outputs, initializers or [])
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_names_types_and_dimensions_are_those_of_the_graph(tmp_path: Path) -> None:
    path = save(
        tmp_path,
        [tensor("image", ["batch", 3, 224, 224]), tensor("text", [None, 2], TensorProto.STRING)],
        [tensor("scalar", [], TensorProto.INT64)],
    )

    graph = read_graph(path)

    assert graph.inputs == (
        TensorSpec(name="image", datatype="FP32", dims=[-1, 3, 224, 224]),
        TensorSpec(name="text", datatype="BYTES", dims=[-1, 2]),
    )
    assert graph.outputs == (TensorSpec(name="scalar", datatype="INT64", dims=[]),)


@pytest.mark.parametrize("element", sorted(DATATYPES.keys() - {TensorProto.BFLOAT16}))
def test_every_type_is_the_one_that_triton_calls_so(tmp_path: Path, element: int) -> None:
    graph = read_graph(save(tmp_path, [], [tensor("y", [1], element)]))

    known = np_to_triton_dtype(helper.tensor_dtype_to_np_dtype(element))
    assert graph.outputs[0].datatype == known


def test_weights_that_old_graphs_list_as_inputs_are_none(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((256, 256), np.float32), "w")
    path = save(
        tmp_path,
        [tensor("x", ["n", 256]), tensor("w", [256, 256])],
        [tensor("y", ["n"])],
        [weights],
    )

    assert [item.name for item in read_graph(path).inputs] == ["x"]


def test_a_file_of_inputs_only_does_not_fill_the_memory(tmp_path: Path) -> None:
    inputs = b"\x5a\x00" * 100_001
    size = len(inputs)
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes([0x3A, size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + inputs)

    with pytest.raises(GraphUnreadable, match="more than 100000 entries"):
        read_graph(path)


def test_a_scalar_is_told_from_a_tensor_of_unknown_rank(tmp_path: Path) -> None:
    path = save(tmp_path, [tensor("sr", []), tensor("x", [4])], [tensor("y", None)])

    graph = read_graph(path)

    assert graph.scalars == {"sr"}
    assert [item.dims for item in (*graph.inputs, *graph.outputs)] == [[], [4], []]


@pytest.mark.parametrize(
    ("inputs", "outputs", "can_batch"),
    [
        pytest.param([["n", 4]], [["n"]], True, id="all first dimensions vary"),
        pytest.param([["n", 4]], [[1]], False, id="an output does not"),
        pytest.param([[1, 4]], [["n"]], False, id="an input does not"),
        pytest.param([["n", 4]], [[]], False, id="a scalar has none"),
    ],
)
def test_a_graph_batches_as_triton_sees_it(
    tmp_path: Path,
    inputs: list[list[int | str | None]],
    outputs: list[list[int | str | None]],
    can_batch: bool,
) -> None:
    path = save(
        tmp_path,
        [tensor("x", shape) for shape in inputs],
        [tensor("y", shape) for shape in outputs],
    )

    assert read_graph(path).can_batch is can_batch


def test_a_real_export_reads_as_the_library_reads_it(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones(100_000, np.float32), "w")
    path = save(tmp_path, [tensor("x", ["n", 100_000])], [tensor("y", ["n", 100_000])], [weights])
    known = onnx.load(str(path)).graph

    graph = read_graph(path)

    assert [item.name for item in graph.inputs] == [item.name for item in known.input]
    assert [item.name for item in graph.outputs] == [item.name for item in known.output]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 64,
        b"<html>",
        b"\x3a\x7f",
        b"\x08\x07",
        b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    ],
    ids=["empty", "no varint", "text", "length beyond the end", "no graph", "endless number"],
)
def test_what_is_no_model_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)

    with pytest.raises(GraphUnreadable):
        read_graph(path)


def test_every_cut_of_a_model_is_unreadable_or_a_graph_and_never_a_crash(tmp_path: Path) -> None:
    path = save(tmp_path, [tensor("x", ["n", 4])], [tensor("y", ["n"])])
    data = path.read_bytes()

    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            read_graph(path)
        except GraphUnreadable:
            continue


def test_outputs_that_triton_cannot_serve_are_named(tmp_path: Path) -> None:
    zipmap = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
    output = helper.make_value_info("probabilities", zipmap)

    with pytest.raises(GraphUnreadable, match="'probabilities' is a sequence"):
        read_graph(save(tmp_path, [], [output]))
