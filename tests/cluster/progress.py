"""Says what long work is going on and how long it has taken."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

EVERY_SECONDS = 15.0


class Progress:
    """Prints one line when a step starts and ends, and one now and then while steps run."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._reached: dict[str, str] = {}
        self._lock = threading.Lock()
        self._idle = threading.Event()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, and say how long it took if it took a while."""
        begin = time.monotonic()
        with self._lock:
            self._started[name] = begin
        say(f"{name} …")
        try:
            yield
        finally:
            with self._lock:
                del self._started[name]
                self._reached.pop(name, None)
        say(f"{name}: done in {time.monotonic() - begin:.0f} s")

    def reach(self, name: str, how_far: str) -> None:
        """Note how far a step under way is; the next report says so."""
        with self._lock:
            self._reached[name] = how_far

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Report the steps under way, from a thread, until the block ends."""
        self._idle.clear()
        ticker = threading.Thread(target=self._tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            self._idle.set()
            ticker.join()

    def _tick(self) -> None:
        while not self._idle.wait(EVERY_SECONDS):
            line = self._running()
            if line:
                say(f"  still at it: {line}")

    def _running(self) -> str:
        now = time.monotonic()
        with self._lock:
            steps = [
                f"{name} {now - begin:.0f} s{self._reached.get(name, '')}"
                for name, begin in self._started.items()
            ]
        return ", ".join(steps)


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
