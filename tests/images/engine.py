"""What every way of building has in common: the questions put to it, and how its commands run."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.cluster.errors import ClusterError
from tests.images.catalogue import Image

_LAST_LINES = 25


class Engine(Protocol):
    """Builds from a Dockerfile, and pushes to a registry that speaks plain HTTP."""

    @property
    def base(self) -> str:
        """What the images stand on; another base makes other images."""

    def build(self, image: Image, tag: str) -> None:
        """Build the image unless it is there under `tag`."""

    def push(self, image: Image, tag: str, registry: str) -> None:
        """Push the image of this tag, built if need be."""

    def export(self, image: Image, tag: str, directory: Path, platforms: Sequence[str]) -> None:
        """Write the image into an empty directory as an OCI layout, built if need be.

        `platforms` are such as ``linux/arm64``; with none, it is this machine's.

        Raises:
            ClusterError: the build failed, or this engine cannot build for a platform.

        """


def run(command: Sequence[str], log: Path) -> str:
    """Run a command at low priority and return what it printed; all it says goes to `log`.

    Raises:
        ClusterError: it failed; with its last lines and the place of all of them.

    """
    with log.open("a") as written:
        written.write(f"$ {' '.join(command)}\n")
        written.flush()
        done = subprocess.run(
            ["nice", "-n", "10", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            check=False,
        )
        written.write(done.stdout)

    if done.returncode != 0:
        last = "\n".join(log.read_text().splitlines()[-_LAST_LINES:])
        raise ClusterError(f"{last}\n'{command[0]}' failed; all of its output is in {log}")
    return done.stdout
