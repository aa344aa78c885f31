"""ONNX models with their external weights: read from any tree, and written in a folder of ours.

The weights of a model above 2 GiB, which is the limit of protobuf, lie in files beside it.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto

from slipway.api.reasons import Reason
from slipway.errors import JobFailure
from slipway.jobs.file_tree import Tree

LARGEST_SINGLE_FILE = 3 * 2**29
"""1.5 GiB: weights of a larger model are written beside it. What a conversion adds is small."""
SMALLEST_EXTERNAL = 1024
"""Bytes of the smallest tensor that is written beside the model; those of shapes must be inside."""
FREE_INITIALIZERS = 4
"""First version of the format in which an initializer needs no input of its name."""


class OnnxFile:
    """A model of a tree, with its external weights."""

    def __init__(self, tree: Tree, name: str) -> None:
        """Read the graph, and the names of the files with external weights.

        Raises:
            JobFailure: PrecisionImpossible: the file is no ONNX model, or names files that are not
                there.

        """
        self.name = name
        self._tree = tree
        try:
            self._model = onnx.load(str(tree[name]), load_external_data=False)
        except (DecodeError, ValueError) as error:
            raise cannot_convert(name, f"it is no ONNX model: {error}") from error
        found = {_location(tensor) for tensor in list_tensors(self._model.graph)} - {None}
        self.external = sorted(self._name_of(location) for location in found if location)

        missing = [file for file in self.external if file not in tree.names]
        if missing:
            raise cannot_convert(name, f"it has weights in {missing[0]}, which the source has not")

    @property
    def size(self) -> int:
        """Bytes of the model and its external weights."""
        return sum(self._tree[name].stat().st_size for name in (self.name, *self.external))

    def stage(self, folder: Path) -> Path:
        """Write the whole model into `folder`, and return its path; the model can be read once."""
        for tensor in list_tensors(self._model.graph):
            location = _location(tensor)
            if location is not None:
                tensor.raw_data = self._read_external(tensor, location)
                del tensor.external_data[:]
                tensor.data_location = TensorProto.DEFAULT

        if self._model.ir_version >= FREE_INITIALIZERS:
            _lift_constants(self._model.graph)
        path = folder / PurePosixPath(self.name).name
        save_model(self._model, path, is_large=self.is_large)
        del self._model
        return path

    @property
    def is_large(self) -> bool:
        """Whether weights are written beside the model, here and after a conversion."""
        return self.size > LARGEST_SINGLE_FILE

    def _name_of(self, location: str) -> str:
        return str(PurePosixPath(self.name).parent / location)

    def _read_external(self, tensor: TensorProto, location: str) -> bytes:
        """Only files of the tree are read, whatever path the model names."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
        with self._tree[self._name_of(location)].open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        if length >= 0 and len(data) < length:
            raise cannot_convert(
                self.name,
                f"tensor {tensor.name!r}: expected {length} bytes in {location}, found {len(data)}",
            )
        return data


def list_tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Yield initializers and constants, also those of subgraphs."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from _tensors_of(attribute)


def list_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, also those of subgraphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from list_nodes(inner)


def save_model(model: onnx.ModelProto, path: Path, *, is_large: bool) -> None:
    """Write a model; the same model gives the same bytes."""
    if is_large:
        onnx.save_model(
            model,
            str(path),
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=f"{path.name}.data",
            size_threshold=SMALLEST_EXTERNAL,
        )
    else:
        onnx.save_model(model, str(path))


def cannot_convert(name: str, problem: str) -> JobFailure:
    """Return the failure of a model that has no other precision."""
    return JobFailure(Reason.PRECISION_IMPOSSIBLE, f"spec.model.optimize: {name}: {problem}")


def _lift_constants(graph: onnx.GraphProto) -> None:
    """Make weights that are nodes, as in exports of PaddlePaddle, initializers.

    The converters see no others.
    """
    lifted = [node for node in graph.node if node.op_type == "Constant" and _is_weight(node)]
    for node in lifted:
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def _is_weight(node: onnx.NodeProto) -> bool:
    tensor = node.attribute[0].t if node.attribute else TensorProto()
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1


def _tensors_of(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for graph in (attribute.g, *attribute.graphs):
        yield from list_tensors(graph)


def _location(tensor: TensorProto) -> str | None:
    """Return the file with the tensor's data; None where the model has it."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return None
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
