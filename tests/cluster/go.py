"""Whether this machine has the Go that programs are built with."""

import re
import shutil
import subprocess

from tests.cluster import settings
from tests.cluster.errors import ClusterError


def require_go() -> None:
    """Raise ClusterError where there is no fitting Go; the message says what to do."""
    oldest = ".".join(str(part) for part in settings.OLDEST_GO)
    found = _version()
    if found is None:
        raise ClusterError(
            f"this is built with Go {oldest} or later, and there is no 'go' on the PATH;"
            " install it from https://go.dev/doc/install"
        )
    if found < settings.OLDEST_GO:
        raise ClusterError(
            f"this needs Go {oldest} or later; found {'.'.join(str(part) for part in found)}"
        )


def _version() -> tuple[int, int] | None:
    if not shutil.which("go"):
        return None
    text = subprocess.run(
        ["go", "env", "GOVERSION"], capture_output=True, text=True, check=False
    ).stdout
    match = re.match(r"go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None
