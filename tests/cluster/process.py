"""Which process is ours: a pid alone is not enough, since the kernel hands pids out again."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

PROC = Path("/proc")
KILL_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process that no later one can be taken for."""

    pid: int
    started: int
    """Clock ticks between the boot and its start."""
    boot: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return the process that has this pid now; None when no live one does."""
    started = start_ticks(pid)
    return None if started is None else ProcessIdentity(pid, started, boot_id())


def is_alive(identity: ProcessIdentity) -> bool:
    """Tell whether this very process still runs; a zombie does not."""
    return identify(identity.pid) == identity


def kill_process(identity: ProcessIdentity) -> bool:
    """Kill this very process and wait for its end; False when it had ended before.

    Raises:
        ClusterError: it did not end in time.

    """
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return False
    try:
        # The handle keeps meaning the same process, so a match now holds when the signal is sent.
        if not is_alive(identity):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    finally:
        os.close(handle)
    _wait_for_end(identity)
    return True


def _wait_for_end(identity: ProcessIdentity) -> None:
    deadline = time.monotonic() + KILL_SECONDS
    while is_alive(identity):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"process {identity.pid} was killed but did not end in {KILL_SECONDS:.0f} s"
            )
        time.sleep(0.02)


def child_of(parent: int) -> int | None:
    """Return the pid of a child of `parent`, or None while it has none."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields and int(fields[1]) == parent:
                return int(entry.name)
    return None


def find_processes(arguments: tuple[str, ...]) -> list[ProcessIdentity]:
    """Return the processes whose command line ends in exactly these arguments."""
    wanted = "".join(f"{argument}\0" for argument in arguments).encode()
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    found = (identify(pid) for pid in pids if _command_line(pid).endswith(b"\0" + wanted))
    return [identity for identity in found if identity]


def start_ticks(pid: int) -> int | None:
    """Return when the process started, or None when it is gone or a zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return int(fields[19])


def boot_id() -> str:
    """Return the name of this boot of the machine: pids and ticks mean nothing across boots."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _command_line(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the state on (field 3 of proc(5))."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may itself hold spaces and parentheses.
    return text.rpartition(")")[2].split()
