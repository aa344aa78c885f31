"""ONNX graphs, put together node by node, and laid out as their author would keep them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper, numpy_helper


class GraphBuilder:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, value: Any) -> str:
        """Add a constant, and return its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str = "", **settings: Any) -> str:
        """Add a node, and return the name of its output."""
        output = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **settings))
        return output

    def take(self, model: Any) -> None:
        """Add all that a model has."""
        self._nodes.extend(model.graph.node)
        self._constants.extend(model.graph.initializer)

    def make(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], opset: int) -> Any:
        """Return the model."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def alone(make: Callable[[], bytes]) -> Callable[[Path], None]:
    """Return what writes a model as one file."""
    return lambda folder: _write(folder / "model.onnx", make())


def with_config(make: Callable[[], bytes], config: str) -> Callable[[Path], None]:
    """Return what writes a model beside a config.pbtxt of its own."""

    def write(folder: Path) -> None:
        (folder / "1").mkdir()
        _write(folder / "1/model.onnx", make())
        _write(folder / "config.pbtxt", f'backend: "onnxruntime"\n{config}\n'.encode())

    return write


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
