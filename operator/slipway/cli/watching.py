"""``kubectl get --watch`` as a child process that is started anew as long as there is patience."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Self

from slipway.cli import patience as limits
from slipway.cli.complaints import complaint
from slipway.cli.kubectl import RESOURCE, Kubectl, Manifest, missing
from slipway.cli.patience import Patience
from slipway.cli.problems import Problem

Events = queue.Queue[Manifest | None]


class Watch:
    """What one watch tells, read by a thread; the process ends with the block."""

    def __init__(
        self, kubectl: Kubectl, *words: str, patience: Patience, namespace: str = ""
    ) -> None:
        """Watch what the words name; nothing runs before the block begins."""
        shape = ("--watch", "--output-watch-events", "-o", "json")
        self._command = kubectl.command("get", RESOURCE, *words, *shape, namespace=namespace)
        self._program = kubectl.program
        self._patience = patience
        self._due: float | None = None
        """When to start anew, while nothing runs."""
        self._events: Events = queue.Queue()
        self.starts = 0
        """Whoever sees it grow may have missed what was deleted in between."""

    def next(self, seconds: float) -> Manifest | None:
        """Return the next watch event; None when there was none for that long, or a new start.

        Raises:
            Problem: kubectl ended with a complaint that does not pass.

        """
        end = time.monotonic() + max(0.0, seconds)
        if self._due is not None:
            time.sleep(max(0.0, min(self._due, end) - time.monotonic()))
            if time.monotonic() >= self._due:
                self._start()
            return None
        try:
            event = self._events.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if event is None:
            self._ended()
        else:
            self._patience.heard()
        return event

    def again(self, problem: Problem) -> None:
        """Start anew: what belongs to this watch could not be read.

        Raises:
            Problem: the same one: it does not pass.

        """
        self._stop()
        self._due = time.monotonic() + self._patience.bear(problem)

    def _ended(self) -> None:
        """The API server ends every watch some day, and may be away for a moment."""
        _, said = self._process.communicate()
        self._reader.join()
        pause = limits.PAUSE_SECONDS
        if self._process.returncode != 0:
            pause = self._patience.bear(complaint(said))
        else:
            self._patience.heard()
        self._due = time.monotonic() + pause

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- kubectl, and no shell
                self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise missing(self._program, error) from error
        self._due, self._events = None, queue.Queue()
        self.starts += 1
        assert self._process.stdout is not None  # noqa: S101 -- asked for a pipe
        self._reader = threading.Thread(
            target=_read, args=(self._process.stdout, self._events), daemon=True
        )
        self._reader.start()

    def _stop(self) -> None:
        self._process.kill()
        self._reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()


def _read(stdout: IO[str], events: Events) -> None:
    try:
        for text in documents(stdout):
            with contextlib.suppress(ValueError):  # cut off where the connection broke
                events.put(json.loads(text))
    finally:
        events.put(None)


def documents(lines: Iterable[str]) -> Iterator[str]:
    """Return the JSON objects of a stream: one a line, or indented with a last line ``}``."""
    text = ""
    for line in lines:
        text += line
        if line[:1] in {"{", "}"} and line.rstrip().endswith("}"):
            yield text
            text = ""
