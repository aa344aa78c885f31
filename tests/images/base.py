"""The root file system under the images on a machine without Docker: a small Debian."""

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.images.engine import run

BASE_VARIABLE = "SLIPWAY_BASE_IMAGE"
"""Names an image to stand on instead; needed where apt has no Debian to offer."""


@dataclass(frozen=True, slots=True)
class DebianBase:
    """What python:3.11-slim-bookworm holds of Debian, near enough for the same Dockerfiles."""

    suite: str = "bookworm"
    packages: tuple[str, ...] = ("ca-certificates", "libpython3.11", "python3", "python3-venv")
    removed: tuple[str, ...] = (
        "etc/apt/sources.list*",
        "etc/hostname",
        "etc/resolv.conf",
        "usr/share/bash-completion",
        "usr/share/doc/*",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/locale/*",
        "usr/share/man/*",
        "var/cache/apt/*",
        "var/cache/debconf/*",
        "var/lib/apt/lists/*",
        "var/log/*",
    )
    """What nobody reads in a container, and what tells of the machine that made it."""

    @property
    def recipe(self) -> str:
        """All that decides how it comes out, but for the day it is made."""
        return repr(self)

    @property
    def tag(self) -> str:
        """The recipe's digest."""
        return hashlib.sha256(self.recipe.encode()).hexdigest()[:16]

    def make(self, tree: Path, log: Path) -> None:
        """Unpack the packages into the empty directory `tree`.

        Raises:
            ClusterError: debootstrap failed, or there is no mirror.

        """
        tree.chmod(0o755)
        packages = f"--include={','.join(self.packages)}"
        run(("debootstrap", "--variant=minbase", packages, self.suite, str(tree), mirror()), log)
        for pattern in self.removed:
            for path in tree.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def mirror() -> str:
    """Return where this machine's apt takes Debian's main archive from.

    Raises:
        ClusterError: it takes none.

    """
    command = ["apt-get", "indextargets", "--format=$(REPO_URI)", *_MAIN_ARCHIVE]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        listed = []
    if not listed:
        raise ClusterError(
            "building images without Docker takes Debian's packages from a source of apt, and apt"
            f" has none: add one and run 'apt-get update', or set {BASE_VARIABLE} to an image"
            " like python:3.11-slim-bookworm in a registry that this machine reaches"
        )
    return listed[0]


_MAIN_ARCHIVE = ("Identifier: Packages", "Label: Debian", "Component: main")
