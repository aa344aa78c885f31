"""Inputs and outputs of an ONNX graph, read from the file without its weights.

ONNX is protobuf. Only six message types are needed, so the wire format is read directly: gigabytes
of initializers are skipped and never loaded. Source: onnx/onnx.proto of the ONNX project.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slipway.api.result import TensorSpec

DATATYPES = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}
"""TensorProto.DataType → Triton's names."""

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MODEL_GRAPH = 7
GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 5, 11, 12, 15
TENSOR_NAME = 8
SPARSE_VALUES = 1
VALUE_NAME, VALUE_TYPE = 1, 2
TYPE_TENSOR = 1
TENSOR_ELEMENT, TENSOR_SHAPE = 1, 2
SHAPE_DIM = 1
DIM_VALUE = 1
LONGEST_VARINT = 10
MAX_CHILDREN = 100_000
"""Most inputs, outputs, initializers or dimensions that are read; a file of nothing else would fill
the memory."""


class GraphUnreadable(ValueError):
    """The file is not an ONNX model, or of a kind that Triton does not serve."""


class _EndsTooEarly(GraphUnreadable):
    """A field is longer than what holds it."""

    def __init__(self, field: int, begin: int, end: int) -> None:
        super().__init__(f"no protobuf at byte {begin}")
        self.field = field
        self.end = end
        """Offset of the byte after the field, as far as its length is there."""


@dataclass(frozen=True, slots=True)
class OnnxGraph:
    """Inputs and outputs with all dimensions, including the batch's if there is one."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    scalars: frozenset[str] = frozenset()
    """Names of those that have no dimension; one whose rank is unknown is none of them."""

    @property
    def can_batch(self) -> bool:
        """Whether the first dimension of every tensor may vary, which is Triton's criterion."""
        tensors = (*self.inputs, *self.outputs)
        return bool(tensors) and all(item.dims and item.dims[0] < 0 for item in tensors)


Span = tuple[int, int]
"""Offsets of the first byte, and of the byte after the last."""


def read_graph(path: Path) -> OnnxGraph:
    """Return the graph of an ONNX file.

    Raises:
        GraphUnreadable: the file is not an ONNX model, or of a kind that Triton does not serve.

    """
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            raise GraphUnreadable("the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _OnnxReader(data).graph()


def describe_cut(path: Path) -> str | None:
    """Return where an ONNX file is cut off; None where it ends with a field, or is no protobuf.

    Nothing reads a file that ends within a field, whatever fields and operators are known. Only the
    fields around the graph are looked at.
    """
    size = path.stat().st_size
    if size == 0:
        return "found 0 bytes, expected an ONNX model"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _OnnxReader(data).pass_model()
        except _EndsTooEarly as cut:
            part = "graph" if cut.field == MODEL_GRAPH else "last field"
            return f"cut off: found {size} bytes, and its {part} goes on to byte {cut.end}"
        except GraphUnreadable:
            return None
    return None


class _OnnxReader:
    """Reads the protobuf wire format of an ONNX file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data

    def graph(self) -> OnnxGraph:
        whole = (0, len(self._data))
        spans = self._children(whole, MODEL_GRAPH)
        if not spans:
            raise GraphUnreadable("the file contains no ONNX graph")

        graph = spans[-1]
        constants = self._constants(graph)
        inputs = [self._tensor(span) for span in self._children(graph, GRAPH_INPUT)]
        outputs = [self._tensor(span) for span in self._children(graph, GRAPH_OUTPUT)]
        if not outputs:
            raise GraphUnreadable("the ONNX graph has no outputs")

        values = [
            span for number in (GRAPH_INPUT, GRAPH_OUTPUT) for span in self._children(graph, number)
        ]
        return OnnxGraph(
            tuple(tensor for tensor in inputs if tensor.name not in constants),
            tuple(outputs),
            frozenset(self._text(span, VALUE_NAME) for span in values if self._is_scalar(span)),
        )

    def pass_model(self) -> None:
        """Go from field to field of the outermost message, up to the end of the file."""
        for _ in self._fields((0, len(self._data))):
            pass

    def _constants(self, graph: Span) -> set[str]:
        """Return the names of initializers, which old graphs also list as inputs."""
        dense = self._children(graph, GRAPH_INITIALIZER)
        sparse = self._children(graph, GRAPH_SPARSE)
        values = [span for item in sparse for span in self._children(item, SPARSE_VALUES)]
        return {self._text(span, TENSOR_NAME) for span in [*dense, *values]}

    def _tensor(self, value: Span) -> TensorSpec:
        name = self._text(value, VALUE_NAME)
        types = [
            span
            for value_type in self._children(value, VALUE_TYPE)
            for span in self._children(value_type, TYPE_TENSOR)
        ]
        if not types:
            raise GraphUnreadable(f"{name!r} is a sequence, map or optional, expected a tensor")

        element = self._number(types[0], TENSOR_ELEMENT)
        datatype = DATATYPES.get(element or 0)
        if datatype is None:
            raise GraphUnreadable(f"{name!r} has element type {element}, which Triton has not")

        dims = [
            self._dim(span)
            for shape in self._children(types[0], TENSOR_SHAPE)
            for span in self._children(shape, SHAPE_DIM)
        ]
        return TensorSpec(name=name, datatype=datatype, dims=dims)

    def _is_scalar(self, value: Span) -> bool:
        shapes = [
            shape
            for value_type in self._children(value, VALUE_TYPE)
            for tensor in self._children(value_type, TYPE_TENSOR)
            for shape in self._children(tensor, TENSOR_SHAPE)
        ]
        return bool(shapes) and not any(self._children(shape, SHAPE_DIM) for shape in shapes)

    def _dim(self, span: Span) -> int:
        value = self._number(span, DIM_VALUE)
        return value if value is not None and 0 < value < 2**63 else -1

    def _children(self, span: Span, number: int) -> list[Span]:
        found = []
        for field, kind, value in self._fields(span):
            if (field, kind) == (number, LENGTH):
                found.append(value)
            if len(found) > MAX_CHILDREN:
                raise GraphUnreadable(f"more than {MAX_CHILDREN} entries of one kind")
        return found

    def _text(self, span: Span, number: int) -> str:
        spans = self._children(span, number)
        if not spans:
            return ""
        start, end = spans[-1]
        return self._data[start:end].decode("utf-8", errors="replace")

    def _number(self, span: Span, number: int) -> int | None:
        values = [
            value[0]
            for field, kind, value in self._fields(span)
            if (field, kind) == (number, VARINT)
        ]
        return values[-1] if values else None

    def _fields(self, span: Span) -> Iterator[tuple[int, int, Span]]:
        """Yield field number, wire type and content: a span, or (number, 0) for a varint."""
        position, end = span
        while position < end:
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                value, position = self._varint(position, end, number)
                yield number, kind, (value, 0)
                continue

            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if kind == LENGTH:
                size, position = self._varint(position, end, number)
            if size is None or number == 0:
                raise GraphUnreadable(f"no protobuf at byte {position}")
            if position + size > end:
                raise _EndsTooEarly(number, position, position + size)

            yield number, kind, (position, position + size)
            position += size

    def _varint(self, position: int, end: int, field: int = 0) -> tuple[int, int]:
        """Return the number and the offset behind it; `field` is the one that it belongs to."""
        value = 0
        for index in range(min(LONGEST_VARINT, end - position)):
            byte = self._data[position + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
                return value, position + index + 1
        if end - position < LONGEST_VARINT:
            raise _EndsTooEarly(field, position, end + 1)
        raise GraphUnreadable(f"no protobuf at byte {position}")
