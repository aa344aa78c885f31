"""The same model with another shape of its input."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.try_model.other_input import change_input

SCANS = np.random.default_rng(1).random((3, 4), dtype=np.float32)


def a_model(opset: int, shape: list[Any]) -> Any:
    node = helper.make_node("Relu", ["image"], ["scores"])
    graph = helper.make_graph(
        [node],
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("opset", [11, 17])
def test_it_answers_as_before_once_it_is_asked_in_its_own_shape(opset: int) -> None:
    model = a_model(opset, ["N", 4])
    change_input(model)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString())

    assert session.get_inputs()[0].shape == ["N", 1, 4]
    answer = session.run(None, {"image": SCANS.reshape(3, 1, 4)})[0]
    assert np.array_equal(answer, SCANS)


def test_a_scalar_has_no_other_shape() -> None:
    with pytest.raises(ValueError, match="input image has no dimensions"):
        change_input(a_model(17, []))
