"""Give an ONNX model another shape of its first input: `python -m tests.try_model.other_input`.

The model stays sound, and answers as before: the input gets one more dimension, of 1, which is
taken away again before anything reads it.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

SQUEEZED = "{}_squeezed"
AXIS = 1
AXES_ARE_AN_INPUT = 13
"""Since this opset."""


def main() -> int:
    """Write the other model; return 1 where that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.try_model.other_input", description=__doc__
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    try:
        model = onnx.load(arguments.model)
        change_input(model)
    except (OSError, DecodeError, ValueError) as error:
        print(f"{arguments.model}: {error}", file=sys.stderr)
        return 1

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, arguments.output)
    print(f"{arguments.output}: {shape_of(model.graph.input[0])} instead of the input's old shape")
    return 0


def change_input(model: Any) -> None:
    """Insert a dimension of 1 behind the first one.

    Raises:
        ValueError: the first input is a scalar or no tensor.

    """
    graph = model.graph
    changed = graph.input[0]
    dimensions = changed.type.tensor_type.shape.dim
    if not dimensions:
        raise ValueError(f"input {changed.name} has no dimensions: none can be added")

    squeezed = SQUEEZED.format(changed.name)
    for node in graph.node:
        _rename_inputs(node, changed.name, squeezed)
    graph.node.insert(0, _squeeze(model, changed.name, squeezed))

    old = list(dimensions)
    del dimensions[:]
    dimensions.extend([*old[:AXIS], onnx.TensorShapeProto.Dimension(dim_value=1), *old[AXIS:]])


def _rename_inputs(node: Any, old: str, new: str) -> None:
    """Rename what a node reads, also inside of its branches and loops."""
    node.input[:] = [new if name == old else name for name in node.input]
    for attribute in node.attribute:
        graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for inner in (inner for graph in graphs for inner in graph.node):
            _rename_inputs(inner, old, new)


def _squeeze(model: Any, old: str, new: str) -> Any:
    opset = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if opset < AXES_ARE_AN_INPUT:
        return helper.make_node("Squeeze", [old], [new], axes=[AXIS])
    axes = numpy_helper.from_array(np.array([AXIS], dtype=np.int64), f"{new}_axes")
    model.graph.initializer.append(axes)
    return helper.make_node("Squeeze", [old, axes.name], [new])


def shape_of(entry: Any) -> str:
    """Return name and dimensions; those that vary have their name."""
    sizes = [
        str(dimension.dim_value or dimension.dim_param or -1)
        for dimension in entry.type.tensor_type.shape.dim
    ]
    return f"{entry.name} [{', '.join(sizes)}]"


if __name__ == "__main__":
    sys.exit(main())
