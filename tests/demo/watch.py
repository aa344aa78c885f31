"""Objects as they are written, through `kubectl get --watch`."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from slipway.api.modeldeployment import ModelDeploymentStatus

from tests.kubectl import Kubectl

RECONNECT_SECONDS = 0.5


class LineWatch:
    """Hands out each line of a watch as it comes, in a thread; one that breaks off begins again."""

    def __init__(self, command: list[str], take: Callable[[str], None]) -> None:
        self._command = command
        self._take = take
        self._over = threading.Event()
        self._stream: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        while self._thread.is_alive():  # it may have been about to begin another stream
            if self._stream is not None:
                self._stream.terminate()
            self._thread.join(RECONNECT_SECONDS)

    def _follow(self) -> None:
        """A watch that begins again begins with the objects as they are then."""
        while not self._over.is_set():
            try:
                self._read_once()
            except OSError as error:
                print(f"watch: {error}; again in {RECONNECT_SECONDS} s", file=sys.stderr)
            self._over.wait(RECONNECT_SECONDS)

    def _read_once(self) -> None:
        self._stream = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with self._stream as stream:
            for line in stream.stdout or ():
                if line.strip():
                    self._take(line)


class StatusWatch(LineWatch):
    """Follows one ModelDeployment; `next` hands its statuses out in order."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str) -> None:
        words = ("get", "modeldeployment", name, "-n", namespace, "--watch")
        command = kubectl.command(*words, "-o", 'jsonpath={.status}{"\\n"}')
        self._seen: queue.Queue[tuple[float, ModelDeploymentStatus]] = queue.Queue()
        self.came_at = 0.0
        """Unix time at which the status came that `next` returned last."""
        super().__init__(command, self._see)

    def next(self, seconds: float) -> ModelDeploymentStatus | None:
        """Return the next status, None when there is none for `seconds`."""
        try:
            self.came_at, status = self._seen.get(timeout=seconds)
        except queue.Empty:
            return None
        return status

    def _see(self, line: str) -> None:
        try:
            status = json.loads(line)
        except json.JSONDecodeError:
            return  # an API server that stopped cut it; the next watch begins with all of it
        self._seen.put((time.time(), ModelDeploymentStatus.model_validate(status)))
