"""Files that are read from their store while they are packed, without a copy on disk.

Only large ones: of small ones, such as a config.pbtxt, the content decides where the others go.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from slipway.jobs.file_tree import ByteStream, TreeFile

STREAM_BYTES = 16 * 2**20
"""Size from which on a file is streamed."""
AHEAD_BYTES = 4 * 2**20
AHEAD = 6
"""Parts that are read at once, and that memory is there for."""
NEVER_STREAMED = (".py", ".pbtxt", ".json", ".txt")
"""Suffixes of files that are looked into as a whole."""


def can_stream(name: str, size: int) -> bool:
    """Return whether a file of this name and size, which is no archive, may be streamed."""
    return size >= STREAM_BYTES and not name.lower().endswith(NEVER_STREAMED)


def make_streamed_file(name: str, path: Path, size: int, stream: ByteStream) -> TreeFile:
    """Return a file that stays in its store; at `path` lies one of its size without content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as empty:
        empty.truncate(size)
    return TreeFile(name, path, stream=stream)


def read_ahead(
    read: Callable[[int, memoryview], None], start: int, size: int
) -> Iterator[memoryview]:
    """Yield the bytes of a file from `start` to `size`, several parts of which are read at once.

    `read` fills a buffer with what begins at an offset. What it raises is raised where the part is
    due. There are `AHEAD` buffers, each of which is used again and again.
    """
    starts = iter(range(start, size, AHEAD_BYTES))
    free = [memoryview(bytearray(AHEAD_BYTES)) for _ in range(AHEAD)]
    waiting: deque[tuple[Future[None], memoryview]] = deque()
    pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="stream")
    try:
        while True:
            while free and (begin := next(starts, None)) is not None:
                part = free.pop()[: size - begin]
                waiting.append((pool.submit(read, begin, part), part))
            if not waiting:
                return
            done, part = waiting.popleft()
            done.result()
            yield part
            # Only now has whoever asked for it nothing more to do with it.
            free.append(memoryview(part.obj))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
