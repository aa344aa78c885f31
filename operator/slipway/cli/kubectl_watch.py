"""``kubectl get --watch`` as a child process that is restarted for as long as that makes sense."""

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Self

from slipway.cli import reconnect as limits
from slipway.cli.cli_error import CliError
from slipway.cli.kubectl import RESOURCE, Kubectl, Manifest, missing_kubectl
from slipway.cli.kubectl_errors import explain_failure
from slipway.cli.reconnect import Reconnect

Events = queue.Queue[Manifest | None]


class KubectlWatch:
    """The events of one watch, read by a thread; the process ends with the block."""

    def __init__(
        self,
        kubectl: Kubectl,
        *words: str,
        reconnect: Reconnect,
        namespace: str = "",
        resource: str = RESOURCE,
    ) -> None:
        """Watch what the words name; nothing runs before the block begins."""
        shape = ("--watch", "--output-watch-events", "-o", "json")
        self._command = kubectl.command("get", resource, *words, *shape, namespace=namespace)
        self._program = kubectl.program
        self._reconnect = reconnect
        self._due: float | None = None
        """When to start again, while nothing runs."""
        self._events: Events = queue.Queue()
        self.starts = 0
        """When it grows, a deletion may have been missed in between."""

    def next_event(self, seconds: float) -> Manifest | None:
        """Return the next watch event; None when there was none for that long, or a new start.

        Raises:
            CliError: kubectl failed, and calling it again would not help.

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
            self._plan_restart()
        else:
            self._reconnect.note_success()
        return event

    def restart_after(self, error: CliError) -> None:
        """Start again: what belongs to this watch could not be read.

        Raises:
            CliError: the same one: it is permanent.

        """
        self._stop()
        self._due = time.monotonic() + self._reconnect.retry_delay(error)

    def _plan_restart(self) -> None:
        """Decide when to start again: the API server ends every watch, and may be down briefly."""
        _, stderr = self._process.communicate()
        self._reader.join()

        pause = limits.PAUSE_SECONDS
        if self._process.returncode != 0:
            pause = self._reconnect.retry_delay(explain_failure(stderr))
        else:
            self._reconnect.note_success()
        self._due = time.monotonic() + pause

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- kubectl, and no shell
                self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise missing_kubectl(self._program, error) from error

        self._due, self._events = None, queue.Queue()
        self.starts += 1
        assert self._process.stdout is not None  # noqa: S101 -- asked for a pipe
        self._reader = threading.Thread(
            target=_read_events, args=(self._process.stdout, self._events), daemon=True
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


def _read_events(stdout: IO[str], events: Events) -> None:
    try:
        for text in split_documents(stdout):
            with contextlib.suppress(ValueError):  # cut off where the connection broke
                events.put(json.loads(text))
    finally:
        events.put(None)


def split_documents(lines: Iterable[str]) -> Iterator[str]:
    """Return the JSON objects of a stream: one a line, or indented with a last line ``}``."""
    text = ""
    for line in lines:
        text += line
        if line[:1] in {"{", "}"} and line.rstrip().endswith("}"):
            yield text
            text = ""
