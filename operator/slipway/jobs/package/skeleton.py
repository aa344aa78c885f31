"""What is kept of a streamed file for those who look into it: the rest of the file is a hole.

Of every file that is its first kilobytes; of an ONNX file also all that `onnx_graph` reads, which
is everything but the weights and the nodes. The file on disk is as long as the real one.
"""

import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from slipway.jobs.file_tree import CannotStream
from slipway.jobs.package.onnx_graph import (
    FIXED32,
    FIXED64,
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_OUTPUT,
    GRAPH_SPARSE,
    LENGTH,
    LONGEST_VARINT,
    MODEL_GRAPH,
    SPARSE_VALUES,
    VARINT,
)

HEAD_BYTES = 4096
MAX_FIELDS = 1_000_000
"""A file of more is not followed, because that would take longer than to fetch it."""
KEPT_BYTES = 4096
"""Fields of at most this size are kept, whatever they are."""

_INSIDE: dict[tuple[int, ...], tuple[int, ...]] = {
    (): (MODEL_GRAPH,),
    (MODEL_GRAPH,): (GRAPH_INITIALIZER, GRAPH_SPARSE),
    (MODEL_GRAPH, GRAPH_SPARSE): (SPARSE_VALUES,),
}
"""Messages that are looked into, by the fields that lead to the message around them."""
_WHOLE = frozenset({(MODEL_GRAPH, GRAPH_INPUT), (MODEL_GRAPH, GRAPH_OUTPUT)})
"""Fields that are kept, however long."""


@dataclass(slots=True)
class Skeleton:
    """The files of a directory that are filled while others stream by."""

    paths: dict[str, Path]
    """Where the files lie, by what they are called in the stream."""
    _onnx: dict[str, "_OnnxSkeleton"] = field(default_factory=dict)

    def __call__(self, name: str, offset: int, data: memoryview) -> None:
        """Take the next bytes of a file, which are at `offset`.

        Raises:
            CannotStream: it is called ONNX, and is something else.

        """
        path = self.paths.get(name)
        if path is None:
            return
        if offset < HEAD_BYTES:
            _write(path, offset, data[: HEAD_BYTES - offset])
        if path.suffix.lower() == ".onnx":
            if name not in self._onnx:
                self._onnx[name] = _OnnxSkeleton(path)
            self._onnx[name].take(data)


class _OnnxSkeleton:
    """Follows protobuf's wire format through a file that comes in blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._block = memoryview(b"")
        self._position = 0
        self._ends: list[tuple[int, int]] = []
        """Field and last byte of the messages around the position."""
        self._walk = self._follow(path.stat().st_size)
        next(self._walk)

    def take(self, block: memoryview) -> None:
        """Take the bytes that follow."""
        self._block = block
        next(self._walk, None)

    def _follow(self, size: int) -> Generator[None, None, None]:
        """Go through the file, and pause where a block ends."""
        for _ in range(MAX_FIELDS):
            if self._position >= size:
                return
            while self._ends and self._position >= self._ends[-1][1]:
                self._ends.pop()
            begin, head = self._position, bytearray()
            key = yield from self._varint(head)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                yield from self._varint(head)
                length = 0
            elif kind == LENGTH:
                length = yield from self._varint(head)
            elif kind in {FIXED64, FIXED32}:
                length = 8 if kind == FIXED64 else 4
            else:
                raise CannotStream("an ONNX file is no protobuf")

            limit = self._ends[-1][1] if self._ends else size
            if self._position + length > limit:
                raise CannotStream("a field of an ONNX file is longer than the message around it")
            _write(self._path, begin, memoryview(head))
            place = tuple(field for field, _ in self._ends)
            if kind == LENGTH and number in _INSIDE.get(place, ()):
                self._ends.append((number, self._position + length))
            else:
                is_kept = length <= KEPT_BYTES or (*place, number) in _WHOLE
                yield from self._pass(length, keep=is_kept)
        raise CannotStream(f"an ONNX file has more than {MAX_FIELDS} fields")

    def _varint(self, head: bytearray) -> Generator[None, None, int]:
        """Read a number, and add its bytes to `head`."""
        value = 0
        for index in range(LONGEST_VARINT):
            while not self._block:
                yield
            byte, self._block = self._block[0], self._block[1:]
            self._position += 1
            head.append(byte)
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
                return value
        raise CannotStream("an ONNX file is no protobuf")

    def _pass(self, length: int, *, keep: bool) -> Generator[None, None, None]:
        while length:
            while not self._block:
                yield
            part, self._block = self._block[:length], self._block[length:]
            if keep:
                _write(self._path, self._position, part)
            self._position += len(part)
            length -= len(part)


def _write(path: Path, offset: int, data: memoryview) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(handle, data, offset)
    finally:
        os.close(handle)
