"""kubectl as a child process: what it prints, and its complaints turned into sentences.

The only place of this program that talks to anything.
"""

import contextlib
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Self

from slipway.api.names import GROUP
from slipway.cli.complaints import complaint
from slipway.cli.problems import Problem

RESOURCE = f"modeldeployments.{GROUP}"
"""In full: a cluster may know another type of that name."""
PROGRAM_VARIABLE = "SLIPWAY_KUBECTL"
CALL_SECONDS = 60.0
MOST_FAILURES = 10
"""Of a watch, in a row."""
PAUSE_SECONDS = 1.0
FIELD_MANAGER = "kubectl-slipway"

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the user's own flags."""

    flags: tuple[str, ...] = ()
    """As given: ``--context=prod``; passed on with every call."""
    program: str = "kubectl"

    def run(self, *words: str, namespace: str = "", stdin: str | None = None) -> str:
        """Return what it prints.

        Raises:
            Problem: it is missing, failed, or took longer than a minute.

        """
        try:
            done = subprocess.run(  # noqa: S603 -- kubectl, and no shell
                self.command(*words, namespace=namespace),
                input=stdin,
                capture_output=True,
                text=True,
                timeout=CALL_SECONDS,
                check=False,
            )
        except OSError as error:
            raise _missing(self.program, error) from error
        except subprocess.TimeoutExpired as error:
            raise Problem(
                f"kubectl {words[0]} gave no answer in {CALL_SECONDS:.0f} s",
                hint="kubectl cluster-info",
            ) from error
        if done.returncode != 0:
            raise complaint(done.stderr)
        return done.stdout

    def json(self, *words: str, namespace: str = "") -> Manifest:
        """Return the object that it prints.

        Raises:
            Problem: as `run`; or what it printed is no JSON object.

        """
        printed = self.run(*words, "-o", "json", namespace=namespace)
        return parsed(printed, f"kubectl {' '.join(words)}")

    def names(self, namespace: str = "") -> list[str]:
        """Return the names of all ModelDeployments of the namespace."""
        printed = self.run("get", RESOURCE, "-o", "name", namespace=namespace)
        return [entry.rpartition("/")[2] for entry in printed.split()]

    def namespace(self) -> str:
        """Return the namespace that the flags or the kubeconfig choose."""
        chosen = [flag.partition("=")[2] for flag in self.flags if flag.startswith("--namespace=")]
        if chosen:
            return chosen[-1]
        words = ("config", "view", "--minify", "-o", "jsonpath={..namespace}")
        try:
            return self.run(*words).strip() or "default"
        except Problem:
            return "default"

    def command(self, *words: str, namespace: str = "") -> list[str]:
        """Return the command line; `namespace` stands for the one that the flags choose."""
        flags = self.flags
        if namespace:
            flags = (*(f for f in flags if not f.startswith("--namespace=")), f"-n={namespace}")
        return [self.program, *flags, *words]


def program() -> str:
    """Return the name or path of kubectl."""
    return os.environ.get(PROGRAM_VARIABLE) or "kubectl"


def parsed(printed: str, what: str) -> Manifest:
    """Return a JSON object from text.

    Raises:
        Problem: it is none; `what` printed it.

    """
    try:
        read = json.loads(printed)
    except ValueError as error:
        raise Problem(f"{what} printed no JSON: {printed[:80]!r}") from error
    if not isinstance(read, dict):
        raise Problem(f"{what} printed {type(read).__name__}, expected an object")
    return read


def _missing(name: str, error: OSError) -> Problem:
    return Problem(
        f"cannot run kubectl ({name}): {error.strerror or error}; this program talks through it",
        hint=f"install kubectl, or name it: export {PROGRAM_VARIABLE}=/path/to/kubectl",
    )


class Watch:
    """``kubectl get --watch``, read by a thread; the process ends with the block."""

    def __init__(self, kubectl: Kubectl, *words: str, namespace: str = "") -> None:
        """Watch what the words name; nothing runs before the block begins."""
        shape = ("--watch", "--output-watch-events", "-o", "json")
        self._command = kubectl.command("get", RESOURCE, *words, *shape, namespace=namespace)
        self._program = kubectl.program
        self._events: queue.Queue[Manifest | None] = queue.Queue()
        self._failures = 0
        """In a row, since the last event."""
        self._was_heard = False

    def next(self, seconds: float) -> Manifest | None:
        """Return the next watch event; None when there was none for that long.

        Raises:
            Problem: kubectl ended with a complaint.

        """
        try:
            event = self._events.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if event is None:
            self._restart()
        else:
            self._failures, self._was_heard = 0, True
        return event

    def _restart(self) -> None:
        """Begin anew: the API server ends every watch some day, and may be away for a moment."""
        _, said = self._process.communicate()
        self._reader.join()
        if self._process.returncode != 0:
            problem = complaint(said)
            self._failures += 1
            if not (self._was_heard and problem.passes) or self._failures > MOST_FAILURES:
                raise problem
            time.sleep(PAUSE_SECONDS)
        self._start()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- kubectl, and no shell
                self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise _missing(self._program, error) from error
        assert self._process.stdout is not None  # noqa: S101 -- asked for a pipe
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()

    def _read(self, stdout: IO[str]) -> None:
        try:
            for text in documents(stdout):
                with contextlib.suppress(ValueError):  # cut off where the connection broke
                    self._events.put(json.loads(text))
        finally:
            self._events.put(None)

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def documents(lines: Iterable[str]) -> Iterator[str]:
    """Return the JSON objects of a stream: one a line, or indented with a last line ``}``."""
    text = ""
    for line in lines:
        text += line
        if line[:1] in {"{", "}"} and line.rstrip().endswith("}"):
            yield text
            text = ""
