"""``slipway hold``: keeps a model in the cache of Fetch mode while its pod runs.

A native sidecar beside the server, which itself never sees the cache. It has a shared lock on one
file and does nothing else, so it imports next to nothing. The lock ends with the process, whatever
becomes of the pod or the node. Where the file system has no locks, or the cache cannot be written,
the model is not kept; nothing about it makes a pod fail.
"""

import fcntl
import signal
import sys
from pathlib import Path
from typing import IO

ENDS = (signal.SIGTERM, signal.SIGINT)


def main() -> int:
    """Hold the file that the first argument names until the pod ends."""
    # A process with the number 1 ignores signals that it has no handler for.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    held = hold_file(Path(sys.argv[1]))
    signal.sigwait(ENDS)
    if held is not None:
        held.close()
    return 0


def hold_file(path: Path) -> IO[str] | None:
    """Return the file with a shared lock, which lasts while it is open; None if there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        fcntl.flock(file, fcntl.LOCK_SH)
    except OSError as error:
        print(f"the cache may remove the model: {error}", file=sys.stderr)  # noqa: T201 -- the log
        return None
    return file
