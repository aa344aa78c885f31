"""Parallel parts: what was fetched is never fetched again, and nothing is mixed."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from slipway.jobs.http import Backoff
from slipway.jobs.sources.parts import (
    PART_BYTES,
    GaveUp,
    Interrupted,
    PartDownload,
    RemoteFile,
    Replaced,
)
from slipway.jobs.sources.progress import Progress

DATA = random.Random(3).randbytes(2 * PART_BYTES + 17)
FILE = RemoteFile("1/m.bin", "models/1/m.bin", len(DATA), "a")
SMALL = RemoteFile("config.pbtxt", "models/config.pbtxt", 3, "b")
EMPTY = RemoteFile("labels.txt", "models/labels.txt", 0, "c")
PATIENT = Backoff(attempts=3, sleep=lambda _: None)


class Remote:
    """A store that breaks off, or replaces files."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.sent = 0
        self.breaks = 40
        self.chance = chance
        self.replaced: set[RemoteFile] = set()
        self.lock = threading.Lock()
        self.contents = {FILE.key: DATA, SMALL.key: b"x=1"}

    def read(self, file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        if file in self.replaced:
            raise Replaced(file.key)
        data = self.contents[file.key][start:end]
        for offset in range(0, len(data), 2**18):
            block = data[offset : offset + 2**18]
            # Parts are read by several threads.
            with self.lock:
                if self.chance and self.breaks and self.chance.random() < 0.3:
                    self.breaks -= 1
                    raise Interrupted("cut")
                self.sent += len(block)
            yield block


def a_download(folder: Path, remote: Remote, total: int = 0) -> PartDownload:
    return PartDownload(folder, remote.read, PATIENT, Progress(total))


def test_every_byte_is_sent_once_however_often_it_breaks_off(tmp_path: Path) -> None:
    remote = Remote(random.Random(1))
    download = PartDownload(
        tmp_path, remote.read, Backoff(attempts=41, sleep=lambda _: None), Progress(len(DATA) + 3)
    )

    download.run([FILE, SMALL, EMPTY])

    assert remote.breaks == 0
    assert remote.sent == len(DATA) + 3 == download.progress.done
    assert (tmp_path / "1" / "m.bin").read_bytes() == DATA
    assert (tmp_path / "config.pbtxt").read_bytes() == b"x=1"
    assert (tmp_path / "labels.txt").read_bytes() == b""


def test_no_progress_in_several_attempts_ends_it(tmp_path: Path) -> None:
    def read(file: RemoteFile, start: int, end: int) -> Iterator[bytes]:
        raise Interrupted(f"found status 500 for {file.name} from {start} to {end}")

    with pytest.raises(GaveUp, match=r"found status 500 .* 3 times in a row at byte 0 of models/c"):
        PartDownload(tmp_path, read, PATIENT, Progress(1)).run([SMALL])


def test_only_what_was_replaced_is_fetched_again(tmp_path: Path) -> None:
    remote = Remote()
    download = a_download(tmp_path, remote, len(DATA) + 3)
    download.run([FILE])
    remote.replaced = {SMALL}
    with pytest.raises(Replaced):
        download.run([FILE, SMALL])

    newer = RemoteFile("config.pbtxt", SMALL.key, 3, "b2")
    download.run([FILE, newer])

    assert remote.sent == len(DATA) + 3
    assert (tmp_path / "config.pbtxt").read_bytes() == b"x=1"


def test_a_file_that_is_gone_is_gone_here_too(tmp_path: Path) -> None:
    download = a_download(tmp_path, Remote())
    download.run([FILE, SMALL])

    download.run([FILE])

    assert not (tmp_path / "config.pbtxt").exists()
    assert download.progress.done == len(DATA)


def test_progress_says_how_much_how_fast_and_how_long() -> None:
    seconds = iter([0.0, 12.0, 12.0, 12.0])
    progress = Progress(300 * 2**20, now=lambda: next(seconds))

    progress.add(120 * 2**20)

    text = "fetched 120.0 MiB of 300.0 MiB at 10.0 MiB/s, 18 s left"
    seconds = iter([12.0])
    assert progress.describe() == text
