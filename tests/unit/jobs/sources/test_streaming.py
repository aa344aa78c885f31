"""Parts that are read ahead come in order, from a fixed amount of memory."""

import random
import threading
import time

import pytest
from slipway.jobs.sources.streaming import AHEAD, AHEAD_BYTES, STREAM_BYTES, can_stream, read_ahead

DATA = random.Random(5).randbytes(AHEAD_BYTES * 3 * AHEAD + 17)


class Store:
    """Is slow with some parts, and remembers how many it was asked for at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.buffers: set[int] = set()

    def read(self, start: int, part: memoryview) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.buffers.add(id(part.obj))
        if start % (3 * AHEAD_BYTES) == 0:
            time.sleep(0.002)
        part[:] = DATA[start : start + len(part)]
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize("start", [0, 1, AHEAD_BYTES, len(DATA) - 1, len(DATA)])
def test_all_bytes_come_in_order_from_any_offset(start: int) -> None:
    store = Store()

    found = b"".join(bytes(part) for part in read_ahead(store.read, start, len(DATA)))

    assert found == DATA[start:]
    assert store.most <= AHEAD
    assert len(store.buffers) <= AHEAD


def test_a_part_that_fails_is_raised_in_its_turn() -> None:
    def read(start: int, part: memoryview) -> None:
        if start == 2 * AHEAD_BYTES:
            raise ValueError("gone")
        part[:] = DATA[start : start + len(part)]

    parts = read_ahead(read, 0, len(DATA))

    assert bytes(next(parts)) + bytes(next(parts)) == DATA[: 2 * AHEAD_BYTES]
    with pytest.raises(ValueError, match="gone"):
        next(parts)


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("1/model.onnx", STREAM_BYTES, True),
        ("1/model.onnx", STREAM_BYTES - 1, False),
        ("1/model.py", STREAM_BYTES, False),
        ("config.pbtxt", STREAM_BYTES, False),
    ],
)
def test_large_files_that_nobody_looks_into_are_streamed(
    name: str, size: int, expected: bool
) -> None:
    assert can_stream(name, size) is expected
