"""How far a download is: bytes, rate and what is left, in the Job's log and for who asks."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slipway.api.download import DownloadProgress

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
MEBIBYTE = 2**20


class Progress:
    """Counts the bytes of a download, from any thread, and logs every ten seconds.

    The newest of a process is the one that is told to whoever asks.
    """

    newest: "Progress | None" = None

    def __init__(self, total: int | None, now: Callable[[], float] = time.monotonic) -> None:
        """Take the number of bytes that are expected; None where it is not known."""
        self.total = total
        self.done = 0
        self._now = now
        self._began = self._told = now()
        self._lock = threading.Lock()
        Progress.newest = self

    def add(self, count: int) -> None:
        """Count bytes that have arrived; negative ones are fetched again."""
        with self._lock:
            self.done += count
            if self._now() - self._told < EVERY_SECONDS:
                return
            self._told = self._now()
            text = self.describe()
        log.info("%s", text)

    @property
    def there(self) -> int:
        """Bytes that are there."""
        return max(0, self.done)

    def measure(self) -> DownloadProgress:
        """Return the numbers, which nobody has to trust."""
        return DownloadProgress(
            bytes=self.there,
            total_bytes=self.total,
            seconds=max(0.0, self._now() - self._began),
        )

    def describe(self) -> str:
        """Return a sentence: what is there, how fast it comes, and how long the rest takes."""
        rate = self.done / max(self._now() - self._began, 0.001)
        speed = f"{rate / MEBIBYTE:.1f} MiB/s"
        if self.total is None:
            return f"fetched {_mebibytes(self.done)} at {speed}"
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate else ""
        return f"fetched {_mebibytes(self.done)} of {_mebibytes(self.total)} at {speed}{left}"


class FolderProgress(Progress):
    """Of a download that counts nothing itself: what its folder has, whenever somebody asks."""

    def __init__(self, total: int, folder: Path) -> None:
        """Take the bytes that are expected, and where they are written."""
        super().__init__(total)
        self._folder = folder

    @property
    def there(self) -> int:
        """Bytes of all files; one that has just gone counts nothing."""
        total = 0
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                total += path.stat().st_size if path.is_file() else 0
        return min(total, self.total or total)


def _mebibytes(count: int) -> str:
    return f"{count / MEBIBYTE:,.1f} MiB"
